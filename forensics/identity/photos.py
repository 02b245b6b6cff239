"""Photos of people on their way into an enrolment: one face each, or a reason why not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forensics.errors import MediaError, UsageError
from forensics.identity.looking import look
from forensics.identity.views import View, view_of
from forensics.identity.words import SILENT, PhotoWords
from forensics.media.image import ImageLimits, Picture, read_image
from forensics.verdict.sources import Source, printable, sources

if TYPE_CHECKING:
    from forensics.faces.tools import FaceTools
    from forensics.networks.vlm.card import VlmCard

Pick = Literal["only", "largest"]


@dataclass(frozen=True)
class Photo:
    """A photo with the face that counts.

    Attributes:
        embedding: unit vector float32 (D,).
        kept: what a model is to learn from; None where there is no model.
        context: the face is genuine and the scene is not: known of forgeries that were made.
        words: what it shows, where the user says so.
    """

    name: str
    embedding: np.ndarray
    kept: View | None = None
    context: bool = False
    words: PhotoWords = SILENT


@dataclass(frozen=True)
class Skipped:
    """A photo that cannot be used, and why."""

    name: str
    reason: str


class PhotoReader:
    """Reads photos; the same picture counts once over all that one reader reads.

    Args:
        tools: find and embed faces.
        model: of which views are kept in memory for it to learn from; None keeps nothing.
        words: what photos show, by their names.
        advance: called after each photo.
    """

    def __init__(
        self,
        tools: FaceTools,
        model: VlmCard | None = None,
        limits: ImageLimits | None = None,
        words: Mapping[str, PhotoWords] | None = None,
        advance: Callable[[], None] = lambda: None,
    ):
        self._tools, self._model, self._advance = tools, model, advance
        self._words = words or {}
        self._limits = limits or ImageLimits()
        self._seen: dict[bytes, str] = {}

    def read(self, photos: Iterable[Source], pick: Pick) -> tuple[list[Photo], list[Skipped]]:
        """Photos with exactly one face, in order; with `pick` "largest" the largest face counts."""
        usable: list[Photo] = []
        skipped: list[Skipped] = []
        for source in photos:
            name = printable(source.name)
            try:
                usable.append(self._one(source, name, pick))
            except MediaError as error:
                skipped.append(Skipped(name, printable(error.what.removeprefix(f"{name}: "))))
            self._advance()
        return usable, skipped

    def _one(self, source: Source, name: str, pick: Pick) -> Photo:
        picture = self._picture(source)
        pixels = picture.upright(picture.pixels)
        key = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()
        if key in self._seen:
            raise MediaError("unsuitable", f"the same picture as {self._seen[key]}")
        faces = look(pixels, self._tools)
        if not faces:
            raise MediaError("no_face", "no face was found")
        if len(faces) > 1 and pick == "only":
            raise MediaError(
                "many_faces", f"{len(faces)} faces; crop it, or take the largest (--pick largest)"
            )
        face = faces[0]
        if face.embedding is None:
            raise MediaError("face_too_small", face.problem or "the face cannot be compared")
        self._seen[key] = name
        kept = None if self._model is None else view_of(pixels, faces, 0, self._model)
        words = self._words.get(source.name, SILENT)
        return Photo(name, face.embedding, kept, words=words)

    def _picture(self, source: Source) -> Picture:
        if isinstance(source.content, Picture):
            return source.content
        if source.content is None or not isinstance(source.content, bytes | Path):
            raise source.problem or MediaError("unsupported_modality", "no picture")
        return read_image(source.content, self._limits)


def listed(inputs: Any) -> list[Source]:
    """What a user named, as files to read.

    Raises:
        UsageError: it is nothing that can hold photos.
    """
    found = list(sources(inputs))
    if not found:
        raise UsageError("no photos are named", "name a folder of photos")
    return found
