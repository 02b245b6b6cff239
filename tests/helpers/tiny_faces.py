"""Tiny ONNX graphs with the inputs and outputs of face models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def yunet(path: Path) -> Path:
    """What OpenCV takes for YuNet: every bright cell of 32 pixels is a face of 64 pixels with five
    landmarks at fixed places around its middle."""
    nodes, outputs = [], []
    constants = {
        "zero": [0.0],
        "slope": [0.2],
        "middle": [-128.0 * 0.2],
        "box": [0.5, 0.5, np.log(2), np.log(2)],
        "points": np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.1, 1.0], [0.9, 1.0]]).ravel(),
        "row": np.array([1, -1, 1], np.int64),
    }
    initial = [
        numpy_helper.from_array(
            np.asarray(value, np.int64 if name == "row" else np.float32).reshape(-1), name
        )
        for name, value in constants.items()
    ]
    for stride in (8, 16, 32):
        s = str(stride)
        nodes += [
            helper.make_node("AveragePool", ["input"], [f"a{s}"], kernel_shape=[stride] * 2,
                             strides=[stride] * 2),
            helper.make_node("ReduceMean", [f"a{s}"], [f"m{s}"], axes=[1], keepdims=1),
            helper.make_node("Reshape", [f"m{s}", "row"], [f"r{s}"]),
            helper.make_node("Mul", [f"r{s}", "slope"], [f"s{s}"]),
            helper.make_node("Add", [f"s{s}", "middle"], [f"l{s}"]),
            helper.make_node("Sigmoid", [f"l{s}"], [f"p{s}"]),
            helper.make_node("Mul", [f"p{s}", "zero"], [f"z{s}"]),
            helper.make_node("Identity", [f"{'p' if stride == 32 else 'z'}{s}"], [f"cls_{s}"]),
            helper.make_node("Identity", [f"{'p' if stride == 32 else 'z'}{s}"], [f"obj_{s}"]),
            helper.make_node("Add", [f"z{s}", "box"], [f"bbox_{s}"]),
            helper.make_node("Add", [f"z{s}", "points"], [f"kps_{s}"]),
        ]  # fmt: skip
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        outputs += [
            helper.make_tensor_value_info(f"{kind}_{s}", TensorProto.FLOAT, [1, None, width])
            for s in (8, 16, 32)
        ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, None, None])
    return _saved(nodes, [given], outputs, initial, path)


def embedder(
    path: Path, side: int | None = 112, batch: int | None = None, last: bool = False, scale=1.0
) -> Path:
    """Vectors of 12: the mean of every channel in the quarters of a crop, as the pixels come in."""
    shape = [batch, side, side, 3] if last else [batch, 3, side, side]
    given = helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [batch, 12])
    half = (side or 112) // 2
    nodes = [
        helper.make_node("Transpose", ["data"], ["x"], perm=[0, 3, 1, 2] if last else [0, 1, 2, 3]),
        helper.make_node("AveragePool", ["x"], ["a"], kernel_shape=[half] * 2, strides=[half] * 2),
        helper.make_node("Flatten", ["a"], ["f"]),
        helper.make_node("Mul", ["f", "scale"], ["fc1"]),
    ]
    initial = [numpy_helper.from_array(np.array([scale], np.float32), "scale")]
    return _saved(nodes, [given], [made], initial, path)


def _saved(nodes, inputs, outputs, initial, path: Path) -> Path:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
