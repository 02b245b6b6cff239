"""Holes of drawn shapes, as objects and brushes leave them."""

from __future__ import annotations

import cv2
import numpy as np

from forensics.draws import uniform
from forensics.training.inpainter.config import HoleConfig

_TRIES = 12


def drawn_hole(side: int, config: HoleConfig, rng: np.random.Generator) -> np.ndarray:
    """bool (side, side), never empty and never all; its area as near the drawn one as is easy."""
    wanted = uniform(rng, config.area) * side * side
    shape = _strokes if rng.random() < config.strokes else _blob
    best = np.zeros((side, side), bool)
    for _ in range(_TRIES):
        hole = shape(side, wanted, rng)
        if abs(hole.sum() - wanted) < abs(best.sum() - wanted) and not hole.all():
            best = hole
        if 0.6 * wanted < best.sum() < 1.5 * wanted:
            break
    if not best.any():
        best[side // 4 : side // 2, side // 4 : side // 2] = True
    return best


def _blob(side: int, area: float, rng: np.random.Generator) -> np.ndarray:
    """A closed outline around a drawn point: a person's or a car's silhouette, roughly."""
    aspect = float(np.exp(rng.uniform(-0.7, 0.7)))
    radius = float(np.sqrt(area / np.pi))
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    bumps = sum(
        rng.normal(0, 0.25 / k) * np.cos(k * angles + rng.uniform(0, 6)) for k in range(1, 5)
    )
    reach = radius * np.exp(bumps)
    x = rng.uniform(0.2, 0.8) * side + reach * np.cos(angles) * aspect**0.5
    y = rng.uniform(0.2, 0.8) * side + reach * np.sin(angles) / aspect**0.5
    outline = np.rint(np.stack([x, y], axis=1)).astype(np.int32)
    canvas = np.zeros((side, side), np.uint8)
    cv2.fillPoly(canvas, [outline], 1)
    return canvas.astype(bool)


def _strokes(side: int, area: float, rng: np.random.Generator) -> np.ndarray:
    """Thick strokes until the area is about covered."""
    canvas = np.zeros((side, side), np.uint8)
    for _ in range(8):
        width = int(rng.uniform(0.08, 0.25) * side) + 1
        start, end = rng.integers(0, side, 2), rng.integers(0, side, 2)
        cv2.line(canvas, start.tolist(), end.tolist(), 1, width)
        if canvas.sum() >= 0.8 * area:
            break
    return canvas.astype(bool)
