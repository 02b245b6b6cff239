"""A Kokoro small enough to build in a test: a real ONNX graph, real style tables, no speech.

Every phoneme becomes 600 samples (over the speed) of a level that depends on it, plus the mean of
the style.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_SAMPLES = 600
PHONEMES = 510


def build(folder: Path, voices: tuple[str, ...] = ("af_low", "am_high")) -> str:
    """Write `tiny.onnx` and `voices/`; returns the path of the former.

    A row of the n-th voice's table holds 0.01 n, and a thousandth of the row's number.
    """
    (folder / "voices").mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(voices):
        rows = np.arange(PHONEMES, dtype="<f4")[:, None] * 1e-3 + 0.01 * number
        np.repeat(rows, 256, axis=1).tofile(folder / "voices" / f"{name}.bin")
    graph = folder / "tiny.onnx"
    onnx.save(_model(), str(graph))
    return str(graph)


def _model() -> onnx.ModelProto:
    constants = {
        "last": np.array([2]),
        "flat": np.array([-1]),
        "once": np.array([1, 1]),
        "samples": np.array([_SAMPLES], np.float32),
        "small": np.array(0.002, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["levels", "last"], ["column"]),
        helper.make_node("Div", ["samples", "speed"], ["length"]),
        helper.make_node("Cast", ["length"], ["times"], to=TensorProto.INT64),
        helper.make_node("Concat", ["once", "times"], ["repeats"], axis=0),
        helper.make_node("Tile", ["column", "repeats"], ["held"]),
        helper.make_node("Reshape", ["held", "flat"], ["wave"]),
        helper.make_node("Mul", ["wave", "small"], ["tone"]),
        helper.make_node("ReduceMean", ["style"], ["level"], keepdims=0),
        helper.make_node("Add", ["tone", "level"], ["waveform"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["m"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
