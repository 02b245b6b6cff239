"""Noise level: where the noise is not what the picture's own light and texture foretell.

B. Mahdian, S. Saic, "Using noise inconsistencies for blind image forensics", Image and Vision
Computing 27(10), 2009. Written from the paper, with one addition of ours: the level is compared
with what the picture itself shows at the same brightness and texture, by a robust fit.

The finest diagonal wavelet band holds noise and little else; its median absolute value estimates
the noise in a block.
"""

from __future__ import annotations

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import (
    box_mean,
    cannot,
    luma,
    strips,
    too_small,
    without_specks,
)
from forensics.detectors.image.planes import spread
from forensics.media.image import Picture

CELL = 16
ROWS = 512
MEDIAN_TO_SIGMA = 0.6745
LEAST_NOISE = 0.45  # grey levels; rounding alone makes a third
SILENT_SHARE = 0.7
FIT_STEPS = 8
WINDOW = 3
FULL_HEAT = 13.0
CALLED = 6.5
MIN_CELLS = 6
SIDE = 128
# Low-pass and high-pass of the Daubechies wavelet with two vanishing moments.
ROOT3 = 3**0.5
LOW = np.array([1 + ROOT3, 3 + ROOT3, 3 - ROOT3, 1 - ROOT3]) / (4 * 2**0.5)
HIGH = LOW[::-1] * np.array([1, -1, 1, -1])


@register_image_detector
class NoiseLevel(ImageDetector):
    name = "noise-level"
    version = "1"
    licence = "Apache-2.0"
    summary = "local noise against what light and texture foretell"
    paper = "Mahdian & Saic, Image and Vision Computing 27(10), 2009"

    def examine(self, picture: Picture) -> Finding:
        reason = too_small(picture, SIDE)
        if reason:
            return cannot(reason)
        sigma, light, texture, clipped = cell_statistics(luma(picture.pixels))
        heard = (sigma > LEAST_NOISE) & ~clipped
        if heard.mean() < 1 - SILENT_SHARE:
            return cannot("compression or processing left no noise to compare")
        deviation = unexpected(sigma, light, texture, heard)
        summed = smooth_over(deviation, heard, WINDOW)
        # Neighbouring cells hold the same objects, so sums spread wider than for independent ones.
        local = np.abs(summed) / max(float(np.median(np.abs(summed[heard]))) / MEDIAN_TO_SIGMA, 1)
        mask = without_specks(local > CALLED, MIN_CELLS)
        shape = picture.pixels.shape[:2]
        return Finding(
            score=-float(np.quantile(local, 0.995)),
            heatmap=spread(np.clip(local / FULL_HEAT, 0, 1), CELL, shape),
            mask=spread(mask, CELL, shape).above(0.5),
            details={
                "median_sigma": round(float(np.median(sigma[heard])), 3),
                "judged_share": round(float(heard.mean()), 3),
            },
        )


def cell_statistics(grey: np.ndarray) -> tuple[np.ndarray, ...]:
    """uint8 (H, W) → per 16 x 16 cell: noise sigma, brightness, texture (all float32), and
    bool: too much at black or white to be measured."""
    import cv2

    height, width = (side // CELL * CELL for side in grey.shape)
    parts: list[list[np.ndarray]] = [[], [], [], []]
    for top, bottom in strips(0, height, ROWS):
        # With a margin, so that the strips' borders do not show.
        first, last = max(0, top - 8), min(grey.shape[0], bottom + 8)
        piece = grey[first:last, :width].astype(np.float32)
        inner = slice(top - first, bottom - first)
        finest = np.abs(cv2.sepFilter2D(piece, cv2.CV_32F, HIGH, HIGH))[inner]
        broad = cv2.GaussianBlur(piece, (0, 0), 2.0)
        slope_x, slope_y = cv2.Sobel(broad, -1, 1, 0), cv2.Sobel(broad, -1, 0, 1)
        slope = np.sqrt(slope_x**2 + slope_y**2)[inner]
        raw = grey[top:bottom, :width]
        parts[0].append(np.median(_cells(finest), axis=-1) / MEDIAN_TO_SIGMA)
        parts[1].append(_cells(piece[inner]).mean(axis=-1))
        parts[2].append(_cells(slope).mean(axis=-1))
        parts[3].append(_cells((raw < 3) | (raw > 252)).mean(axis=-1) > 0.1)
    sigma, light, texture, clipped = (np.concatenate(part) for part in parts)
    return sigma, light, texture, clipped


def _cells(plane: np.ndarray) -> np.ndarray:
    """(H, W) → (H // 16, W // 16, 256)."""
    down, across = plane.shape[0] // CELL, plane.shape[1] // CELL
    cells = plane.reshape(down, CELL, across, CELL).swapaxes(1, 2)
    return cells.reshape(down, across, CELL * CELL)


def unexpected(
    sigma: np.ndarray, light: np.ndarray, texture: np.ndarray, heard: np.ndarray
) -> np.ndarray:
    """How many robust deviations log sigma lies off a quadratic in brightness and log texture.

    Fitted by iteratively reweighted least squares (Cauchy weights), so that a forged part does
    not pull the fit; 0 where nothing is heard.
    """
    tone = light / 128 - 1
    grain = np.log(texture + 0.5)
    columns = np.stack([np.ones_like(tone), tone, tone**2, grain, grain**2, tone * grain], axis=-1)
    design, level = columns[heard].astype(np.float64), np.log(sigma[heard]).astype(np.float64)
    weights = np.ones(len(level))
    scale, fit = 1.0, np.zeros(design.shape[1])
    for _ in range(FIT_STEPS):
        root = np.sqrt(weights)
        fit = np.linalg.lstsq(design * root[:, None], level * root, rcond=None)[0]
        off = level - design @ fit
        scale = max(float(np.median(np.abs(off))) / MEDIAN_TO_SIGMA, 0.02)
        weights = 1 / (1 + (off / (2 * scale)) ** 2)
    deviation = np.zeros(sigma.shape, np.float32)
    deviation[heard] = (level - design @ fit) / scale
    return deviation


def smooth_over(values: np.ndarray, valid: np.ndarray, side: int) -> np.ndarray:
    """Sum over the valid of `side` x `side` cells by the root of their number: unit deviation
    for independent cells."""
    weight = box_mean(valid.astype(np.float32), side) * side * side
    total = box_mean(np.where(valid, values, 0), side) * side * side
    return total / np.sqrt(np.maximum(weight, side))
