"""What every locator asks of a picture."""

from __future__ import annotations

import numpy as np

from forensics.errors import UsageError
from forensics.faces.base import Face


def check_picture(pixels: np.ndarray) -> None:
    """Raises UsageError unless `pixels` is uint8 (H, W, 3) with at least one pixel."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UsageError(
            f"a picture is uint8 (height, width, 3), not {pixels.dtype} {pixels.shape}",
            "open it with forensics.media.image, which gives RGB",
        )


def boxed(
    left: float, top: float, right: float, bottom: float, shape: tuple[int, ...]
) -> tuple[int, int, int, int] | None:
    """The box in whole pixels, cut at the borders of (H, W, …); None where nothing is left."""
    height, width = shape[:2]
    x0, y0 = max(round(left), 0), max(round(top), 0)
    x1, y1 = min(round(right), width), min(round(bottom), height)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def area(face: Face) -> int:
    """Pixels in the face's box."""
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)
