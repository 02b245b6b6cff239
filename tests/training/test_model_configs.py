"""Every shipped config of a speech detector on a backbone trains: the real thing, shrunk."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from helpers import tiny_backbones

from forensics import load_detector, resources
from forensics.detectors.bundle import Bundle
from forensics.training.config import read_settings
from forensics.training.run import run

SHRUNK = ["fit.batch=4", "fit.epochs=null", "fit.steps=2", "fit.evaluate_every=2", "calibrate=null"]
COMPACT = {"width": 16, "depth": 4, "heads": 2, "stem": [4, 4, 4, 4], "bands": 32, "n_fft": 512}
CONFIGS = [
    path.stem
    for path in sorted((resources.find("configs", "hiercon-compact").parent).glob("*.yaml"))
    if isinstance(read_settings(path.stem).get("architecture", {}).get("backbone"), dict)
]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def shrunk_backbone(settings, folder):
    """Changes that put a tiny backbone where the config has a large one; the rest stays."""
    backbone = settings["architecture"]["backbone"]
    if backbone["kind"] == "ssl":
        assert backbone["model"] == "facebook/wav2vec2-xls-r-300m"
        return [f"architecture.backbone.model={tiny_backbones.save(folder)}"]
    return [f"architecture.backbone.{name}={json.dumps(value)}" for name, value in COMPACT.items()]


def test_all_families_have_configs():
    heads, backbones = ("hiercon", "sls", "mean-pool"), ("xlsr", "compact")
    assert {f"{head}-{on}" for head in heads for on in backbones} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_config_trains_and_its_bundle_detects(name, corpus, tmp_path):
    settings = read_settings(name)
    if settings["architecture"]["backbone"].get("lora"):
        pytest.importorskip("peft")
    changes = [*SHRUNK, *shrunk_backbone(settings, tmp_path / "model")]
    report = run(name, tmp_path / "run", shards=corpus, changes=changes, device="cpu")
    assert "test" in str(report)
    config = Bundle.load(tmp_path / "run" / "bundle").config
    assert config.detector == settings["detector"] and config.window_samples == 64_600
    assert str(tmp_path) not in json.dumps(config.architecture)
    for file in (tmp_path / "model").glob("*"):
        file.unlink()
    detector = load_detector(config.detector, tmp_path / "run" / "bundle")
    window = tiny_backbones.noise(1, 64_600).numpy()
    assert np.isfinite(detector.score(window)).all()
    assert detector.explain(window[0]).layers.shape == (4,)
