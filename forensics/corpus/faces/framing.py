"""The cut around the face that every item takes, whatever its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.conditions.image.common import INTERPOLATIONS, resized, scaled_size
from forensics.corpus.faces.recipe import Framing
from forensics.draws import log_uniform, pick, uniform

_STREAM = 0x6672616D
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Framed:
    """A cut.

    Attributes:
        box: of the face, in pixels of the cut.
        drawn: what was drawn, JSON-safe.
    """

    pixels: np.ndarray
    mask: np.ndarray | None
    box: Box
    drawn: dict[str, Any]


def frame(
    pixels: np.ndarray,
    mask: np.ndarray | None,
    box: Box,
    framing: Framing,
    seed: int,
    least: int = 1,
) -> Framed:
    """Cut around the face and scale; all draws are made of the seed.

    Args:
        pixels: uint8 (H, W, 3); mask: bool (H, W) or None; box: of the face in these pixels.
        least: pixels of a side of the box that no scale goes below.
    """
    rng = np.random.default_rng([_STREAM, seed])
    margins = [uniform(rng, framing.margin) for _ in "ltrb"]
    factor, interpolation = log_uniform(rng, framing.scale), pick(rng, INTERPOLATIONS)
    (left, top, right, bottom), (height, width) = box, pixels.shape[:2]
    side = max(right - left, bottom - top)
    factor = max(factor, (least + 1) / min(right - left, bottom - top))
    x0 = max(0, round(left - margins[0] * side))
    y0 = max(0, round(top - margins[1] * side))
    x1 = min(width, round(right + margins[2] * side))
    y1 = min(height, round(bottom + margins[3] * side))
    cut = pixels[y0:y1, x0:x1]
    size = scaled_size(cut, factor)
    scaled, scaled_mask = resized(
        cut, None if mask is None else mask[y0:y1, x0:x1], size, interpolation
    )
    moved = (left - x0, top - y0, right - x0, bottom - y0)
    return Framed(
        scaled,
        scaled_mask,
        rescaled(moved, cut.shape[:2], size),
        {"box": [x0, y0, x1, y1], "factor": factor, "interpolation": interpolation},
    )


def without_colour(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) whose channels are equal; those of a grey picture keep their values."""
    import cv2

    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def rescaled(box: Box, before: tuple[int, ...], after: tuple[int, ...]) -> Box:
    """A box in a picture that goes from one (height, width) to another; inside, never empty."""
    down, across = after[0] / before[0], after[1] / before[1]
    left, right = _between(box[0] * across, box[2] * across, after[1])
    top, bottom = _between(box[1] * down, box[3] * down, after[0])
    return left, top, right, bottom


def _between(start: float, end: float, limit: int) -> tuple[int, int]:
    first = min(max(0, round(start)), limit - 1)
    return first, max(first + 1, min(limit, round(end)))
