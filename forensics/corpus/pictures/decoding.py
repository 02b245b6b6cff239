"""How a picture of a source becomes pixels: the same way in a plan and in a build."""

from __future__ import annotations

import numpy as np

from forensics.errors import MediaError
from forensics.media.image import read_image


def decoded(data: bytes, max_side: int | None, min_side: int) -> np.ndarray:
    """uint8 (H, W, 3) as viewers show it (EXIF may say that it is turned), fitted.

    Raises:
        MediaError: it cannot be read, or `too_small`.
    """
    picture = read_image(data)
    return fitted(picture.upright(picture.pixels), max_side, min_side)


def fitted(pixels: np.ndarray, max_side: int | None, min_side: int) -> np.ndarray:
    """Made smaller where it is too large, by area averages, the proportions kept.

    Raises:
        MediaError: `too_small`.
    """
    height, width = pixels.shape[:2]
    if max_side is not None and max(height, width) > max_side:
        import cv2

        scale = max_side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    if min(pixels.shape[:2]) < min_side:
        raise MediaError("too_small", f"below {min_side} pixels on the shorter side")
    return pixels
