"""Splicebuster-like: parts whose micro-texture is not the picture's.

D. Cozzolino, G. Poggi, L. Verdoliva, "Splicebuster: a new blind image splicing detector", IEEE
WIFS 2015. Written from the paper, with two changes of ours: windows of 64 instead of 128 pixels,
and a robust law of the whole picture with outliers instead of a law for each of two parts, which
on small frames took the scene's content for a splice.

A third-order high-pass residual is quantised to three values; how often four in a row occur
together, along and across the derivative, describes a window. After PCA, windows far from the law
that most of them follow do not belong. Content is another texture too: a map to look at, and next
to no evidence on the picture as a whole.
"""

from __future__ import annotations

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import cannot, luma, strips, too_small
from forensics.detectors.image.planes import spread
from forensics.media.image import Picture

STEP = 8
WINDOW = 64
STRIP_STEPS = 8
QUANTUM = 2.0
DERIVATIVE = (1, -3, 3, -1)
DIMENSIONS = 16
MAX_CELLS = 40_000
SIDE = 192
EM_STEPS = 15
FREEDOM = 3.0
RIDGE = 1e-3
MAX_CLIPPED = 0.5
CALLED = 6.0  # times the median squared distance


@register_image_detector
class Splicebuster(ImageDetector):
    name = "splicebuster"
    version = "1"
    licence = "Apache-2.0"
    summary = "parts whose micro-texture (co-occurrences of a high-pass residual) is another"
    paper = "Cozzolino et al., IEEE WIFS 2015 (our writing of it)"

    def examine(self, picture: Picture) -> Finding:
        reason = too_small(picture, SIDE)
        if reason:
            return cannot(reason)
        grey = luma(picture.pixels)
        step = step_for(grey.shape)
        features, clipped = window_features(grey, step)
        good = clipped < MAX_CLIPPED
        if good.sum() < 8 * DIMENSIONS:
            return cannot("nearly all of the picture is black, white or flat")
        squared = distances(principal(features[good]))
        usual = max(float(np.median(squared)), 1e-9)
        heat = np.zeros(good.shape)
        heat[good] = squared / (squared + CALLED * usual)
        shape = picture.pixels.shape[:2]
        span = max(1, WINDOW // step)
        full = spread(heat, step, shape, (span - 1) * step // 2)
        return Finding(
            score=-float(np.log((np.quantile(squared, 0.99) + 1e-9) / usual)),
            heatmap=full,
            mask=full.above(0.5),
            details={"step": step, "window": span * step},
        )


def step_for(shape: tuple[int, ...]) -> int:
    """Pixels between windows: wider in large pictures, so that their number is bounded."""
    step = STEP
    while (shape[0] // step) * (shape[1] // step) > MAX_CELLS:
        step *= 2
    return step


def window_features(grey: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (H, W) → roots of the co-occurrence shares of each window, float32 (rows, columns,
    50), and the share of its pixels that say nothing (clipped), float32 (rows, columns)."""
    import cv2

    codes = symmetric_codes()
    kinds = int(codes.max()) + 1
    down, across = grey.shape[0] // step, grey.shape[1] // step
    cells = np.zeros((2 * kinds + 1, down, across), np.float32)
    for top, bottom in strips(0, down, max(1, STRIP_STEPS * STEP // step)):
        cells[:, top:bottom] = _cell_counts(grey, top * step, bottom * step, step, codes)
    span = max(1, WINDOW // step)
    sums = np.stack(
        [cv2.boxFilter(layer, -1, (span, span), anchor=(0, 0), normalize=False) for layer in cells]
    )[:, : down - span + 1, : across - span + 1]
    clipped = sums[-1] / (span * span * step * step)
    parts = []
    for half in (sums[:kinds], sums[kinds : 2 * kinds]):
        parts.append(np.sqrt(half / np.maximum(half.sum(axis=0), 1)))
    return np.moveaxis(np.concatenate(parts), 0, -1), clipped


def _cell_counts(
    grey: np.ndarray, top: int, bottom: int, step: int, codes: np.ndarray
) -> np.ndarray:
    """How often each code begins in each cell of rows [top, bottom): along the derivative, then
    across it; last, the pixels at black or white, which are left out of both."""
    margin = 8
    first, last = max(0, top - margin), min(grey.shape[0], bottom + margin)
    width = grey.shape[1] // step * step
    kinds = int(codes.max()) + 1
    rows = (bottom - top) // step
    piece = grey[first:last].astype(np.int16)
    lost = ((piece < 2) | (piece > 253))[top - first : bottom - first, :width]
    counts = np.zeros((2 * kinds + 1, rows, width // step), np.float32)
    counts[-1] = lost.reshape(rows, step, -1, step).sum(axis=(1, 3))
    cell = (np.arange(bottom - top) // step)[:, None] * (width // step)
    cell = cell + (np.arange(width) // step)[None, :]
    for axis in (0, 1):
        levels = _quantised_residual(piece, axis)
        for turn, run in enumerate((axis, 1 - axis)):
            code = codes[_four_in_a_row(levels, run)]
            code = code[top - first : bottom - first, :width]
            index = (code * (rows * (width // step)) + cell)[~lost]
            found = np.bincount(index, minlength=kinds * rows * (width // step))
            counts[turn * kinds : (turn + 1) * kinds] += found.reshape(kinds, rows, -1)
    return counts


def _quantised_residual(piece: np.ndarray, axis: int) -> np.ndarray:
    """int16 (H, W) → 0, 1 or 2: the third derivative, quantised and cut off."""
    padded = np.pad(piece, [(1, 2) if axis == k else (0, 0) for k in (0, 1)], mode="edge")
    length = piece.shape[axis]
    residual = np.zeros(piece.shape, np.float32)
    for shift, factor in enumerate(DERIVATIVE):
        residual += factor * np.take(padded, range(shift, shift + length), axis=axis)
    return (np.clip(np.rint(residual / QUANTUM), -1, 1) + 1).astype(np.int64)


def _four_in_a_row(levels: np.ndarray, axis: int) -> np.ndarray:
    """Base-3 number of a pixel's level and those of the next three along `axis`."""
    padded = np.pad(levels, [(0, 3) if axis == k else (0, 0) for k in (0, 1)], mode="edge")
    length, number = levels.shape[axis], np.zeros_like(levels)
    for shift in range(4):
        number = number * 3 + np.take(padded, range(shift, shift + length), axis=axis)
    return number


def symmetric_codes() -> np.ndarray:
    """int64 (81,): the class of each four, alike for its mirror image and for its negative."""
    digits = np.stack([np.arange(81) // 3**power % 3 for power in (3, 2, 1, 0)], axis=1)
    weights = np.array([27, 9, 3, 1])
    same = [digits, digits[:, ::-1], 2 - digits, (2 - digits)[:, ::-1]]
    smallest = np.min([variant @ weights for variant in same], axis=0)
    return np.unique(smallest, return_inverse=True)[1]


def principal(features: np.ndarray) -> np.ndarray:
    """(n, features) → float64 (n, 16): the coordinates with most variance, in units of the
    first one's deviation."""
    centred = features - features.mean(axis=0)
    covariance = (centred.T @ centred).astype(np.float64) / len(centred)
    values, vectors = np.linalg.eigh(covariance)
    points = centred @ vectors[:, ::-1][:, :DIMENSIONS]
    return points / max(float(np.sqrt(values[-1])), 1e-9)


def distances(points: np.ndarray) -> np.ndarray:
    """(n, d) → float64 (n,): squared Mahalanobis distance from the law of most of the points.

    Mean and covariance of a multivariate t law (EM), so that a part which is another texture
    counts little in what it is compared with.
    """
    dimensions = points.shape[1]
    ridge = np.eye(dimensions) * RIDGE * float(points.var(axis=0).mean() + 1e-12)
    weights, squared = np.ones(len(points)), np.zeros(len(points))
    for _ in range(EM_STEPS):
        mean = weights @ points / weights.sum()
        off = points - mean
        covariance = (off * weights[:, None]).T @ off / len(points) + ridge
        squared = (off * np.linalg.solve(covariance, off.T).T).sum(axis=1)
        weights = (FREEDOM + dimensions) / (FREEDOM + squared)
    return squared
