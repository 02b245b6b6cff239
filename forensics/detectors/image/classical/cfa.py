"""Colour filter array: where the traces of demosaicing are missing.

P. Ferrara, T. Bianchi, A. De Rosa, A. Piva, "Image Forgery Localization via Fine-Grained Analysis
of CFA Artifacts", IEEE TIFS 7(5), 2012. Written from the paper.

A camera measures green at every other pixel, like the black fields of a chessboard, and
interpolates the rest: a prediction from neighbours errs less at interpolated pixels. Where both
kinds err alike, the pixels did not come straight from the sensor.
"""

from __future__ import annotations

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import box_mean, cannot, strips, too_small
from forensics.detectors.image.planes import spread
from forensics.media.image import Picture

CELL = 8
ROWS = 512
SIDE = 128
LEAST_QUALITY = 95
LEAST_POWER = 0.02
EM_STEPS = 60
# Mean log ratio over the picture's cells by which demosaicing must show at all.
LEAST_TRACE = 0.25
WINDOW = 3
MIN_SHARE = 0.02


@register_image_detector
class Cfa(ImageDetector):
    name = "cfa"
    version = "1"
    licence = "Apache-2.0"
    summary = "parts without the traces of demosaicing that the rest has; hardly compressed only"
    paper = "Ferrara et al., IEEE TIFS 7(5), 2012"

    def examine(self, picture: Picture) -> Finding:
        reason = too_small(picture, SIDE)
        if reason:
            return cannot(reason)
        quality = table_quality(picture)
        if quality is not None and quality < LEAST_QUALITY:
            return cannot(
                f"JPEG of quality {quality}: demosaicing shows from {LEAST_QUALITY}",
                quality=quality,
            )
        ratio, usable = lattice_ratio(picture.pixels[..., 1])
        if usable.mean() < MIN_SHARE:
            return cannot("no texture in the green channel")
        trace = float(np.median(ratio[usable]))
        if abs(trace) < LEAST_TRACE:
            return cannot(
                "the green channel shows no demosaicing: resized, compressed or processed",
                trace=round(trace, 3),
            )
        towards = ratio * np.sign(trace)
        weight = box_mean(usable.astype(np.float32), WINDOW)
        local = box_mean(np.where(usable, towards, 0), WINDOW) / np.maximum(weight, 1e-6)
        known = weight > 0.3
        present, absent = two_levels(local[known])
        probability = np.where(known, _absence(local, present, absent), 0.0)
        shape = picture.pixels.shape[:2]
        heat = spread(box_mean(probability, WINDOW), CELL, shape)
        inner = box_mean(local, 5)[box_mean(known.astype(np.float32), 5) > 0.8]
        return Finding(
            score=float(inner.min()) if inner.size else 0.0,
            heatmap=heat,
            mask=heat.above(0.5),
            details={"trace": round(trace, 3), "green_first": trace > 0, "quality": quality},
        )


def table_quality(picture: Picture) -> int | None:
    """The IJG quality whose luma table has the mean of the file's; None without a table."""
    if not picture.quantisation:
        return None
    mean = float(np.asarray(picture.quantisation[0], dtype=np.float64).mean())
    scale = 100 * mean / IJG_MEAN
    return round((200 - scale) / 2 if scale <= 100 else 5000 / scale)


IJG_MEAN = 57.625  # of the standard luma table, quality 50


def lattice_ratio(green: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (H, W) → float32 (H // 8, W // 8): log of the error power at pixels with an even
    column + row over that at the others; and bool: cells with enough error to tell."""
    import cv2

    kernel = np.array([[0, -0.25, 0], [-0.25, 1, -0.25], [0, -0.25, 0]], np.float32)
    height, width = (side // CELL * CELL for side in green.shape)
    board = np.add.outer(np.arange(CELL), np.arange(CELL)) % 2 == 0
    even, odd = [], []
    for top, bottom in strips(0, height, ROWS):
        first, last = max(0, top - 1), min(green.shape[0], bottom + 1)
        error = cv2.filter2D(green[first:last].astype(np.float32), cv2.CV_32F, kernel)
        power = (error[top - first : bottom - first, :width]) ** 2
        cells = power.reshape((bottom - top) // CELL, CELL, width // CELL, CELL).swapaxes(1, 2)
        even.append(cells[..., board].mean(axis=-1))
        odd.append(cells[..., ~board].mean(axis=-1))
    even_power, odd_power = np.concatenate(even), np.concatenate(odd)
    usable = np.minimum(even_power, odd_power) > LEAST_POWER
    usable &= np.maximum(even_power, odd_power) < 400  # edges and text tell of themselves
    return np.log((even_power + LEAST_POWER) / (odd_power + LEAST_POWER)), usable


def two_levels(values: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """(mean, deviation) of the cells with demosaicing, and of those without, whose mean is 0:
    a mixture of two normal laws by expectation-maximisation, as in the paper."""
    mean, deviation, other = float(np.median(values)), float(values.std()) + 1e-3, 0.3
    share = 0.9
    for _ in range(EM_STEPS):
        has = share * _normal(values, mean, deviation)
        lacks = (1 - share) * _normal(values, 0.0, other)
        belief = has / (has + lacks + 1e-30)
        total, rest = belief.sum() + 1e-9, (1 - belief).sum() + 1e-9
        share = float(np.clip(total / len(values), 0.5, 0.999))
        mean = float((belief * values).sum() / total)
        deviation = max(float(np.sqrt((belief * (values - mean) ** 2).sum() / total)), 0.05)
        other = max(float(np.sqrt(((1 - belief) * values**2).sum() / rest)), 0.05)
    return (mean, deviation), (0.0, min(other, deviation))


def _normal(values: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    return np.exp(-0.5 * ((values - mean) / deviation) ** 2) / deviation


def _absence(
    local: np.ndarray, present: tuple[float, float], absent: tuple[float, float]
) -> np.ndarray:
    """Probability that a cell has no trace; one with more trace than usual has it for sure."""
    has = _normal(np.minimum(local, present[0]), *present)
    return _normal(local, *absent) / (has + _normal(local, *absent) + 1e-30)
