"""Square windows around faces: the crops that detectors of forged faces judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Window:
    """A square in a picture; parts of it may lie outside.

    Attributes:
        left, top: of its corner, pixels; side: its length, at least 1.
    """

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, box: Box, factor: float) -> Window:
        """About the middle of a face's box, `factor` times as long as its longer side."""
        left, top, right, bottom = box
        side = max(1, round(max(right - left, bottom - top) * factor))
        return cls(round((left + right - side) / 2), round((top + bottom - side) / 2), side)

    def inside(self, height: int, width: int) -> Box:
        """Left, top, right, bottom of what of it lies in a picture."""
        return (
            min(max(self.left, 0), width),
            min(max(self.top, 0), height),
            min(max(self.left + self.side, 0), width),
            min(max(self.top + self.side, 0), height),
        )

    def cut(self, pixels: np.ndarray, side: int, outside: int | None = None) -> np.ndarray:
        """What it shows, (H, W, …) → (side, side, …), of the same dtype.

        Args:
            outside: what lies beyond the picture, as OpenCV calls it; None mirrors, as MesoNet's
                crops were.
        """
        import cv2

        height, width = pixels.shape[:2]
        left, top, right, bottom = self.inside(height, width)
        part = cv2.copyMakeBorder(
            np.ascontiguousarray(pixels[top:bottom, left:right]),
            top - self.top,
            self.top + self.side - bottom,
            left - self.left,
            self.left + self.side - right,
            cv2.BORDER_REFLECT if outside is None else outside,
        )
        return resized(part, side)

    def paste(self, values: np.ndarray, into: np.ndarray) -> None:
        """Raise `into` (H, W) float32 to `values` (h, w), stretched over this window."""
        import cv2

        left, top, right, bottom = self.inside(*into.shape)
        whole = cv2.resize(values, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        part = whole[top - self.top : bottom - self.top, left - self.left : right - self.left]
        into[top:bottom, left:right] = np.maximum(into[top:bottom, left:right], part)


def resized(pixels: np.ndarray, side: int) -> np.ndarray:
    """(H, W, …) → (side, side, …), of the same dtype."""
    import cv2

    way = cv2.INTER_AREA if max(pixels.shape[:2]) > side else cv2.INTER_LINEAR
    return cv2.resize(pixels, (side, side), interpolation=way)
