"""A training that is killed goes on as if nothing had happened: same losses, same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.training_corpus import tiny_settings, written
from safetensors.torch import load_file

from forensics.training.detector.fit import CHECKPOINT
from forensics.training.journal import LOG, read
from forensics.training.run import run

FIT = Path("fits") / "seed-1"
CASES = {
    "pairs": {},
    "stream in stages": {
        "sampling": {"kind": "stream", "shuffle_buffer": 7},
        "accumulate": 2,
        "ema": 0,
        "lanes": 2,
    },
}


def settings_of(case: str) -> dict:
    settings = tiny_settings(steps=48, evaluate_every=8, patience=50, **CASES[case])
    if "stages" in case:
        settings["curriculum"] = {"stages": 2, "probe_clips": 10}
    return settings


def killed(command: list[str], out: Path, at: int) -> int:
    """Run until a step is logged, kill -9, and return the last step in the log."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    log = out / FIT / LOG
    while process.poll() is None:
        if log.exists() and f'"step": {at}, "loss"' in log.read_text():
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    return read(log)[-1]["step"]


def losses(out: Path) -> list[dict]:
    return [
        {name: value for name, value in line.items() if name != "windows_per_second"}
        for line in read(out / FIT / LOG)
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_goes_on_as_if_it_had_not_been(case, corpus, tmp_path):
    torch.set_num_threads(1)
    config = written(tmp_path, settings_of(case))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(config, whole, shards=corpus, device="cpu")
    command = [sys.executable, "-m", "forensics", "train", config, "--shards", corpus]
    command += ["--out", str(cut), "--device", "cpu"]
    at = 29 if "stages" in case else 19  # between checkpoints; in the second stage
    assert at <= killed(command, cut, at) < 48
    assert (cut / FIT / CHECKPOINT).exists() and not (cut / "bundle").exists()
    run(config, cut, shards=corpus, device="cpu")
    assert losses(cut) == losses(whole)
    assert [line["step"] for line in losses(cut) if "loss" in line] == list(range(1, 49))
    kept, wanted = (load_file(out / "bundle" / "model.safetensors") for out in (cut, whole))
    assert kept.keys() == wanted.keys()
    assert all(torch.equal(kept[name], wanted[name]) for name in wanted)
