"""A user's trained face embedder, as one ONNX file: SFace, ArcFace and their kin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from forensics.errors import UsageError
from forensics.faces.base import CROP_SIDE, FaceEmbedder
from forensics.faces.files import model_file, sha256

Family = Literal["arcface", "sface"]
Scale = Annotated[float, Field(gt=0)]


class PixelFormat(BaseModel):
    """How a model wants its pixels: `(value - mean) / scale`, value from 0 to 255.

    Attributes:
        channels: their order.
        mean, scale: of the three channels, in that order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[Scale, Scale, Scale] = (1.0, 1.0, 1.0)


FAMILIES: dict[Family, PixelFormat] = {
    "arcface": PixelFormat(mean=(127.5, 127.5, 127.5), scale=(127.5, 127.5, 127.5)),
    "sface": PixelFormat(),
}
"""ArcFace as InsightFace exports it; SFace, and the ArcFace of the ONNX zoo, take plain RGB."""

_SOURCE = (
    "SFace lies in OpenCV's model zoo (Apache-2.0); the weights of InsightFace are for "
    "non-commercial research"
)


class OnnxEmbedder(FaceEmbedder):
    """Any graph from one batch of face crops, channels first or last, to one vector a face.

    The side is the one that the graph declares, else 112.

    Args:
        model: the ONNX file.
        format: a family that is known, or how the pixels are wanted.

    Raises:
        MissingRequirement: no such file.
        UsageError: not such a graph, or nothing says how it wants its pixels.
    """

    def __init__(self, model: Path | None, format: PixelFormat | Family | None):
        path = model_file(model, "a face embedder", _SOURCE)
        if format is None:
            raise UsageError(
                f"nothing says how {path.name} wants its pixels",
                f"name its family, {' or '.join(FAMILIES)}, or give channels, mean and scale",
            )
        self._format = FAMILIES[format] if isinstance(format, str) else format
        self._session, self._name = _session(path), path.name
        inputs = self._session.get_inputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(float)":
            raise UsageError(
                f"{path.name} takes {[(i.name, i.shape, i.type) for i in inputs]}, "
                "not one batch of float pictures",
                "give a face embedder",
            )
        self._input, self._channels_last = inputs[0].name, shape[3] == 3
        sides = shape[1:3] if self._channels_last else shape[2:]
        self._size = tuple(s if isinstance(s, int) and s > 0 else CROP_SIDE for s in sides)
        self._one_by_one = shape[0] == 1
        self._digest = sha256(path)
        self._width = self._run(np.zeros((1, CROP_SIDE, CROP_SIDE, 3), np.uint8)).shape[1]

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """As `FaceEmbedder.embed`.

        Raises:
            UsageError: a vector that is zero or not finite: pixels of another format, or another
                sort of model.
        """
        if not len(crops):
            return np.zeros((0, self._width), np.float32)
        parts = np.split(crops, len(crops)) if self._one_by_one else [crops]
        vectors = np.concatenate([self._run(part) for part in parts])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(vectors).all() or (lengths < 1e-9).any():
            raise UsageError(f"{self._name} gives vectors without direction", "check its format")
        return (vectors / lengths).astype(np.float32)

    def fingerprint(self) -> str:
        wanted = self._format
        numbers = "/".join(map(str, (*wanted.mean, *wanted.scale)))
        return f"onnx-1-{wanted.channels}-{numbers}-{self._digest}"

    def _run(self, crops: np.ndarray) -> np.ndarray:
        """float64 (N, D), as the graph gives them."""
        given = np.stack([_resized(crop, self._size) for crop in crops])
        if self._format.channels == "bgr":
            given = given[..., ::-1]
        mean, scale = (np.array(v, np.float32) for v in (self._format.mean, self._format.scale))
        given = (given - mean) / scale
        if not self._channels_last:
            given = given.transpose(0, 3, 1, 2)
        try:
            made = self._session.run(None, {self._input: np.ascontiguousarray(given)})[0]
        except Exception as error:  # ONNX Runtime's errors have no common base of their own
            why = str(error).partition("\n")[0]
            raise UsageError(f"{self._name} does not take face crops: {why}", "give one") from error
        return np.asarray(made, np.float64).reshape(len(crops), -1)


def _resized(crop: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    import cv2

    if crop.shape[:2] == size:
        return crop.astype(np.float32)
    way = cv2.INTER_AREA if size[0] < crop.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(crop, (size[1], size[0]), interpolation=way).astype(np.float32)


def _session(path: Path):
    import onnxruntime

    graph = path.read_bytes()
    if b"location" in graph:  # the key under which the format names a file of weights
        raise UsageError(f"{path.name} keeps weights in other files", "save it as one file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise UsageError(f"{path.name} is no graph for ONNX Runtime: {why}", _SOURCE) from error
