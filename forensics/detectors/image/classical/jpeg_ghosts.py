"""JPEG ghosts: regions that were compressed before at another quality.

H. Farid, "Exposing Digital Forgeries from JPEG Ghosts", IEEE TIFS 4(1), 2009. Written from the
paper. Recompressed at the quality that a region had before, the region hardly changes: its error
dips there, and the rest's does not. Luma alone is looked at, so that how chroma was sampled does
not matter, and only ghosts on the picture's own 8x8 grid are looked for.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import (
    BLOCK,
    box_mean,
    cannot,
    luma,
    recompressed,
    strips,
    too_small,
    without_specks,
)
from forensics.detectors.image.planes import spread
from forensics.media.image import Picture

QUALITIES = tuple(range(40, 97, 2))
REACH = 2  # a dip is measured against the errors so many steps of quality to either side
ROWS = 256  # a multiple of 8, so that strips are compressed like the whole
WINDOW = 3  # blocks a side over which errors are averaged
LEAST_ERROR = 0.05  # squared levels; below, nothing is there to compress
MIN_CELLS = 9
SPLIT_SHARES = (0.01, 0.6)  # share of the picture that a ghost may fill
LOUD = 0.5


@register_image_detector
class JpegGhosts(ImageDetector):
    name = "jpeg-ghosts"
    version = "1"
    licence = "Apache-2.0"
    summary = "regions with an earlier compression at another quality, on the picture's grid"
    paper = "Farid, IEEE TIFS 4(1), 2009"

    def examine(self, picture: Picture) -> Finding:
        reason = too_small(picture)
        if reason:
            return cannot(reason)
        quality, strength, threshold, layer = deepest(luma(picture.pixels))
        mask = without_specks(layer > threshold, MIN_CELLS)
        heat = np.clip(layer / max(2 * threshold, 1e-6), 0, 1) * min(strength / LOUD, 1)
        shape = picture.pixels.shape[:2]
        called = mask if strength > LOUD else np.zeros_like(mask)
        return Finding(
            score=-strength,
            heatmap=spread(heat, BLOCK, shape),
            mask=spread(called, BLOCK, shape).above(0.5),
            details={
                "quality": quality,
                "strength": round(strength, 4),
                "grid": "the picture's own only",
            },
        )


def deepest(grey: np.ndarray) -> tuple[int, float, float, np.ndarray]:
    """uint8 (H, W) → the quality whose dips split the picture best, that split's strength and
    threshold, and the dips, float32 (H // 8, W // 8). A few qualities are held at a time."""
    errors: deque[np.ndarray] = deque(maxlen=2 * REACH + 1)
    found: tuple[int, float, float, np.ndarray] | None = None
    for number, quality in enumerate(QUALITIES):
        errors.append(squared_errors(grey, quality))
        if len(errors) < 2 * REACH + 1:
            continue
        layer = ghost_dips(errors[0], errors[REACH], errors[-1])
        strength, threshold = split(layer)
        if found is None or strength > found[1]:
            found = QUALITIES[number - REACH], strength, threshold, layer
    assert found is not None
    return found


def squared_errors(grey: np.ndarray, quality: int) -> np.ndarray:
    """uint8 (H, W) → float32 (H // 8, W // 8): mean squared change of each block by one
    compression, averaged over its neighbours."""
    height = grey.shape[0] // BLOCK * BLOCK
    width = grey.shape[1] // BLOCK * BLOCK
    layer = np.empty((height // BLOCK, width // BLOCK), np.float32)
    for top, bottom in strips(0, height, ROWS):
        piece = grey[top:bottom, :width]
        power = (recompressed(piece, quality).astype(np.float32) - piece) ** 2
        cells = power.reshape((bottom - top) // BLOCK, BLOCK, width // BLOCK, BLOCK)
        layer[top // BLOCK : bottom // BLOCK] = cells.mean(axis=(1, 3))
    return box_mean(layer, WINDOW)


def ghost_dips(coarser: np.ndarray, errors: np.ndarray, finer: np.ndarray) -> np.ndarray:
    """float32 (rows, columns): how far below the line through its neighbours an error lies, as a
    share of it. Without a ghost, errors fall steadily with quality."""
    line = (coarser + finer) / 2
    return np.clip((line - errors) / (line + LEAST_ERROR), -1, 1)


def split(layer: np.ndarray) -> tuple[float, float]:
    """Two classes by Otsu's criterion → (distance of their means as seen past the spread inside
    them, threshold). The distance is 0 when the upper class is a speck or most of the picture."""
    values = np.sort(layer.ravel())
    count = len(values)
    lower = np.arange(1, count)
    sums = np.cumsum(values, dtype=np.float64)
    means_low = sums[:-1] / lower
    means_high = (sums[-1] - sums[:-1]) / (count - lower)
    share = 1 - lower / count
    between = share * (1 - share) * (means_high - means_low) ** 2
    between[(share < SPLIT_SHARES[0]) | (share > SPLIT_SHARES[1])] = 0
    at = int(between.argmax())
    explained = between[at] / max(float(values.var()), 1e-9)
    strength = float((means_high[at] - means_low[at]) * explained)
    return (strength if between[at] > 0 else 0.0), float(values[at])
