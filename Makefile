# Everything runs in .venv; uv is installed inside it. No root, no system packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
EXTRAS := world vocos lyra piper hibari av ray tensorboard lora
DEMO_OUT ?= demo-out
# Where bytecode files are forbidden, as in many containers, every process that a test starts compiles
# all that it imports anew: a small build with four workers then takes 9.8 s of CPU, not 4.0 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup test test-slow lint types demo bench identity-proof clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt setup.py
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed, this is %s" % sys.version.split()[0]'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@# Optional engines: where one has no wheel, or WORLD no C++ compiler, all else still works.
	@for extra in $(EXTRAS); do \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[$$extra]" \
	    || echo "note: the optional part '$$extra' is left out on this machine"; \
	done
	touch $@

# A thread a process: with more, workers of two cores spin while they wait for each other.
test: setup lint types
	OMP_NUM_THREADS=1 $(BIN)/pytest -m 'not slow' -n 2 --dist worksteal

test-slow: setup
	$(BIN)/pytest -m slow --timeout 3600

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/pyright

# SPEECH=/path/to/recordings (folder or CSV) is the bona fide speech; without it: TTS only.
# FRAMES=/path/to/frames (a subfolder a camera) are the pristine frames; without: rendered streets.
demo: setup
	$(BIN)/forensics demo --out $(DEMO_OUT) $(if $(SPEECH),--speech '$(SPEECH)') $(if $(FRAMES),--frames '$(FRAMES)')

bench: setup
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/shards.py
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/detect_speed.py

# Identity tokens and the detection adapter proved on a tiny model; writes the page with the figures.
identity-proof: setup
	$(BIN)/python benchmarks/identity_proof.py --out docs/identity-proof.md

clean:
	rm -rf $(VENV) build dist *.egg-info demo-out
