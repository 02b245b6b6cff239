"""A descriptor of faces that has no weights: histograms of local binary patterns.

After Ahonen, Hadid and Pietikäinen, "Face Description with Local Binary Patterns", PAMI 2006:
uniform patterns at several radii, counted in the cells of a grid, on crops whose light was evened
out as by Tan and Triggs, "Enhanced Local Texture Feature Sets for Face Recognition Under Difficult
Lighting Conditions", TIP 2010. The square root of the counts (Hellinger's map) makes dot products
Bhattacharyya coefficients. How well it tells people apart, which is far from what trained embedders
do: docs/faces.md.
"""

from __future__ import annotations

import cv2
import numpy as np

from forensics.faces.base import FaceEmbedder

_BINS = 59  # 58 uniform patterns of 8 points, and one bin for all others
_SHOWN = (20, 28, 92, 108)  # left, top, right, bottom of the crop that is described
_GAMMA, _INNER, _OUTER, _LIMIT, _POWER = 0.2, 1.0, 4.0, 10.0, 0.1  # Tan and Triggs; outer ours


class LbpEmbedder(FaceEmbedder):
    """Unit vectors whose dot product is in [0, 1]; 1 is the same picture.

    A face and its mirror image have the same vector: that takes out part of the light and pose.

    Args:
        radii: pixels, of the circles of points.
        grid: cells in a row and in a column.
    """

    def __init__(self, radii: tuple[int, ...] = (1, 2, 4), grid: int = 6):
        self.radii, self.grid = radii, grid

    def embed(self, crops: np.ndarray) -> np.ndarray:
        made = np.zeros((len(crops), _BINS * self.grid**2 * len(self.radii)), np.float32)
        for row, crop in zip(made, crops, strict=True):
            grey = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)
            even = _evened(grey.astype(np.float32))
            both = self._describe(even) + self._describe(np.ascontiguousarray(even[:, ::-1]))
            row[:] = both / np.linalg.norm(both)
        return made

    def fingerprint(self) -> str:
        return f"lbp-1-{'.'.join(map(str, self.radii))}-{self.grid}"

    def _describe(self, even: np.ndarray) -> np.ndarray:
        left, top, right, bottom = _SHOWN
        parts = []
        for radius in self.radii:
            codes = _patterns(cv2.GaussianBlur(even, (0, 0), 0.5 * radius), radius)
            parts.append(_histograms(codes[top:bottom, left:right], self.grid))
        return np.sqrt(np.concatenate(parts))


def _evened(grey: np.ndarray) -> np.ndarray:
    """float32 (H, W) in 0..255 → without slow changes of light, contrast brought to one level."""
    lit = (grey / 255) ** _GAMMA
    detail = cv2.GaussianBlur(lit, (0, 0), _INNER) - cv2.GaussianBlur(lit, (0, 0), _OUTER)
    for ceiling in (np.inf, _LIMIT):
        size = np.minimum(np.abs(detail), ceiling) ** _POWER
        detail = detail / max(float(size.mean()) ** (1 / _POWER), 1e-6)
    return (_LIMIT * np.tanh(detail / _LIMIT)).astype(np.float32)


def _patterns(grey: np.ndarray, radius: int) -> np.ndarray:
    """uint8 (H, W): the uniform pattern of every pixel; neighbours beyond the border repeat it."""
    padded = np.pad(grey, radius + 1, mode="edge")
    height, width = grey.shape
    codes = np.zeros((height, width), np.uint8)
    ys, xs = np.mgrid[:height, :width].astype(np.float32) + (radius + 1)
    for bit in range(8):
        angle = 2 * np.pi * bit / 8
        dx, dy = radius * np.cos(angle), -radius * np.sin(angle)
        near = cv2.remap(padded, xs + np.float32(dx), ys + np.float32(dy), cv2.INTER_LINEAR)
        codes |= (near >= grey).astype(np.uint8) << bit
    return _uniform()[codes]


def _uniform() -> np.ndarray:
    """uint8 (256,): the number of a pattern with at most two changes around the circle, else 58."""
    codes = np.arange(256, dtype=np.uint8)
    turned = (codes >> 1) | (codes << 7)
    changes = np.unpackbits((codes ^ turned).astype(np.uint8)[:, None], axis=1).sum(axis=1)
    table = np.full(256, _BINS - 1, np.uint8)
    table[changes <= 2] = np.arange((changes <= 2).sum())
    return table


def _histograms(codes: np.ndarray, grid: int) -> np.ndarray:
    """float64 (grid² · 59,): counts in every cell."""
    rows = np.arange(codes.shape[0]) * grid // codes.shape[0]
    columns = np.arange(codes.shape[1]) * grid // codes.shape[1]
    cells = rows[:, None] * grid + columns[None]
    flat = cells.astype(np.int64) * _BINS + codes
    return np.bincount(flat.ravel(), minlength=grid * grid * _BINS).astype(float)
