"""Masks of an edit: around an object, or on a free spot; of drawn shape and size.

Shapes and sizes vary so that a detector cannot learn what masks look like instead of forgeries.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np

from forensics.scenes.regions import Box, box_of, ellipse

MaskShape = Literal["outline", "ellipse", "box", "blob"]
SHAPES: tuple[MaskShape, ...] = ("outline", "ellipse", "box", "blob")

AREAS = (0.003, 0.15)
"""Share of the frame that a mask covers."""


def around(outline: np.ndarray, shape: MaskShape, growth: float, rng: np.random.Generator):
    """A mask that covers an object and a margin.

    Args:
        outline: bool (H, W), the object.
        shape: what is laid over its box; "outline" follows the object.
        growth: wanted area over the object's own, at least 1; kept within `AREAS`.
        rng: draws the blob.

    Returns:
        bool (H, W). Covers the object and at least two pixels around it.
    """
    base = outline | drawn(box_of(outline), shape, outline.shape, rng)
    if base.mean() > AREAS[1]:
        base = outline
    margin = 2.0 + 0.03 * math.sqrt(float(outline.sum()))
    wanted = min(max(growth * float(outline.mean()), AREAS[0]), AREAS[1])
    return _grown(base, margin, round(wanted * base.size)) | _grown(outline, margin, 0)


def drawn(
    box: Box,
    shape: MaskShape,
    frame: tuple[int, ...],
    rng: np.random.Generator,
    outline: np.ndarray | None = None,
) -> np.ndarray:
    """A shape that fills a box; bool (H, W), never empty.

    Args:
        box: inside of the frame.
        shape: "outline" borrows another object's outline, or is an ellipse where there is none.
        frame: (H, W).
        rng: draws the blob.
        outline: bool, the mask of that other object.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    canvas = np.zeros(frame[:2], np.uint8)
    if shape == "box":
        canvas[top:bottom, left:right] = 1
    elif shape == "outline" and outline is not None:
        x0, y0, x1, y1 = box_of(outline)
        part = cv2.resize(outline[y0:y1, x0:x1].astype(np.float32), (width, height))
        canvas[top:bottom, left:right] = part > 0.5
    elif shape == "blob":
        corners = _blob(rng) * ((width - 1) / 2, (height - 1) / 2)
        corners += ((left + right - 1) / 2, (top + bottom - 1) / 2)
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
    else:
        canvas[top:bottom, left:right] = ellipse(height, width)
    if not canvas.any():
        canvas[top:bottom, left:right] = 1
    return canvas > 0


def _blob(rng: np.random.Generator) -> np.ndarray:
    """(n, 2) corners of an irregular closed curve that fills [-1, 1] in both directions."""
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = np.ones_like(angle)
    for k in range(2, 8):
        radius += rng.uniform(0.05, 0.5) / k * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    curve = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low, high = curve.min(axis=0), curve.max(axis=0)
    return (curve - low) / (high - low) * 2 - 1


def _grown(mask: np.ndarray, margin: float, wanted: int) -> np.ndarray:
    """Grown by `margin` pixels, or by more until `wanted` pixels are covered."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    if int((distance <= margin).sum()) < wanted:
        margin = float(np.partition(distance, wanted - 1, axis=None)[wanted - 1])
    return distance <= margin
