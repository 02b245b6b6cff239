"""Faces in one picture, ready to be compared: found, made upright, embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from forensics.errors import MediaError
from forensics.faces.base import Face, FaceCrop

if TYPE_CHECKING:
    from forensics.faces.tools import FaceTools

Box = tuple[int, int, int, int]
Turn = Literal[0, 90, 180, 270]
_LARGEST_VIEW = 1024  # pixels
# Confidence from which nobody looks for faces that lie on their side, and that those must have. Of
# 125 upright photos the cascade was surer than this of something on its side in none.
_SURE = 0.65
MAX_FACES = 64  # of a picture; a crowd names nobody
_SURROUNDINGS = 3.5  # side of a view, in sides of the face: hair, clothing, what they are doing
_QUARTERS: tuple[Turn, ...] = (90, 270, 180)


@dataclass(frozen=True)
class SeenFace:
    """One face of a picture.

    Attributes:
        face: in the picture as it was given.
        turned: by how many degrees it had to be turned, counter-clockwise, to find the face.
        embedding: unit vector float32 (D,); None where the face is too small.
        problem: why there is none.
    """

    face: Face
    turned: Turn = 0
    embedding: np.ndarray | None = None
    problem: str | None = None


def look(pixels: np.ndarray, tools: FaceTools) -> list[SeenFace]:
    """Faces in uint8 (H, W, 3) RGB, largest first; empty where there are none.

    Where no upright face is sure, the picture is turned by quarters, and a sure face counts.
    """
    best, found = 0, tools.locate(pixels)[:MAX_FACES]
    if _surest(found) < _SURE:
        for turn in _QUARTERS:
            turned = np.ascontiguousarray(np.rot90(pixels, turn // 90))
            other = tools.locate(turned)[:MAX_FACES]
            if _surest(other) >= max(_SURE, _surest(found)):
                best, found = turn, other
    return _seen(np.ascontiguousarray(np.rot90(pixels, best // 90)), found, best, tools)


def _surest(faces: list[Face]) -> float:
    return max((1.0 if f.confidence is None else f.confidence for f in faces), default=0.0)


def _seen(turned: np.ndarray, found: list[Face], turn: Turn, tools: FaceTools) -> list[SeenFace]:
    size = turned.shape[1], turned.shape[0]
    crops: dict[int, FaceCrop] = {}
    problems: dict[int, str] = {}
    for i, face in enumerate(found):
        try:
            crops[i] = tools.crop(turned, face)
        except MediaError as error:
            problems[i] = error.what
    embedded = dict(zip(crops, tools.embed(list(crops.values())), strict=True)) if crops else {}
    return [
        SeenFace(_turned_back(face, turn, size), turn, embedded.get(i), problems.get(i))
        for i, face in enumerate(found)
    ]


def _turned_back(face: Face, turn: Turn, size: tuple[int, int]) -> Face:
    """The face in the picture before `np.rot90` turned it to `size` (width, height)."""
    if turn == 0:
        return face
    corners = _points_back(np.array(face.box, np.float64).reshape(2, 2), turn, size)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    marks = None
    if face.landmarks is not None:
        marks = _points_back(face.landmarks.astype(np.float64), turn, size).astype(np.float32)
    box = (round(left), round(top), round(right), round(bottom))
    return Face(box, marks, face.confidence)


def _points_back(points: np.ndarray, turn: Turn, size: tuple[int, int]) -> np.ndarray:
    """Corners (N, 2) of pixels, x and y; edges lie at whole numbers."""
    width, height = size
    x, y = points[:, 0], points[:, 1]
    back = {90: (height - y, x), 180: (width - x, height - y), 270: (y, width - x)}[turn]
    return np.stack(back, axis=1)
