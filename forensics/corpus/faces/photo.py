"""One photo of a person, and how it is read: the same way in a plan and in a build."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from forensics.corpus.faces.recipe import Photos
from forensics.corpus.item import SourceItem, read_item
from forensics.corpus.jobs import NO_FACE
from forensics.corpus.pictures.decoding import decoded
from forensics.corpus.pictures.near_duplicates import Signature, signature
from forensics.errors import MediaError
from forensics.faces.base import Face
from forensics.faces.tools import FaceTools
from forensics.media.files import read_bytes

_MAX_BYTES = 128 << 20
# Spread of the three channels, in grey levels on average, below which a photo has no colour.
_GREY_LEVELS = 2.0


class FaceAt(BaseModel):
    """Where the face of a photo is: a `Face` that a plan can hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    box: tuple[int, int, int, int]
    landmarks: tuple[tuple[float, float], ...] | None = None
    confidence: float | None = None

    def face(self) -> Face:
        points = None if self.landmarks is None else np.array(self.landmarks, np.float32)
        return Face(self.box, points, self.confidence)

    @classmethod
    def of(cls, face: Face) -> FaceAt:
        """Landmarks to a hundredth of a pixel: what a plan writes is what a build reads."""
        points = None
        if face.landmarks is not None:
            points = tuple((round(float(x), 2), round(float(y), 2)) for x, y in face.landmarks)
        sure = None if face.confidence is None else round(float(face.confidence), 4)
        left, top, right, bottom = map(int, face.box)
        return cls(box=(left, top, right, bottom), landmarks=points, confidence=sure)


class Photo(SourceItem):
    """One photo of one person.

    Attributes:
        group: the person, or the first of several that share a photo: what splits never cross.
        identity: the person, as the source says.
        consent: `given`, another ground, `not stated`.
        width, height: in pixels, as it is forged; 0 when it is broken.
        grey: whether it has no colour; faces are put into photos that have colour as theirs have.
        face: where it is; None when it is broken.
    """

    identity: str
    consent: str
    width: int = 0
    height: int = 0
    grey: bool = False
    face: FaceAt | None = None


@dataclass
class Found:
    """A photo as a source lists it, before it is opened; fields are a `Photo`'s."""

    path: str
    fields: dict[str, Any]
    span: tuple[int, int] | None = None


class Opened(NamedTuple):
    """A photo with what is needed while a plan is made and is kept nowhere."""

    photo: Photo
    signature: Signature | None
    embedding: np.ndarray | None


def opened(root: Path, found: Found, photos: Photos, tools: FaceTools) -> Opened:
    """Open, hash, and find the face; a photo that cannot be used says why."""
    common = {"path": found.path, "span": found.span, **found.fields}
    try:
        data = read_bytes(root / found.path, found.span)
        pixels = decoded(data, photos.max_side, photos.min_side)
    except MediaError as error:
        return Opened(Photo(sha256=None, broken=f"source: {error.reason}", **common), None, None)
    sha256 = hashlib.sha256(data).hexdigest()
    seen = signature(pixels)
    height, width = pixels.shape[:2]
    common |= {"sha256": sha256, "width": width, "height": height, "grey": _is_grey(pixels)}
    face = the_face(tools.locate(pixels), photos.dominant)
    if isinstance(face, str):
        return Opened(Photo(broken=f"{NO_FACE}{face}", **common), seen, None)
    placed = FaceAt.of(face)
    try:
        crop = tools.crop(pixels, placed.face())
    except MediaError as error:
        return Opened(Photo(broken=f"{NO_FACE}{error.reason}", **common), seen, None)
    vector = tools.embed([crop])[0]
    return Opened(Photo(face=placed, **common), seen, vector)


def the_face(faces: list[Face], dominant: float) -> Face | str:
    """The face whose photo it is, or why nobody can say.

    Args:
        faces: largest first.
        dominant: how many times the area of the next one the largest must have.
    """
    if not faces:
        return "none was found"
    if len(faces) > 1 and _area(faces[0]) < dominant * _area(faces[1]):
        return "several, none of them dominant"
    return faces[0]


class PhotoReader:
    """Reads planned photos and keeps the last ones; what it gives is read-only."""

    def __init__(self, root: Path, photos: Photos):
        self._root, self._photos = root, photos
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()

    def read(self, photo: Photo) -> np.ndarray:
        """uint8 (H, W, 3), as it was when it was planned.

        Raises:
            MediaError: it cannot be read, or is another one by now.
        """
        if photo.id not in self._kept:
            data = read_item(self._root, photo)
            pixels = decoded(data, self._photos.max_side, self._photos.min_side)
            pixels.setflags(write=False)
            self._kept[photo.id] = pixels
            while sum(p.nbytes for p in self._kept.values()) > _MAX_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        self._kept.move_to_end(photo.id)
        return self._kept[photo.id]


def _is_grey(pixels: np.ndarray) -> bool:
    spread = pixels.max(axis=2).astype(np.int16) - pixels.min(axis=2)
    return bool(spread.mean() < _GREY_LEVELS)


def _area(face: Face) -> int:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)
