"""Finding, aligning and comparing faces, as a user has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from forensics.faces.align import aligned
from forensics.faces.base import Face, FaceCrop, FaceEmbedder, FaceLocator
from forensics.faces.onnx_embedder import Family, OnnxEmbedder, PixelFormat


class LocatorConfig(BaseModel):
    """What finds faces.

    Attributes:
        use: "cascade" (no download; frontal, upright), "yunet" (a user's ONNX file), "whole" (the
            picture is a face crop).
        model: file of YuNet.
        least_side: pixels; smaller faces are found but not cropped: too little of them is there.
        turns: look with the picture turned by quarters as well; four times the work.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    use: Literal["cascade", "yunet", "whole"] = "cascade"
    model: Path | None = None
    least_side: int = Field(default=32, ge=16)
    turns: bool = False


class EmbedderConfig(BaseModel):
    """What compares faces.

    Attributes:
        use: "lbp" (no download, no weights) or "onnx" (a user's file).
        model: the ONNX file.
        pixels: how the model wants them: "arcface", "sface", or channels, mean and scale.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    use: Literal["lbp", "onnx"] = "lbp"
    model: Path | None = None
    pixels: Family | PixelFormat | None = None


class FaceConfig(BaseModel):
    """A locator and an embedder."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    locator: LocatorConfig = LocatorConfig()
    embedder: EmbedderConfig = EmbedderConfig()


class FaceTools:
    """A locator, the aligner and an embedder."""

    def __init__(self, locator: FaceLocator, embedder: FaceEmbedder, least_side: int = 32):
        self._locator, self._embedder, self._least_side = locator, embedder, least_side

    def locate(self, pixels: np.ndarray) -> list[Face]:
        """Faces in uint8 (H, W, 3) RGB, largest first; an empty list where there are none.

        Raises:
            UsageError: not such pixels.
        """
        return self._locator.locate(pixels)

    def crop(self, pixels: np.ndarray, face: Face) -> FaceCrop:
        """The face upright, at 112 pixels.

        Raises:
            MediaError: too_small: a side of it is below the config's `least_side`.
        """
        return aligned(pixels, face, self._least_side)

    def embed(self, crops: Sequence[FaceCrop]) -> np.ndarray:
        """Unit vectors float32 (N, D); their dot products say how alike faces are."""
        if not crops:
            return self._embedder.embed(np.zeros((0, 112, 112, 3), np.uint8))
        return self._embedder.embed(np.stack([crop.pixels for crop in crops]))

    def width(self) -> int:
        """Values in each vector of `embed`."""
        return self.embed([]).shape[1]

    def fingerprint(self) -> str:
        """What crops and vectors depend on: of two fingerprints they are never compared."""
        return f"{self._locator.fingerprint()}+{self._embedder.fingerprint()}"


def open_faces(config: FaceConfig | None = None) -> FaceTools:
    """The tools of a config; the default needs no download.

    Raises:
        MissingRequirement: a model file that is not there.
        UsageError: a model file that is not such a model.
    """
    config = config or FaceConfig()
    return FaceTools(
        _locator(config.locator), _embedder(config.embedder), config.locator.least_side
    )


def _locator(config: LocatorConfig) -> FaceLocator:
    if config.use == "yunet":
        from forensics.faces.yunet import YuNet

        locator: FaceLocator = YuNet(config.model)
    elif config.use == "whole":
        from forensics.faces.whole import WholePicture

        locator = WholePicture()
    else:
        from forensics.faces.cascade import CascadeLocator

        locator = CascadeLocator()
    if config.turns:
        from forensics.faces.turns import Turning

        return Turning(locator)
    return locator


def _embedder(config: EmbedderConfig) -> FaceEmbedder:
    if config.use == "onnx":
        return OnnxEmbedder(config.model, config.pixels)
    from forensics.faces.lbp import LbpEmbedder

    return LbpEmbedder()
