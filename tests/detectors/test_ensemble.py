"""Several networks as one: the sum, what it attends to, and what cannot be a member."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import random_bundle
from helpers.tiny_backbones import noise

from forensics.detectors.base import DETECTORS
from forensics.detectors.onnx_export import export_onnx
from forensics.detectors.speech.ensemble import EnsembleDetector, new_member
from forensics.errors import UsageError

WINDOW = 16_000
SMALL_CNN = {"views": [{"n_fft": 256, "hop": 64, "bands": 16, "channels": [4, 4]}], "embedding": 8}
COMPACT = {"kind": "compact", "width": 32, "depth": 4, "stem": [4, 4, 4, 4], "heads": 2}
PAIR = [new_member("trace-cnn"), new_member("hiercon")]
ARCHITECTURE = {
    "members": [
        new_member("trace-cnn", SMALL_CNN) | {"scale": 2.0},
        new_member("hiercon", {"backbone": COMPACT}) | {"scale": 0.5},
    ],
    "offset": -3.0,
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return EnsembleDetector.network(ARCHITECTURE).eval()


@torch.inference_mode()
def test_score_is_the_scaled_sum_of_the_members(network):
    windows = noise(3, WINDOW)
    cnn, hiercon = (member(windows) for member in network.members)
    assert torch.allclose(network(windows), -3 + 2 * cnn + 0.5 * hiercon, atol=1e-6)
    explained = network.explain(windows)
    assert torch.allclose(explained.score, network(windows), atol=1e-6)
    assert torch.allclose(explained.time.sum(dim=1), torch.ones(3), atol=1e-5)
    steps = [member.explain(windows).time.shape[1] for member in network.members]
    assert explained.time.shape[1] == min(steps) < max(steps)


def test_a_bundle_is_enough_and_its_graph_says_the_same(network, tmp_path):
    folder = random_bundle.save("ensemble", network, tmp_path / "weights", WINDOW)
    windows = noise(2, WINDOW).numpy()
    in_torch = EnsembleDetector.in_torch(folder).score(windows)
    with torch.inference_mode():
        assert np.allclose(in_torch, network(torch.from_numpy(windows)).numpy(), atol=1e-6)
    pytest.importorskip("onnxscript")
    assert export_onnx(folder).max_difference <= 1e-4
    detector = EnsembleDetector.from_folder(folder)
    assert "onnx" in detector.runtime.lower()
    assert np.allclose(detector.score(windows), in_torch, atol=1e-4)
    explanation = detector.explain(windows[0])
    assert explanation is not None and explanation.layers is None


@pytest.mark.parametrize("member", ["aasist", "ensemble", "sls"])
def test_what_does_not_attend_is_no_member(member):
    with pytest.raises(UsageError, match="cannot be a member"):
        EnsembleDetector.network({"members": [new_member("trace-cnn"), new_member(member)]})


def test_members_of_another_version_are_refused():
    old = new_member("hiercon", {"backbone": COMPACT}) | {"version": "0"}
    with pytest.raises(UsageError, match="made for hiercon 0"):
        EnsembleDetector.network({"members": [new_member("trace-cnn"), old]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"members": PAIR[:1]},
        {"members": [PAIR[0], PAIR[1] | {"scale": 0}]},
        {"members": [PAIR[0], PAIR[1] | {"scale": float("inf")}]},
        {"members": PAIR, "offset": float("nan")},
        {"members": PAIR * 9},
        {"members": PAIR, "weights": 1},
        {"members": [PAIR[0], {"detector": "hiercon"}]},
    ],
)
def test_a_wrong_architecture_is_refused(wrong):
    with pytest.raises(UsageError, match="not valid"):
        EnsembleDetector.network(wrong)


def test_it_is_registered_beside_its_members():
    assert DETECTORS.get("ensemble") is EnsembleDetector
