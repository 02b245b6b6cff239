"""Scores windows with ONNX Runtime on the CPU; imports no torch."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from forensics.detectors.runner import OUTPUTS, Outputs, joined
from forensics.errors import CorpusError

INPUT = "samples"
_FIX = "get the weights again, or write the graph anew: forensics export-onnx FOLDER"


class OnnxRunner:
    """A graph from samples float32 (1, window_samples) to `Outputs`.

    Windows are run one by one, `threads` of them at the same time, each on one thread: a window's
    score is the same to the last bit whatever its neighbours and however many threads.

    Args:
        graph: the content of a `model.onnx` whose hash was found to be the pinned one. Weights
            outside it are refused, so that a graph reads no file.
        path: what messages call it.

    Raises:
        CorpusError: it is no such graph.
    """

    def __init__(self, graph: bytes, path: Path, window_samples: int, threads: int = 1):
        import onnxruntime

        # The key under which the format names a file of weights.
        if b"location" in graph:
            raise CorpusError(f"{path} keeps weights in other files", _FIX)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is raised
        try:
            session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its classes have no common base of their own
            raise CorpusError(f"{path} is no graph for ONNX Runtime: {error}", _FIX) from error
        given = {each.name for each in session.get_outputs()}
        self._outputs = [name for name in OUTPUTS if name in given]
        taken = [(each.name, each.shape, each.type) for each in session.get_inputs()]
        if taken != [(INPUT, [1, window_samples], "tensor(float)")] or "score" not in self._outputs:
            raise CorpusError(
                f"{path} takes {taken} and gives {self._outputs}, "
                f"not the score of {INPUT} (1, {window_samples})",
                _FIX,
            )
        self._session = session
        self._pool = ThreadPoolExecutor(threads, "onnx") if threads > 1 else None
        self.description = f"onnxruntime {onnxruntime.__version__}, {threads} thread(s)"

    def __call__(self, windows: np.ndarray) -> Outputs:
        rows = np.split(windows, len(windows))
        found = map(self._one, rows) if self._pool is None else self._pool.map(self._one, rows)
        return joined(list(found))

    def explain(self, windows: np.ndarray) -> Outputs:
        return self(windows)

    def _one(self, window: np.ndarray) -> Outputs:
        values = self._session.run(self._outputs, {INPUT: window})
        arrays = {
            name: np.asarray(value) for name, value in zip(self._outputs, values, strict=True)
        }
        return Outputs(**{**arrays, "score": arrays["score"].astype(np.float64)})


def onnx_installed() -> bool:
    """Whether ONNX Runtime is there, without importing it."""
    return importlib.util.find_spec("onnxruntime") is not None
