"""Real torchrun processes: the same training as in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from helpers.training_corpus import tiny_settings, written
from safetensors.torch import load_file

from forensics.training.journal import LOG, read
from forensics.training.run import run


def torchrun(arguments: list[str], code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "forensics.training", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert (done.returncode == 0) == (code == 0), done.stderr[-4000:]
    return done


def settings_of(case: str) -> dict:
    settings = tiny_settings(steps=6, evaluate_every=3, lanes=2, learning_rate=1e-3)
    settings["architecture"]["dropout"] = 0.0  # is drawn in each process
    if case == "accumulated":
        settings["fit"] |= {"accumulate": 2, "sampling": {"kind": "stream"}, "batch": 16}
        settings["fit"]["loss"] = {
            "kind": "partial-auc",
            "contrastive": {"weight": 0.1},
        }
    return settings


# Adam turns the rounding of tiny gradients into steps; more so where few rows have a gradient.
@pytest.mark.parametrize(("case", "near"), [("pairs", 1e-4), ("accumulated", 1e-3)])
def test_two_processes_train_what_one_does(case, near, corpus, tmp_path):
    torch.set_num_threads(1)
    config = written(tmp_path, settings_of(case))
    one, two = tmp_path / "one", tmp_path / "two"
    alone = run(config, one, shards=corpus, device="cpu")
    done = torchrun([config, "--shards", corpus, "--out", str(two), "--device", "cpu", "--json"])
    report = json.loads(done.stdout)  # of the first process alone
    assert report["seeds"][0]["dev_eer"] == pytest.approx(alone.seeds[0].dev_eer, abs=0.11)
    logs = [read(out / "fits" / "seed-1" / LOG) for out in (one, two)]
    found, wanted = ([line["loss"] for line in log if "loss" in line] for log in logs)
    assert found == pytest.approx(wanted, rel=near)
    assert found[:2] == pytest.approx(wanted[:2], rel=1e-5)
    weights = [load_file(out / "bundle" / "model.safetensors") for out in (one, two)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=near, rtol=1e-3)


def test_lanes_that_processes_cannot_share_are_refused(corpus, tmp_path):
    settings = tiny_settings(lanes=1)
    given = [written(tmp_path, settings), "--shards", corpus, "--out", str(tmp_path / "run")]
    done = torchrun([*given, "--device", "cpu"], code=2)
    assert "1 lanes cannot be shared by 2 processes" in done.stderr
    assert "fit.lanes=2" in done.stderr
