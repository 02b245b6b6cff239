"""Where something can be added: flat, away from objects, at a size that fits the perspective."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from forensics.scenes.change import reduced
from forensics.scenes.objects import SceneObject
from forensics.scenes.regions import Box, ellipse_kernel

_METRES = {"person": 1.7, "vehicle": 1.6}
_FLAT_SHARE = 0.5  # of all free places, the flatter half
_FLAT = 16.0  # mean Sobel slope, two grey levels a pixel: flat enough wherever it is
_BLACK = 8  # of 255: letterbox bars


class FreeSpots:
    """The free places of one frame.

    Args:
        pixels: uint8 (H, W, 3).
        objects: what must not be covered.
    """

    def __init__(self, pixels: np.ndarray, objects: Sequence[SceneObject]):
        self._full = pixels.shape[:2]
        small = reduced(pixels)
        self._scale = small.shape[1] / self._full[1]
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        size = (grey.shape[1], grey.shape[0])
        taken = np.zeros(grey.shape, bool)
        for found in objects:
            taken |= cv2.resize(found.mask.astype(np.float32), size) > 0
        near = cv2.dilate(taken.astype(np.uint8), ellipse_kernel(5, 5)) > 0
        self._slopes = slope
        self._taken = (near | (grey < _BLACK)).astype(np.float32)
        self._height_at = perspective(objects)

    def find(
        self,
        width: int,
        height: int,
        rng: np.random.Generator,
        metres: float | None = None,
        rows: tuple[float, float] = (0.0, 1.0),
    ) -> Box | None:
        """A free box of that size, every fitting place equally likely.

        Up to half of it may lie beyond an edge, where it is cut off: else the middle of the frame
        would be covered more often than its edges.

        Args:
            width: pixels of the frame.
            height: pixels of the frame.
            rng: draws the place.
            metres: how tall a thing on the ground would be, which decides how far down in the
                frame it stands. None for what does not stand.
            rows: where the middle of the box may lie, from 0, the frame's upper edge, to 1.

        Returns:
            None when there is no such place.
        """
        w, h = max(2, round(width * self._scale)), max(2, round(height * self._scale))
        if h > self._taken.shape[0] or w > self._taken.shape[1]:
            return None
        inside = _sums(np.ones_like(self._taken), w, h)
        taken, slopes = _sums(self._taken, w, h) / inside, _sums(self._slopes, w, h) / inside
        free = taken <= 0.02
        if metres is not None:
            feet = (np.arange(free.shape[0]) - h // 2 + h) / self._scale
            free &= self._stands(feet, height, metres)[:, None]
        middle = np.linspace(0.0, 1.0, free.shape[0])
        free &= ((middle >= rows[0]) & (middle <= rows[1]))[:, None]
        if not free.any():
            return None
        flat = free & (slopes <= max(float(np.quantile(slopes[free], _FLAT_SHARE)), _FLAT))
        choices = np.flatnonzero(flat)
        row, column = divmod(int(choices[int(rng.random() * len(choices))]), flat.shape[1])
        left = round((column - w // 2) / self._scale)
        top = round((row - h // 2) / self._scale)
        return (
            max(left, 0),
            max(top, 0),
            min(left + width, self._full[1]),
            min(top + height, self._full[0]),
        )

    def _stands(self, feet: np.ndarray, height: int, metres: float) -> np.ndarray:
        """bool per row of feet: a thing of that size is plausible there."""
        if self._height_at is None:
            return feet > 0.35 * self._full[0]
        expected = self._height_at(feet) * metres / _METRES["person"]
        return (height > 0.6 * expected) & (height < 1.6 * expected)


def perspective(objects: Sequence[SceneObject]) -> Callable[[np.ndarray], np.ndarray] | None:
    """Row of the feet → height in pixels of a grown person there, from people and vehicles seen.

    On flat ground the height is proportional to the distance below the horizon. None where
    nothing of known size is seen; with one size of thing only, the horizon is put well above it.
    """
    seen = [
        (o.box[3], (o.box[3] - o.box[1]) * 1.7 / _METRES[o.label])
        for o in objects
        if o.label in _METRES
    ]
    if not seen:
        return None
    feet, heights = (np.array(v, float) for v in zip(*seen, strict=True))
    rate, horizon = 0.0, 0.0
    if np.ptp(feet) > 0.5 * heights.mean():
        rate, offset = np.polyfit(feet, heights, 1)
        horizon = -offset / rate if rate > 0 else 0.0
    if not (rate > 0 and horizon < feet.min()):
        horizon = feet.mean() - 2.5 * heights.mean()
        rate = heights.mean() / (feet.mean() - horizon)
    return lambda rows: np.maximum(rate * (rows - horizon), 1.0)


def _sums(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """Sums over all windows of that size that have their middle in the frame, float32.

    Entry (i, j) is of the window whose upper left corner is (i - height // 2, j - width // 2).
    """
    top, left = height // 2, width // 2
    padded = np.pad(values, ((top, height - top), (left, width - left)))
    integral = cv2.integral(padded)
    lower, upper = integral[height:], integral[:-height]
    sums = lower[:, width:] - lower[:, :-width] - upper[:, width:] + upper[:, :-width]
    return sums.astype(np.float32)
