"""Faces for tests that are about what is done with faces: coloured squares in a magenta frame.

The colour is who it is; a white mark is at the top, so that a square on its side is not found.
"""

from __future__ import annotations

import numpy as np

from forensics.faces.base import Face, FaceEmbedder, FaceLocator
from forensics.faces.tools import FaceTools

FRAME, MARK = (255, 0, 255), (255, 255, 255)
ANNA, BEN, CLEO = (40, 220, 60), (40, 60, 220), (160, 40, 170)


def picture(*faces, size=(160, 200), noise=0) -> np.ndarray:
    """uint8 (H, W, 3). A face is (colour, left, top, side)."""
    rng = np.random.default_rng([noise, *size])
    pixels = np.repeat(rng.integers(90, 150, (*size, 1), np.uint8), 3, axis=2)
    for colour, left, top, side in faces:
        pixels[top : top + side, left : left + side] = FRAME
        inner = np.clip(np.array(colour) + rng.integers(-8, 9, (side - 4, side - 4, 3)), 0, 254)
        pixels[top + 2 : top + side - 2, left + 2 : left + side - 2] = inner
        pixels[top + 2 : top + 5, left + side // 2 - 2 : left + side // 2 + 2] = MARK
    return pixels


def photo(colour, number=0, **options) -> np.ndarray:
    return picture((colour, 60 + number % 5, 40 + number % 7, 70), noise=number + 1, **options)


def strangers(count=24) -> list[np.ndarray]:
    """Photos of people of other colours."""
    rng = np.random.default_rng(5)
    return [photo(rng.integers(30, 120, 3) + np.array([110, 0, 0]), 100 + i) for i in range(count)]


class Frames(FaceLocator):
    def locate(self, pixels: np.ndarray) -> list[Face]:
        import cv2

        framed = (pixels == FRAME).all(axis=2).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(framed, connectivity=8)
        found = []
        for x, y, width, height, _ in stats[1:count]:
            middle = pixels[y + 2 : y + 5, x + width // 2 - 2 : x + width // 2 + 2]
            if (middle == MARK).all():
                box = (int(x), int(y), int(x + width), int(y + height))
                found.append(Face(box, None, 0.9))
        return sorted(found, key=lambda face: face.box[0] - face.box[2])

    def fingerprint(self) -> str:
        return "frames-1"


class Colours(FaceEmbedder):
    """Direction of the mean colour, less its grey."""

    def embed(self, crops: np.ndarray) -> np.ndarray:
        mean = crops[:, 50:100, 30:80].astype(np.float32).mean(axis=(1, 2)).reshape(-1, 3)
        vectors = mean - mean.mean(axis=1, keepdims=True) + np.float32([1e-3, 0, 0])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def fingerprint(self) -> str:
        return "colours-1"


def tools(config=None) -> FaceTools:
    return FaceTools(Frames(), Colours())
