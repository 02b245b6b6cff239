"""Frontal, upright faces by a cascade of LBP features: needs no download.

The classifier is the one that scikit-image carries (`lbp_frontal_face_cascade_filename`), trained
by the OpenCV project (Liao et al., "Learning Multi-scale Block Local Binary Patterns for Face
Recognition", ICB 2007). Figures on real photos: docs/faces.md.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np

from forensics.faces.base import Face, FaceLocator
from forensics.faces.eyes import find_eyes
from forensics.faces.pictures import area, boxed, check_picture

_WINDOW = 24  # pixels; the cascade knows no smaller face
_GROWTH = 1.1
_ALIKE = 0.25  # of a window's side: windows that differ by less show the same face
_COVERED = 0.4  # of the smaller face: two faces that overlap by more are one
_HALF_SURE = 6.0  # votes at which the confidence is one half


class CascadeLocator(FaceLocator):
    """Slides the cascade over a picture at many sizes and merges the windows that say "face".

    Args:
        votes: windows that must agree; fewer find more faces and more that are none.
        longest: pixels; larger pictures are scaled down to this side first, so that time and memory
            are bounded. A face is found down to 24 pixels at that size.
        margin: share of the longer side that is repeated around the picture, so that tightly cut
            faces are found.
    """

    def __init__(self, votes: int = 5, longest: int = 640, margin: float = 0.15):
        self.votes, self.longest, self.margin = votes, longest, margin

    def locate(self, pixels: np.ndarray) -> list[Face]:
        """As `FaceLocator.locate`; landmarks are the eyes, where they could be made out.

        Raises:
            UsageError: not uint8 (H, W, 3).
        """
        check_picture(pixels)
        grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
        scale = min(1.0, self.longest / max(grey.shape))
        small = grey
        if scale < 1:
            small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = []
        for (x, y, span), votes in _merged(self._windows(small), self.votes):
            left, top, side = x / scale, y / scale, span / scale
            box = boxed(left, top, left + side, top + side, grey.shape)
            if box is not None:
                confidence = votes / (votes + _HALF_SURE)
                found.append(Face(box, find_eyes(grey, box), round(confidence, 4)))
        return sorted(found, key=area, reverse=True)

    def fingerprint(self) -> str:
        from forensics.faces.files import sha256

        return f"cascade-1-{self.votes}-{self.longest}-{self.margin}-{sha256(_file())[:12]}"

    def _windows(self, grey: np.ndarray) -> np.ndarray:
        """float64 (N, 3): left, top and side of every window that says "face"."""
        margin = round(self.margin * max(grey.shape))
        wide = np.pad(grey, margin, mode="edge")
        largest = min(wide.shape)
        if largest < _WINDOW:
            return np.zeros((0, 3))
        # No two windows can share more than all of themselves: nothing is merged in there.
        found = _cascade().detect_multi_scale(
            wide, _GROWTH, 1, (_WINDOW, _WINDOW), (largest, largest), 1, 2.0
        )
        rows = [(one["c"] - margin, one["r"] - margin, one["width"]) for one in found]
        return np.array(rows, float).reshape(-1, 3)


def _merged(windows: np.ndarray, least: int) -> list[tuple[np.ndarray, int]]:
    """Groups of at least so many windows: their mean and their count, no two on the same face."""
    from scipy.sparse.csgraph import connected_components

    if not len(windows):
        return []
    centres, sides = windows[:, :2] + windows[:, 2:] / 2, windows[:, 2]
    smaller = np.minimum(sides[:, None], sides[None])
    apart = np.abs(centres[:, None] - centres[None]).max(axis=2)
    alike = (apart < _ALIKE * smaller) & (np.abs(sides[:, None] - sides[None]) < _ALIKE * smaller)
    count, groups = connected_components(alike, directed=False)
    means = [(windows[groups == g].mean(axis=0), int((groups == g).sum())) for g in range(count)]
    kept: list[tuple[np.ndarray, int]] = []
    for mean, votes in sorted(means, key=lambda one: -one[1]):
        if votes >= least and not any(_overlap(mean, other) > _COVERED for other, _ in kept):
            kept.append((mean, votes))
    return kept


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the smaller square that the other covers."""
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[:2] + one[2], other[:2] + other[2])
    return float(np.prod(np.maximum(high - low, 0)) / min(one[2], other[2]) ** 2)


def _file() -> str:
    import skimage.data

    return skimage.data.lbp_frontal_face_cascade_filename()


@cache
def _cascade() -> Any:
    from skimage.feature import Cascade

    return Cascade(_file())
