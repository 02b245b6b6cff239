"""Every shipped config of an ensemble trains, a few steps of the real thing; those of single
detectors are valid here and train in `test_model_configs`."""

from __future__ import annotations

import pytest
import torch

from forensics import detect, resources
from forensics.detectors.bundle import Bundle
from forensics.media.audio import Waveform
from forensics.training.config import checked, read_settings
from forensics.training.detector.config import DetectorConfig, EnsembleTrainConfig
from forensics.training.run import TASKS, run

DETECTORS = [n for n in resources.names("configs") if read_settings(n).get("task") == "detector"]
ENSEMBLES = [n for n in resources.names("configs") if read_settings(n).get("task") == "ensemble"]
SHRUNK = ["fit.batch=4", "fit.epochs=null", "fit.steps=3", "fit.evaluate_every=3"]


def test_every_config_names_its_task():
    assert all(read_settings(name).get("task") in TASKS for name in resources.names("configs"))
    assert "hiercon-compact" in DETECTORS and "speech-default" in ENSEMBLES


@pytest.mark.parametrize("name", DETECTORS)
def test_config_is_valid(name):
    config = checked(DetectorConfig, read_settings(name), name)
    assert config.limits and config.seeds
    assert "backbone" in config.architecture  # else `test_model_configs` does not train it


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensemble_trains_and_its_bundle_detects(name, corpus, tmp_path, speech_like):
    torch.set_num_threads(1)
    config = checked(EnsembleTrainConfig, read_settings(name), name)
    assert config.limits and config.calibrate
    shrunk = [f"members.{member}.{change}" for member in config.members for change in SHRUNK]
    out = tmp_path / "run"
    report = run(name, out, shards=corpus, changes=[*shrunk, "calibrate=null"], device="cpu")
    assert "test split" in str(report)
    architecture = Bundle.load(out / "bundle").config.architecture
    detectors = [member["detector"] for member in architecture["members"]]
    assert detectors == [member.detector for member in config.members.values()]
    verdict = detect(Waveform(speech_like(2.0), 16_000), out / "bundle")[0]
    assert verdict.label == "uncertain"
