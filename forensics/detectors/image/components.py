"""Connected parts of a mask of any size, found band by band."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forensics.detectors.image.planes import Plane

BAND = 512


@dataclass(frozen=True, eq=False)
class Components:
    """The n connected parts of a mask (pixels that touch, corners too), by their first row.

    Attributes:
        boxes: int64 (n, 4): left, top, right, bottom, the last two exclusive.
        areas: int64 (n,), pixels.
        counted: int64 (n,): of them, those of the second mask; areas where there is none.
    """

    mask: Plane
    boxes: np.ndarray
    areas: np.ndarray
    counted: np.ndarray
    _numbers: np.ndarray
    _starts: list[int]

    def bands(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Bands that hold the rows [first, last): first row, and int32 (rows, W), the number of
        each pixel's part + 1, or 0."""
        import cv2

        height = self.mask.shape[0] if last is None else last
        for top in range(first // BAND * BAND, height, BAND):
            band = self.mask.rows(top, min(top + BAND, self.mask.shape[0]))
            count, labels = cv2.connectedComponents(_bytes(band), connectivity=8)
            start = self._starts[top // BAND]
            numbers = np.append(-1, self._numbers[start : start + count - 1]) + 1
            yield top, numbers.astype(np.int32)[labels.astype(np.intp)]

    def part(self, number: int, window: tuple[int, int, int, int]) -> np.ndarray:
        """bool (bottom - top, right - left): where in the window one part lies."""
        left, first, right, last = window
        found = np.zeros((last - first, right - left), bool)
        for top, labels in self.bands(first, last):
            begin, end = max(first, top), min(last, top + len(labels))
            found[begin - first : end - first] = (
                labels[begin - top : end - top, left:right] == number + 1
            )
        return found


def components(mask: Plane, second: Plane | None = None) -> Components:
    """The connected parts of a bool mask.

    Args:
        second: pixels to count in each part.
    """
    import cv2

    stats: list[np.ndarray] = []
    starts, links, begun = [], [], 0
    above = np.zeros(0, np.int64)
    for top, band in mask.bands(BAND):
        count, labels, found, _ = cv2.connectedComponentsWithStats(_bytes(band), connectivity=8)
        left, upper, width, height, area = found[1:].astype(np.int64).T
        counted = area
        if second is not None:
            inside = np.asarray(labels)[second.rows(top, top + len(band))]
            counted = np.bincount(inside, minlength=count)[1:]
        upper = upper + top
        stats.append(np.stack([left, upper, left + width, upper + height, area, counted], axis=1))
        starts.append(begun)
        numbers = np.append(-1, np.arange(begun, begun + count - 1))
        if top:
            links.append(_touching(above, numbers[labels[0]]))
        above, begun = numbers[labels[-1]], begun + count - 1
    pieces = np.concatenate(stats) if stats else np.zeros((0, 6), np.int64)
    numbers = _joined(len(pieces), np.concatenate([np.zeros((0, 2), np.int64), *links]))
    merged = np.zeros((int(numbers.max(initial=-1)) + 1, 6), np.int64)
    merged[:, :2] = np.iinfo(np.int64).max
    for column, merge in enumerate((np.minimum,) * 2 + (np.maximum,) * 2 + (np.add,) * 2):
        merge.at(merged[:, column], numbers, pieces[:, column])
    return Components(mask, merged[:, :4], merged[:, 4], merged[:, 5], numbers, starts)


def _bytes(band: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(band).view(np.uint8)


def _touching(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """(n, 2): pieces of two neighbouring rows, -1 for none, that touch."""
    pairs = []
    for shift in (-1, 0, 1):
        upper = above[max(0, shift) : len(above) + min(0, shift)]
        lower = below[max(0, -shift) : len(below) + min(0, -shift)]
        both = (upper >= 0) & (lower >= 0)
        pairs.append(np.stack([upper[both], lower[both]], axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


def _joined(count: int, links: np.ndarray) -> np.ndarray:
    """int64 (count,): the number of each piece's part, parts numbered by their first piece."""
    parent = list(range(count))

    def root(piece: int) -> int:
        while parent[piece] != piece:
            parent[piece] = parent[parent[piece]]
            piece = parent[piece]
        return piece

    for one, two in links.tolist():
        first, second = sorted((root(one), root(two)))
        parent[second] = first
    roots = np.array([root(piece) for piece in range(count)], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64).reshape(-1)
