"""What a vision-language model is shown of a face, the same in enrolment and in detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forensics.detectors.face.window import Window
from forensics.faces.base import Face
from forensics.identity.looking import Box, SeenFace

if TYPE_CHECKING:
    from forensics.networks.vlm.card import VlmCard

_SURROUNDINGS = 3.5  # of a face among others: hair, clothing, what they are doing, in face sides
_LARGEST = 1024  # pixels; no model sees more


@dataclass(frozen=True, eq=False)
class View:
    """A part of a picture.

    Attributes:
        pixels: uint8 (h, w, 3), turned so that the face is upright, 1024 pixels a side at most.
        box: in the picture: left, top, right, bottom.
        face: in the view; None where the picture had to be turned.
    """

    pixels: np.ndarray
    box: Box
    face: Face | None


def view_of(pixels: np.ndarray, faces: Sequence[SeenFace], which: int, card: VlmCard) -> View:
    """One of the faces of a picture, cut as the model's training cut.

    A model that was trained on whole pictures gets the whole; of a face among several, the face
    with its surroundings.

    Args:
        pixels: uint8 (H, W, 3) RGB, in which `faces` were found.
    """
    seen, (height, width) = faces[which], pixels.shape[:2]
    if card.view == "face":
        window = Window.around(seen.face.box, card.margin)
        cut = window.cut(pixels, min(window.side, _LARGEST))
        origin, scale = (window.left, window.top), cut.shape[0] / window.side
        box = window.inside(height, width)
    else:
        box = (0, 0, width, height)
        if len(faces) > 1:
            box = Window.around(seen.face.box, _SURROUNDINGS).inside(height, width)
        left, top, right, bottom = box
        cut, scale = _shrunk(pixels[top:bottom, left:right])
        origin = (left, top)
    face = None if seen.turned else _moved(seen.face, origin, scale, cut.shape)
    return View(np.ascontiguousarray(np.rot90(cut, seen.turned // 90)), box, face)


def _shrunk(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Pixels of at most 1024 a side, and by what they were scaled."""
    scale = min(1.0, _LARGEST / max(pixels.shape[:2]))
    if scale == 1:
        return pixels, scale
    import cv2

    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA), scale


def _moved(face: Face, origin: tuple[int, int], scale: float, size: tuple[int, ...]) -> Face:
    """The face where it is in the view, inside of it."""
    corners = (np.array(face.box, float).reshape(2, 2) - origin) * scale
    left, top, right, bottom = (round(float(edge)) for edge in corners.ravel())
    box = max(0, left), max(0, top), min(size[1], right), min(size[0], bottom)
    marks = face.landmarks
    if marks is not None:  # centres of pixels
        marks = ((marks + 0.5 - origin) * scale - 0.5).astype(np.float32)
    return Face(box, marks, face.confidence)
