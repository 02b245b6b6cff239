"""Heatmaps and masks in a picture's own size that are drawn in bands of rows, when they are needed.

A float32 map of 50 megapixels is larger than the picture itself. Methods that look at cells keep
one value a cell and draw pixels from them; nobody holds more than a band but who asks for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

BAND = 256


@dataclass(frozen=True, eq=False)
class Plane:
    """(H, W) values. `np.asarray(plane)` draws them all.

    Attributes:
        rows: draws the rows [top, bottom), an array (bottom - top, W); the same values however the
            rows are divided.
    """

    shape: tuple[int, int]
    rows: Callable[[int, int], np.ndarray]

    @classmethod
    def of(cls, array: np.ndarray) -> Self:
        """An array (H, W) that is there anyway."""
        height, width = array.shape
        return cls((height, width), lambda top, bottom: array[top:bottom])

    @classmethod
    def packed(cls, mask: np.ndarray) -> Self:
        """bool (H, W), kept as one bit a pixel."""
        height, width = mask.shape
        bits = np.packbits(mask, axis=1)

        def rows(top: int, bottom: int) -> np.ndarray:
            return np.unpackbits(bits[top:bottom], axis=1, count=width).view(bool)

        return cls((height, width), rows)

    def bands(self, rows: int = BAND) -> Iterator[tuple[int, np.ndarray]]:
        """Band after band, each with its first row."""
        for top in range(0, self.shape[0], rows):
            yield top, self.rows(top, min(top + rows, self.shape[0]))

    def above(self, level: float) -> Self:
        """bool: where the values are above the level."""
        return type(self)(self.shape, lambda top, bottom: self.rows(top, bottom) > level)

    def share(self) -> float:
        """Share of the pixels that are not 0 or False."""
        count = sum(int(np.count_nonzero(band)) for _, band in self.bands())
        return count / (self.shape[0] * self.shape[1])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        whole: np.ndarray | None = None
        for top, band in self.bands():
            if whole is None:
                whole = np.empty(self.shape, band.dtype if dtype is None else dtype)
            whole[top : top + len(band)] = band
        return np.empty(self.shape, dtype) if whole is None else whole


def spread(cells: np.ndarray, step: int, shape: tuple[int, int], offset: int = 0) -> Plane:
    """A map with one value per `step` pixels → float32 (H, W), linear between the cells' middles.

    `offset` is where the first cell begins; pixels outside take the nearest cell's value.
    """
    import cv2

    def positions(first: int, last: int, count: int) -> np.ndarray:
        middle = (np.arange(first, last) + 0.5 - offset) / step - 0.5
        return np.clip(middle, 0, count - 1).astype(np.float32)

    source = np.ascontiguousarray(cells, dtype=np.float32)
    columns = positions(0, shape[1], cells.shape[1])

    def rows(top: int, bottom: int) -> np.ndarray:
        map_x = np.ascontiguousarray(np.broadcast_to(columns, (bottom - top, shape[1])))
        down = positions(top, bottom, cells.shape[0])
        map_y = np.ascontiguousarray(np.broadcast_to(down[:, None], map_x.shape))
        return cv2.remap(source, map_x, map_y, cv2.INTER_LINEAR)

    return Plane(shape, rows)


def enlarged(values: np.ndarray, shape: tuple[int, int]) -> Plane:
    """float32 (h, w) → float32 (H, W), not smaller: linear, as OpenCV's `resize` places pixels."""
    source = np.ascontiguousarray(values, dtype=np.float32)
    if source.shape == shape:
        return Plane.of(source)

    def between(first: int, last: int, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the pixels along an axis: the two values beside each, and the second one's share."""
        count = source.shape[axis]
        middle = (np.arange(first, last) + 0.5) * (count / shape[axis]) - 0.5
        before = np.floor(middle).astype(np.int64)
        share = (middle - before).astype(np.float32)
        return np.clip(before, 0, count - 1), np.clip(before + 1, 0, count - 1), share

    left, right, across = between(0, shape[1], 1)

    def rows(top: int, bottom: int) -> np.ndarray:
        upper, lower, down = between(top, bottom, 0)
        first = upper[0]
        near = source[first : lower[-1] + 1]
        wide = near[:, left] * (1 - across) + near[:, right] * across
        down = down[:, None]
        return wide[upper - first] * (1 - down) + wide[lower - first] * down

    return Plane(shape, rows)
