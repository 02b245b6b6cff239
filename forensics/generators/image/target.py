"""The window of a frame in which an edit happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forensics.generators.image.blend import feathered, grown, match_light, pasted, ring
from forensics.generators.image.warp import Pose, sampled
from forensics.scenes.regions import Box, box_of

if TYPE_CHECKING:
    from forensics.generators.image.donors import Source

COVER, OUTLINE = 5.0, 2.0
"""Widest soft borders in pixels: of what covers something; of what is cut along its outline."""


@dataclass(frozen=True)
class Target:
    """A mask and what surrounds it, cut out of a frame; all arrays are (h, w[, 3]) of `box`.

    Attributes:
        frame: uint8 (H, W, 3), whole.
        box: of the window; it may leave the frame, and is then padded.
        mask: bool, where the edit goes.
        around: bool, the mask's surroundings within the frame.
        pixels: uint8, the frame in the window, its edge repeated beyond the border.
    """

    frame: np.ndarray
    box: Box
    mask: np.ndarray
    around: np.ndarray
    pixels: np.ndarray

    @classmethod
    def of(cls, frame: np.ndarray, mask: np.ndarray) -> Target:
        """The window around a mask (H, W), a fifth of the mask's size wider on every side."""
        left, top, right, bottom = box_of(mask)
        margin = min(max(6, round(0.2 * float(np.sqrt(mask.sum())))), 64)
        box = (left - margin, top - margin, right + margin, bottom + margin)
        inside = window_of(np.ones(mask.shape, bool), box)
        here = window_of(mask, box)
        around = ring(here, margin) & inside
        return cls(frame, box, here, around, window_of(frame, box, "edge"))

    def matched(self, patch: np.ndarray, strength: float = 1.0) -> np.ndarray:
        """A patch of the window's size under the light that falls around the mask."""
        return match_light(patch, patch[self.around], self.pixels[self.around], strength)

    def blended(
        self, patch: np.ndarray, feather: float, covering: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """The patch through the mask → the whole frame, and the mask (H, W) of what it touches.

        Args:
            covering: something is to vanish under the patch: the border fades beyond the mask, by
                `COVER` pixels at most, so that no rim stays. Else it fades within.
        """
        if covering:
            alpha = feathered(grown(self.mask, 1), min(feather, COVER), "outside")
        else:
            alpha = feathered(self.mask, feather)
        return self.put(pasted(self.pixels, patch, alpha)), self.whole(alpha > 0)

    def pasted_from(
        self, source: Source, light: bool, feather: float, covering: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a source holds, as `blended`, under the light of the target if wanted."""
        patch = self.fetched(source.image, source.pose, source.centre)
        return self.blended(self.matched(patch) if light else patch, feather, covering)

    @property
    def inside(self) -> tuple[slice, slice]:
        """The part of the window that lies in the frame."""
        return self._overlap()[0]

    def put(self, window: np.ndarray) -> np.ndarray:
        """A copy of the frame with the window's pixels in place."""
        result = self.frame.copy()
        inner, outer = self._overlap()
        result[outer] = window[inner]
        return result

    def whole(self, window: np.ndarray) -> np.ndarray:
        """A mask of the window as a mask of the frame."""
        result = np.zeros(self.frame.shape[:2], bool)
        inner, outer = self._overlap()
        result[outer] = window[inner]
        return result

    def fetched(
        self, image: np.ndarray, pose: Pose, centre: tuple[float, float], step: int = 1
    ) -> np.ndarray:
        """What lies around `centre` of an image, posed to fill the window."""
        return sampled(image, pose, self.box, centre, step)

    def _overlap(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        left, top, right, bottom = self.box
        height, width = self.frame.shape[:2]
        x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        inner = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
        return inner, (slice(y1, y2), slice(x1, x2))


def window_of(array: np.ndarray, box: Box, beyond: str = "constant") -> np.ndarray:
    """(H, W, …) cut at a box that may leave it; what is beyond is padded (`numpy.pad` modes)."""
    left, top, right, bottom = box
    height, width = array.shape[:2]
    part = array[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    rows = (max(-top, 0), max(bottom - height, 0))
    columns = (max(-left, 0), max(right - width, 0))
    rest = [(0, 0)] * (array.ndim - 2)
    return np.pad(part, [rows, columns, *rest], mode=beyond)  # pyright: ignore[reportCallIssue, reportArgumentType]
