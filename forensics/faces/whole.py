"""For pictures that are face crops already."""

from __future__ import annotations

import cv2
import numpy as np

from forensics.faces.base import Face, FaceLocator
from forensics.faces.eyes import find_eyes
from forensics.faces.pictures import check_picture

_LEAST = 16


class WholePicture(FaceLocator):
    """Takes the picture itself for one upright face; of a picture below 16 pixels for none."""

    def locate(self, pixels: np.ndarray) -> list[Face]:
        """One face, whose box is the picture; landmarks are the eyes, where they can be made out.

        Raises:
            UsageError: not uint8 (H, W, 3).
        """
        check_picture(pixels)
        height, width = pixels.shape[:2]
        if min(height, width) < _LEAST:
            return []
        box = (0, 0, width, height)
        grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
        return [Face(box, find_eyes(grey, box))]

    def fingerprint(self) -> str:
        return "whole-1"
