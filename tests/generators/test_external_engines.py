"""Engines of other environments: the runner, with real processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from forensics.generators.base import GENERATORS, SpeechRequest
from forensics.generators.speech.external.base import (
    LAUNCH,
    EngineError,
    ExternalGenerator,
    ExternalParams,
)
from forensics.media.audio import Waveform

# Without site-packages the launcher has neither numpy nor torch to import, and starts at once.
PYTHON = (sys.executable, "-S")

PROGRAM = """
import os, random, struct, sys, time, wave
what, out, reference = sys.argv[1:4]
print("loading", file=sys.stderr)
if what == "hang":
    import subprocess
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    open(reference + ".pid", "w").write(str(child.pid))
    time.sleep(60)
if what == "fail":
    sys.stderr.write("10%|#\\r20%|##\\n" + "cannot read " + reference + "\\n\\n")
    sys.exit(3)
if what != "nothing":
    with wave.open(reference) as file:
        rate, count = file.getframerate(), file.getnframes()
    count += 500 if what == "longer" else 0
    for number in range(2 if what == "two" else 1):
        with wave.open(os.path.join(out, "s%d.wav" % number), "wb") as file:
            file.setnchannels(1); file.setsampwidth(2); file.setframerate(rate)
            for _ in range(count):
                file.writeframesraw(struct.pack("<h", random.randint(-9999, 9999)))
if what == "environment":
    names = ("HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED", "OMP_NUM_THREADS")
    sys.exit(" ".join(os.environ[n] or "-" for n in names) + " " + os.getcwd())
"""


class Program(ExternalGenerator[ExternalParams]):
    """Runs the program above: what it does is the request's text."""

    name, kind, licence, summary = "program", "tts", "test", "test"
    module, install = "wave", "nothing"
    script: Path

    def weights(self):
        return ()

    def commands(self, job):
        return [[str(self.script), job.text, str(job.out), str(job.reference)]]


class Copier(Program):
    """The same as a vocoder: its output follows the reference's duration."""

    kind = "vocoder"

    def commands(self, job):
        return [[str(self.script), "longer", str(job.out), str(job.reference)]]


@pytest.fixture
def script(tmp_path, monkeypatch):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    monkeypatch.setattr(Program, "script", path, raising=False)
    return path


def request(text="speak", seed=5, seconds=0.05, language="en", said=None):
    ramp = np.linspace(-0.5, 0.5, round(seconds * 16_000), dtype=np.float32)
    return SpeechRequest("k", seed, text, language, Waveform(ramp, 16_000), said)


def run(text="speak", seed=5, cls=Program, **params):
    (made,) = cls(**({"python": PYTHON} | params)).generate([request(text, seed)])
    return made


def test_a_program_speaks_and_the_seed_alone_decides(script):
    one, again, other = run(seed=5), run(seed=5), run(seed=6)
    assert one.waveform.sampling_rate == 16_000 and len(one.waveform.samples) == 800
    assert np.array_equal(one.waveform.samples, again.waveform.samples)
    assert not np.array_equal(one.waveform.samples, other.waveform.samples)


def test_a_vocoder_keeps_the_duration(script):
    assert len(run(cls=Copier).waveform.samples) == 800


def test_a_failure_tells_the_last_line_without_the_temporary_folder(script):
    one, again = run("fail"), run("fail")
    assert isinstance(one, EngineError)
    assert one.what == "program ended with status 3: cannot read <job>/in/reference.wav"
    assert str(one) == str(again)


@pytest.mark.parametrize(("text", "count"), [("nothing", 0), ("two", 2)])
def test_no_or_too_much_output_is_an_error(script, text, count):
    made = run(text)
    assert isinstance(made, EngineError) and f"wrote {count} wav files" in made.what


def test_a_program_that_hangs_is_killed_with_its_children(script, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []
    original = ExternalGenerator._run

    def remember(self, job, command):
        try:
            original(self, job, command)
        finally:
            seen.append(int((job.reference.parent / "reference.wav.pid").read_text()))

    monkeypatch.setattr(ExternalGenerator, "_run", remember)
    made = run("hang", timeout_s=4)
    assert isinstance(made, EngineError) and "longer than 4 s" in made.what
    for _ in range(50):
        if not alive(seen[0]):
            break
        time.sleep(0.1)
    assert not alive(seen[0])
    assert [path for path in tmp_path.iterdir() if path.name.startswith("forensics-")] == []


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_program_runs_offline_in_its_own_folder(script):
    made = run("environment", threads=3)
    assert isinstance(made, EngineError)
    assert made.what.endswith("1 - 0 3 <job>")
    assert run("environment", gpu="1").what.endswith("1 1 0 1 <job>")


def test_a_broken_item_does_not_touch_its_neighbours(script):
    good, bad, also = Program(python=PYTHON).generate(
        [request(seed=1), request("fail"), request(seed=1)]
    )
    assert isinstance(bad, EngineError)
    assert np.array_equal(good.waveform.samples, also.waveform.samples)


def test_a_python_that_is_not_there_is_named(script):
    (lack,) = Program(python=("/no/such/python",)).check()
    assert "/no/such/python" in lack.what and "'python'" in lack.what


def test_without_a_python_the_engine_runs_in_this_one(script):
    assert Program().check() == []
    (lack,) = [e for e in GENERATORS.get("chattts")().check() if "module" in e.what]
    assert lack.what == "module 'ChatTTS' is not installed for this Python (parameter 'python')"
    made = run("fail", python=())
    assert isinstance(made, EngineError) and "status 3" in made.what


def test_modules_are_looked_for_in_the_other_environment(script, tmp_path):
    assert Program(python=PYTHON).check() == []
    chat = GENERATORS.get("chattts")(python=PYTHON, model=str(tmp_path))
    module, weights = chat.check()
    assert module.what.startswith("module 'ChatTTS' is not installed for ")
    assert "pip install ChatTTS" in str(module.fix)
    assert "asset/Decoder.safetensors" in weights.what
    (tmp_path / "ChatTTS.py").write_text("")
    found = GENERATORS.get("chattts")(python=PYTHON, repo=str(tmp_path), model=str(tmp_path))
    assert [lack.what for lack in found.check()] == [weights.what]


def test_the_launcher_seeds_every_generator(tmp_path):
    pytest.importorskip("torch")
    import subprocess

    from forensics.generators.speech.external.base import LAUNCH

    (tmp_path / "draw.py").write_text(
        "import random, sys, numpy, torch\n"
        "print(random.random(), numpy.random.rand(), torch.rand(1).item(), sys.argv[1:])\n"
    )
    said = {
        subprocess.run(
            [sys.executable, LAUNCH, seed, *how, "--text=-x"],
            cwd=tmp_path, capture_output=True, check=True, text=True,
        ).stdout
        for seed, how in ((str(2**62), ["-m", "draw"]), (str(2**62), ["draw.py"]))
    }  # fmt: skip
    (line,) = said
    assert line.endswith("['--text=-x']\n") and len(set(line.split()[:3])) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_an_engine_ends_with_the_worker_that_started_it(tmp_path):
    alive = tmp_path / "alive"
    engine = tmp_path / "engine.py"
    engine.write_text(
        "import pathlib, sys, time\n"
        "for i in range(600):\n"
        f"    pathlib.Path({str(alive)!r}).write_text(str(i)); time.sleep(0.05)\n"
    )
    call = [sys.executable, LAUNCH, "1", str(engine)]
    worker = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({call!r})"]
    )
    deadline = time.monotonic() + 30
    while not alive.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    worker.kill()
    worker.wait()
    time.sleep(0.3)
    before = alive.read_text()
    time.sleep(0.5)
    assert alive.read_text() == before
