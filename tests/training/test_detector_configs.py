"""Every shipped config of an ensemble, or of a detector without a backbone, trains a few steps of
the real thing; those on a backbone train in `test_model_configs`."""

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
PLAIN = [n for n in DETECTORS if "backbone" not in read_settings(n).get("architecture", {})]
ENSEMBLES = [n for n in resources.names("configs") if read_settings(n).get("task") == "ensemble"]
SHRUNK = ["fit.batch=4", "fit.epochs=null", "fit.steps=3", "fit.evaluate_every=3"]


def test_every_config_names_its_task():
    assert all(read_settings(name).get("task") in TASKS for name in resources.names("configs"))
    assert "speech-default" in PLAIN and "speech-ensemble" in ENSEMBLES


@pytest.mark.parametrize("name", DETECTORS)
def test_config_is_valid(name):
    config = checked(DetectorConfig, read_settings(name), name)
    assert config.limits and config.seeds


@pytest.mark.parametrize("name", PLAIN)
def test_config_trains_and_its_bundle_detects(name, corpus, tmp_path, speech_like):
    torch.set_num_threads(1)
    changes = [*SHRUNK, "calibrate=null"]
    report = run(name, tmp_path / "run", shards=corpus, changes=changes, device="cpu")
    assert "test split" in str(report)
    settings = read_settings(name)
    assert Bundle.load(tmp_path / "run" / "bundle").config.detector == settings["detector"]
    verdict = detect(Waveform(speech_like(2.0), 16_000), tmp_path / "run" / "bundle")[0]
    assert verdict.label == "uncertain"


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
