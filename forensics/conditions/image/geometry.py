"""Other sizes: rescaled and cropped."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from forensics.conditions.image.base import ImageCondition, register_image_condition
from forensics.conditions.image.common import INTERPOLATIONS, Interpolation, resized, scaled_size
from forensics.draws import Range, log_uniform, pick, uniform, within


@register_image_condition
class Rescale(ImageCondition):
    """Both sides by one factor."""

    name: ClassVar[str] = "rescale"
    summary: ClassVar[str] = "scaled to another size"
    factor: Annotated[Range, within(0.05, 8)] = (0.5, 1.5)
    interpolations: tuple[Interpolation, ...] = Field(default=INTERPOLATIONS, min_length=1)

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        factor, interpolation = log_uniform(rng, self.factor), pick(rng, self.interpolations)
        pixels, mask = resized(pixels, mask, scaled_size(pixels, factor), interpolation)
        return pixels, mask, {"factor": factor, "interpolation": interpolation}


@register_image_condition
class Crop(ImageCondition):
    """A part of the picture, anywhere in it, so that a JPEG grid starts anywhere too.

    Where the part would hold nothing of the mask, it is moved until it holds a pixel of it.
    """

    name: ClassVar[str] = "crop"
    summary: ClassVar[str] = "cut to a part that keeps some of the mask"
    share: Annotated[Range, within(0.05, 1)] = (0.6, 0.95)
    """Of each side that is kept."""

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        sides = np.array(pixels.shape[:2])
        kept = np.maximum(1, np.rint(sides * [uniform(rng, self.share) for _ in "hw"])).astype(int)
        # Drawn whether or not there is a mask, so that later draws are blind to it.
        place, anchor = rng.random(2), rng.random()
        start = np.floor(place * (sides - kept + 1)).astype(int)
        if mask is not None and mask.any() and not _part(mask, start, kept).any():
            manipulated = np.argwhere(mask)
            pixel = manipulated[int(anchor * len(manipulated))]
            start = np.clip(start, pixel - kept + 1, pixel)
        (top, left), (height, width) = start.tolist(), kept.tolist()
        drawn = {"box": [left, top, width, height]}
        cut = None if mask is None else _part(mask, start, kept).copy()
        return _part(pixels, start, kept).copy(), cut, drawn


def _part(array: np.ndarray, start: np.ndarray, kept: np.ndarray) -> np.ndarray:
    (top, left), (bottom, right) = start, start + kept
    return array[top:bottom, left:right]
