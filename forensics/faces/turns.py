"""Faces in pictures that lie on their side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forensics.faces.align import eyes_in_box
from forensics.faces.base import Face, FaceLocator


class Turning(FaceLocator):
    """Another locator, asked with the picture turned by quarters: the turn counts in which it is
    surest of a face.

    Faces of a turned picture always have landmarks, in the order that they have in the upright
    face: by them they are made upright.
    """

    def __init__(self, upright: FaceLocator):
        self._upright = upright

    def locate(self, pixels: np.ndarray) -> list[Face]:
        best = self._upright.locate(pixels)
        surest = _surest(best) if best else 0.0
        for quarters in (1, 3, 2):
            found = self._upright.locate(np.ascontiguousarray(np.rot90(pixels, quarters)))
            if found and _surest(found) > surest:
                best = [_back(face, quarters, pixels.shape) for face in found]
                surest = _surest(found)
        return best

    def fingerprint(self) -> str:
        return f"turning-1-{self._upright.fingerprint()}"


def _surest(faces: list[Face]) -> float:
    return max(1.0 if face.confidence is None else face.confidence for face in faces)


def _back(face: Face, quarters: int, shape: tuple[int, ...]) -> Face:
    """The face where it is in the picture that was turned counterclockwise by `quarters`."""
    points = eyes_in_box(face.box) if face.landmarks is None else face.landmarks
    left, top, right, bottom = face.box
    corners = _points_back(np.array([[left, top], [right, bottom]]), quarters, shape, 0)
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    return replace(
        face,
        box=(int(x0), int(y0), int(x1), int(y1)),
        landmarks=_points_back(points, quarters, shape, 1).astype(np.float32),
    )


def _points_back(
    points: np.ndarray, quarters: int, shape: tuple[int, ...], pixel: int
) -> np.ndarray:
    """`pixel` is 1 where points are centres of pixels, 0 where they are borders between them."""
    height, width = shape[0] - pixel, shape[1] - pixel
    x, y = points[:, 0], points[:, 1]
    if quarters == 1:
        return np.stack([width - y, x], axis=1)
    if quarters == 2:
        return np.stack([width - x, height - y], axis=1)
    return np.stack([y, height - x], axis=1)
