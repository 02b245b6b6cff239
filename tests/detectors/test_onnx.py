"""The ONNX path: the same scores as torch without torch, and graphs that are not trusted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from helpers import random_bundle
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F
from typer.testing import CliRunner

from forensics.cli import app
from forensics.detectors import network_detector, onnx_export
from forensics.detectors.base import DETECTORS
from forensics.detectors.bundle import Bundle
from forensics.detectors.onnx_export import export_onnx, probes
from forensics.detectors.onnx_runner import OnnxRunner
from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.networks.log_spectrum import any_in_step
from forensics.verdict.loading import load_detector, resolve_detector

WINDOW = 8_000
ARCHITECTURES = {
    "spectral-cnn": {"bands": 32, "channels": [2, 2, 4, 4], "embedding": 8},
    "aasist-l": {"channels": [2] * 6, "graph_channels": 2, "pool_ratios": [0.4, 0.5, 0.7]},
    "hiercon": {
        "backbone": {"kind": "compact", "width": 16, "depth": 4, "stem": [4] * 4, "heads": 2},
        "group_size": 3,
        "attention": 4,
    },
}
EXPLAINED = {
    "spectral-cnn": ("score", "time"),
    "aasist-l": ("score",),
    "hiercon": ("score", "time", "layers", "layer_groups", "attention"),
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def save(name, folder):
    """A bundle of random weights whose normalisation statistics are not trivial."""
    cls = DETECTORS.get(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = cls.network(ARCHITECTURES[name])
        for key, tensor in network.state_dict().items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 2)
    return random_bundle.save(name, network, folder, WINDOW)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """`folders(name)` → a weights folder with a graph that the export wrote."""
    made = {}

    def folder(name):
        if name not in made:
            made[name] = save(name, tmp_path_factory.mktemp("onnx") / name)
            export_onnx(made[name])
        return made[name]

    return folder


@pytest.fixture
def copied(folders, tmp_path):
    return shutil.copytree(folders("spectral-cnn"), tmp_path / "copied")


def onnx_files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "name", ["spectral-cnn", "hiercon", pytest.param("aasist-l", marks=pytest.mark.slow)]
)
def test_a_graph_gives_what_torch_gives_and_explains_as_it_does(folders, name, speech_like):
    folder = folders(name)
    graph, plain = load_detector(folder), DETECTORS.get(name).in_torch(folder)
    assert graph.runtime.startswith("onnxruntime") and plain.runtime.startswith("torch")
    loud = np.stack([speech_like(0.5, seed=seed) for seed in range(3)])
    windows = np.concatenate([loud, 0.01 * loud, np.zeros((1, WINDOW), np.float32)])
    ours, explained = graph.examine(windows)
    theirs, wanted = plain.examine(windows)
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)
    assert np.ptp(ours) > 1e-6 and ours.dtype == np.float64
    for one, other in zip(explained, wanted, strict=True):
        if len(EXPLAINED[name]) == 1:
            assert one is None and other is None
            continue
        assert one.seconds_per_step == other.seconds_per_step
        for part in ("time", "layers", "layer_groups", "attention"):
            if part in EXPLAINED[name]:
                np.testing.assert_allclose(getattr(one, part), getattr(other, part), atol=1e-4)
            else:
                assert getattr(one, part) is None
    np.testing.assert_array_equal(graph.score(windows), ours)


@pytest.mark.parametrize("threads", [1, 3])
def test_scores_are_the_same_bits_in_any_company_on_any_number_of_threads(
    folders, speech_like, threads
):
    windows = np.stack([speech_like(0.5, seed=seed) for seed in range(5)])
    alone = load_detector(folders("spectral-cnn"))
    singles = np.concatenate([alone.score(window[None]) for window in windows])
    together = load_detector(folders("spectral-cnn"), threads=threads)
    assert together.score(windows).tolist() == singles.tolist()
    assert together.score(windows[::-1]).tolist() == singles[::-1].tolist()
    assert together.score(windows[:0]).shape == (0,)


def test_the_command_writes_the_same_graph_again_and_says_what_it_did(copied):
    before = json.loads((copied / "config.json").read_text())
    done = CliRunner().invoke(app, ["export-onnx", str(copied), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert onnx_files(copied) == ["config.json", "model.onnx", "model.safetensors"]
    assert json.loads((copied / "config.json").read_text()) == before
    assert told["outputs"] == ["score", "time"]
    assert told["onnx_sha256"] == before["onnx_sha256"]
    assert 0 <= told["max_difference"] == before["onnx_max_difference"] <= 1e-4
    graph = (copied / "model.onnx").read_bytes()
    assert told["size_bytes"] == len(graph)
    for trace in (b"site-packages", b"forensics/networks", b"location", b"/home", b"/tmp"):
        assert trace not in graph


def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch):
    folder = save("spectral-cnn", tmp_path / "w")
    honest = onnx_export.scored

    def off(network, bonafide_scores, samples):
        found = honest(network, bonafide_scores, samples)
        return {**found, "score": found["score"] + 2e-4}

    monkeypatch.setattr(onnx_export, "scored", off)
    with pytest.raises(CorpusError, match="differ by"):
        export_onnx(folder)
    assert onnx_files(folder) == ["config.json", "model.safetensors"]
    assert not Bundle.load(folder).has_onnx


@pytest.mark.slow
def test_networks_that_onnx_cannot_say_are_refused(tmp_path, monkeypatch):
    folder = save("spectral-cnn", tmp_path / "w")

    def unsayable(network, bonafide_scores, samples):
        return {"score": torch.linalg.eigvals(samples[:, :4].reshape(1, 2, 2)).real.sum(dim=1)}

    monkeypatch.setattr(onnx_export, "scored", unsayable)
    with pytest.raises(UsageError, match="cannot be written as ONNX"):
        export_onnx(folder)


def test_probes_hold_sound_of_every_sort():
    windows = probes(WINDOW, 16_000)
    assert windows.dtype == np.float32 and windows.shape[1] == WINDOW and len(windows) >= 10
    assert np.abs(windows).max() <= 1
    assert any(not window.any() for window in windows)
    np.testing.assert_array_equal(windows, probes(WINDOW, 16_000))


def test_damaged_or_missing_graphs_are_refused_before_any_work(copied):
    path = copied / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for load in (resolve_detector, load_detector):
        with pytest.raises(CorpusError, match=r"model\.onnx has SHA-256"):
            load(copied)
    path.unlink()
    with pytest.raises(CorpusError, match="pinned but not there"):
        resolve_detector(copied)


def test_a_graph_that_nothing_pins_is_not_looked_at(tmp_path):
    folder = save("spectral-cnn", tmp_path / "w")
    (folder / "model.onnx").write_bytes(b"whatever")
    assert load_detector(folder).runtime.startswith("torch")


def test_a_pin_without_a_comparison_is_no_config(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "onnx_max_difference": None}))
    with pytest.raises(UsageError, match="distance from torch"):
        Bundle.load(copied)


def test_without_onnx_runtime_torch_is_used(copied, monkeypatch):
    monkeypatch.setattr(network_detector, "onnx_installed", lambda: False)
    assert load_detector(copied).runtime.startswith("torch")


def test_on_a_gpu_torch_is_used(copied):
    if torch.cuda.is_available():
        assert load_detector(copied, device="cuda").runtime.startswith("torch")
        return
    with pytest.raises(MissingRequirement, match="CUDA"):
        load_detector(copied, device="cuda")


def graph(initializer=None, shape=(1, WINDOW), output="score"):
    """score = mean(samples) + w, as bytes."""
    weight = initializer or numpy_helper.from_array(np.float32([1.0]), "w")
    nodes = [
        helper.make_node("ReduceMean", ["samples"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "w"], [output]),
    ]
    model = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1])],
        [weight],
    )
    made = helper.make_model(model, opset_imports=[helper.make_opsetid("", 20)])
    made.ir_version = 10
    return made.SerializeToString()


def test_weights_in_other_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(np.float32([1.0]).tobytes())
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="w.bin")
    with pytest.raises(CorpusError, match="other files"):
        OnnxRunner(graph(outside), tmp_path / "model.onnx", WINDOW)


def test_graphs_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "model.onnx"
    whole = OnnxRunner(graph(), path, WINDOW)
    assert whole(np.full((2, WINDOW), 0.5, np.float32)).score.tolist() == [1.5, 1.5]
    for wrong in (graph(shape=(1, 99)), graph(output="other")):
        with pytest.raises(CorpusError, match="not the score of samples"):
            OnnxRunner(wrong, path, WINDOW)
    with pytest.raises(CorpusError, match="no graph"):
        OnnxRunner(b"\x08\x07junk", path, WINDOW)
    assert onnx.load_from_string(graph()).ir_version == 10


@pytest.mark.parametrize("frames", [16, 17, 100, 253, 404])
def test_steps_hold_what_adaptive_pooling_would(frames):
    active = torch.rand(3, frames, generator=torch.Generator().manual_seed(frames)) > 0.9
    for steps in (3, -(-frames // 16)):
        pooled = F.adaptive_max_pool1d(active.float().unsqueeze(1), steps).squeeze(1) > 0
        assert torch.equal(any_in_step(active, steps), pooled)
