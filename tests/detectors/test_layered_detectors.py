"""HierCon, SLS and the plain mean as detectors: from a bundle alone, explained, by config."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import random_bundle, tiny_backbones

from forensics.detectors.base import DETECTORS
from forensics.detectors.bundle import Bundle
from forensics.detectors.speech.aasist import AasistLDetector
from forensics.errors import UsageError

COMPACT = {"kind": "compact", "width": 32, "depth": 4, "stem": [4, 4, 4, 4], "heads": 2}
WINDOW = 16_000
FIELDS = {"hiercon": {}, "sls": {"window_samples": WINDOW, "hidden": 8}, "mean-pool": {}}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def detector(name, backbone, folder):
    """A detector of random weights, saved as training saves it and loaded as detection does."""
    cls = DETECTORS.get(name)
    torch.manual_seed(0)
    network = cls.network({"backbone": backbone, **FIELDS[name]})
    return cls.from_folder(random_bundle.save(name, network, folder, WINDOW))


@pytest.mark.parametrize("family", ["compact", "wav2vec2", "wavlm", "hubert"])
@pytest.mark.parametrize("name", FIELDS)
def test_a_bundle_is_enough_to_score_and_explain(name, family, tmp_path):
    backbone = COMPACT
    if family != "compact":
        model = tmp_path / "model"
        backbone = {"kind": "ssl", "model": tiny_backbones.save(model, family)}
    loaded = detector(name, backbone, tmp_path / "weights")
    for file in (tmp_path / "model").glob("*"):
        file.unlink()  # detection needs no hub and no model folder
    loaded = type(loaded).from_folder(tmp_path / "weights")
    windows = tiny_backbones.noise(2, WINDOW).numpy()
    together = loaded.score(windows)
    assert together.shape == (2,) and np.isfinite(together).all() and np.ptp(together) > 1e-7
    assert np.array_equal(together[1:], loaded.score(windows[1:]))

    explanation = loaded.explain(windows[0])
    steps = len(explanation.time)
    assert explanation.seconds_per_step * steps == pytest.approx(1.0)
    assert explanation.time.dtype == np.float32 and explanation.time.sum() == pytest.approx(1)
    assert explanation.layers.shape == (4,) and explanation.layers.sum() == pytest.approx(1)
    assert explanation.attention.shape == (4, steps)
    np.testing.assert_allclose(explanation.attention.sum(axis=1), 1, atol=1e-5)
    if name == "hiercon":
        assert explanation.layer_groups.shape == (2,)
        by_group = [explanation.layers[:3].sum(), explanation.layers[3:].sum()]
        np.testing.assert_allclose(explanation.layer_groups, by_group, rtol=1e-5)
    else:
        assert explanation.layer_groups is None


def test_networks_without_attention_explain_nothing(random_card, random_weights, tmp_path):
    Bundle.save(tmp_path / "w", random_card, random_weights)
    loaded = AasistLDetector.from_folder(tmp_path / "w")
    assert loaded.explain(np.zeros(loaded.window_samples, np.float32)) is None


def test_without_an_architecture_the_backbone_is_compact():
    for name in FIELDS:
        network = DETECTORS.get(name).network()
        assert network.config.backbone.kind == "compact"


def test_wrong_architectures_are_named():
    for architecture in ({"backbone": {"kind": "mamba"}}, {"backbone": COMPACT, "heads": 3}):
        with pytest.raises(UsageError, match=r"backbone|heads"):
            DETECTORS.get("hiercon").network(architecture)
