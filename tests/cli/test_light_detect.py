"""`forensics detect one.wav` with the shipped detector: quick, because it imports little."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from helpers import bad_media

HEAVY = [
    "torch",
    "torchaudio",
    "torchvision",
    "transformers",
    "scipy",
    "sklearn",
    "matplotlib",
    "pandas",
    "pyarrow",
    "librosa",
    "numba",
    "onnx",
    "ray",
    "av",
    "jinja2",
    "rich.progress",
    "cv2",
    "PIL",
]
CODE = f"""
import sys
from forensics.cli import main
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
print([m for m in {HEAVY} if m in sys.modules], "onnxruntime" in sys.modules, file=sys.stderr)
"""


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "one.wav"
    path.write_bytes(bad_media.encoded(samples=bad_media.tone(4.0)))
    return str(path)


def test_one_file_is_judged_and_explained_without_torch_or_anything_heavy(clip):
    line = [sys.executable, "-c", CODE, "detect", "--json", clip]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] True"
    verdict = json.loads(done.stdout)
    entry = verdict["detectors"][0]
    assert entry["runtime"].startswith("onnxruntime")
    assert sum(entry["explanation"]["time"]) == pytest.approx(1, abs=0.01)
    assert verdict["segments"][0]["attention"]


def test_two_runs_say_the_same_to_the_last_bit(clip):
    line = [sys.executable, "-m", "forensics", "detect", "--json", clip, "--threads"]
    said = []
    for threads in ("1", "2"):
        done = subprocess.run([*line, threads], capture_output=True, text=True, check=True)
        verdict = json.loads(done.stdout)
        said.append((verdict["llr"], verdict["segments"], verdict["detectors"][0]["explanation"]))
    assert said[0] == said[1]
