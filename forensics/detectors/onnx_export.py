"""Writes a detector's network as one ONNX graph, from samples to score, beside its weights."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forensics.detectors.base import DETECTORS
from forensics.detectors.bundle import ONNX, Bundle
from forensics.detectors.network_detector import NetworkDetector
from forensics.detectors.onnx_runner import INPUT, OnnxRunner
from forensics.detectors.runner import OUTPUTS
from forensics.detectors.torch_runner import TorchRunner, scored
from forensics.errors import CorpusError, UsageError
from forensics.requirements import Package, lacking

if TYPE_CHECKING:
    import torch
    from torch import nn

PARITY = 1e-4
OPSET = 20
_INSTALL = "forensics[onnx]"


@dataclass(frozen=True)
class ExportedGraph:
    """A graph that was written.

    Attributes:
        outputs: what it gives: the score, and what explains it.
        windows: how many it was compared with torch on; max_difference: over all their outputs.
    """

    bundle: Bundle
    outputs: tuple[str, ...]
    size_bytes: int
    windows: int
    max_difference: float


def export_onnx(folder: Path) -> ExportedGraph:
    """Write `model.onnx` into a weights folder and pin it in the config.

    The graph takes samples float32 (1, window_samples) and holds all weights. Before it is written
    ONNX Runtime runs it beside torch on noise, silence, clicks and speech-like sound.

    Raises:
        MissingRequirement: no onnx, onnxscript or onnxruntime, or no weights.
        UsageError: the detector has no network, or the network holds what ONNX cannot say.
        CorpusError: outputs differ by more than `PARITY`; nothing is written.
    """
    bundle = Bundle.load(folder)
    cls = DETECTORS.get(bundle.config.detector)
    if not issubclass(cls, NetworkDetector):
        raise UsageError(f"{cls.name} has no network to export", "name another weights folder")
    bundle.check_made_for(cls.name, cls.version, cls.sampling_rate)
    needed = (Package("onnx", _INSTALL), Package("onnxscript", _INSTALL))
    if lacks := lacking((*needed, Package("onnxruntime", "onnxruntime"))):
        raise lacks[0]
    network = cls.trained_network(bundle)
    window = bundle.config.window_samples
    graph, outputs = _graph(network, cls.bonafide_scores, window)
    runner = OnnxRunner(graph, folder / ONNX, window)
    windows = probes(window, cls.sampling_rate)
    difference = _difference(runner, TorchRunner(network, cls.bonafide_scores, cls.batch), windows)
    if not difference <= PARITY:
        raise CorpusError(
            f"ONNX Runtime and torch differ by {difference:.2g} on {folder}, more than {PARITY:g}; "
            "no graph is written",
            "use the weights without one",
        )
    pinned = bundle.with_onnx(graph, difference)
    return ExportedGraph(pinned, outputs, len(graph), len(windows), difference)


def probes(window_samples: int, sampling_rate: int) -> np.ndarray:
    """float32 (N, window_samples): what graphs are compared on; the same in every call."""
    rng = np.random.default_rng(0)
    t = np.arange(window_samples) / sampling_rate
    noise = rng.standard_normal((4, window_samples)) * np.array([[0.5], [0.1], [0.01], [0.001]])
    clicks = np.zeros(window_samples)
    clicks[rng.integers(0, window_samples, 20)] = rng.uniform(-1, 1, 20)
    voices = []
    for pitch, pauses in ((90.0, 0.8), (140.0, 1.9), (220.0, 3.1), (320.0, 0.4)):
        phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.2 * np.sin(2 * np.pi * pauses * t)))
        voiced = sum(np.sin(k * phase / sampling_rate) / k for k in range(1, 24))
        hiss = rng.standard_normal(window_samples)
        syllables = np.sin(2 * np.pi * 2.7 * pauses * t)
        voice = np.where(syllables > -0.2, voiced * np.abs(syllables), 0.1 * hiss)
        voices.append(0.4 * voice / np.abs(voice).max())
    short = np.resize(voices[0][: window_samples // 5], window_samples)  # as short clips are
    rows = [*np.clip(noise, -1, 1), np.zeros(window_samples), clicks, *voices, short]
    return np.stack(rows).astype(np.float32)


def _graph(
    network: nn.Module,
    bonafide_scores: Callable[[torch.Tensor], torch.Tensor],
    window_samples: int,
) -> tuple[bytes, tuple[str, ...]]:
    import torch

    class Scoring(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, samples: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = scored(self.network, bonafide_scores, samples)
            return tuple(found[name] for name in OUTPUTS if name in found)

    samples = torch.from_numpy(probes(window_samples, 16_000)[-1:])
    with torch.no_grad():
        given = scored(network, bonafide_scores, samples)
        outputs = tuple(name for name in OUTPUTS if name in given)
        try:
            with _quiet():
                program = torch.onnx.export(
                    Scoring().eval(),
                    (samples,),
                    dynamo=True,
                    opset_version=OPSET,
                    input_names=[INPUT],
                    output_names=list(outputs),
                    verbose=False,
                )
        except torch.onnx.OnnxExporterError as error:
            why = str(error).strip().splitlines() or [type(error).__name__]
            raise UsageError(
                f"this network cannot be written as ONNX: {why[-1]}", "use the weights without it"
            ) from error
    assert program is not None  # with dynamo
    return _bare(program.model_proto), outputs


def _bare(model: object) -> bytes:
    """The model without what the exporter tells of this machine: paths, source lines, names."""
    import onnx

    assert isinstance(model, onnx.ModelProto)
    assert not model.functions
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "forensics", "", ""
    graph = model.graph
    graph.name, graph.doc_string = "detector", ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _difference(onnx: OnnxRunner, torch: TorchRunner, windows: np.ndarray) -> float:
    """The largest absolute one over all outputs; NaN when one of them gives NaN."""
    found, wanted = onnx(windows), torch(windows)
    pairs = [(getattr(found, name), getattr(wanted, name)) for name in OUTPUTS]
    return max(float(np.abs(a - b).max()) for a, b in pairs if a is not None and b is not None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's remarks on its own progress are for its makers."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
