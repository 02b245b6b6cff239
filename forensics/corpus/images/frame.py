"""One bona fide frame of a source, and how it is read: the same way in a plan and in a build."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forensics.corpus.images.recipe import Frames
from forensics.corpus.item import SourceItem, changed, read_item
from forensics.corpus.names import source_id
from forensics.corpus.pictures.decoding import decoded, fitted
from forensics.corpus.pictures.near_duplicates import Signature, signature
from forensics.errors import MediaError
from forensics.media.files import read_bytes

VIDEOS = frozenset((".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".wmv"))


class Frame(SourceItem):
    """One bona fide frame.

    Attributes:
        sha256: of the image file's bytes; of the decoded pixels for a frame of a video.
        group: the camera, or the first of several cameras that share near-duplicate frames.
        camera: who took it, as the source says; frames of one camera show one background.
        index: its number in the video; None for an image file.
        width, height: in pixels, as it is edited; 0 when it is broken.
    """

    camera: str
    index: int | None = None
    width: int = 0
    height: int = 0


@dataclass
class Found:
    """An image or a video as a source lists it, before it is opened; fields are a `Frame`'s."""

    path: str
    fields: dict[str, Any]
    span: tuple[int, int] | None = None


def opened(root: Path, found: Found, frames: Frames) -> list[tuple[Frame, Signature | None]]:
    """Open and hash an image, or pick frames of a video; a broken one says why, unsigned.

    Raises:
        MissingRequirement: a video, and PyAV is not installed.
    """
    video = Path(found.path).suffix.lower() in VIDEOS and found.span is None
    try:
        if video:
            return list(_of_video(root, found, frames))
        data = read_bytes(root / found.path, found.span)
        pixels = decoded(data, frames.max_side, frames.min_side)
    except MediaError as error:
        common = {"path": found.path, "span": found.span, "sha256": None, **found.fields}
        return [(Frame(broken=f"source: {error.reason}", **common), None)]
    return [_signed(found, pixels, hashlib.sha256(data).hexdigest())]


def _of_video(root: Path, found: Found, frames: Frames) -> Iterator[tuple[Frame, Signature | None]]:
    """Frames that move and are sharp, spread over the video."""
    from forensics.media.frame_choice import pick_frames

    stem = Path(found.path).stem
    for picked in pick_frames(root / found.path, frames.per_video):
        yield _signed(
            found,
            fitted(picked.pixels, frames.max_side, frames.min_side),
            _digest(picked.pixels),
            id=source_id(found.path, f"{stem}-{picked.index}"),
            index=picked.index,
        )


def _signed(
    found: Found, pixels: np.ndarray, sha256: str, **more: Any
) -> tuple[Frame, Signature | None]:
    height, width = pixels.shape[:2]
    stated = {**found.fields, **more, "width": width, "height": height}
    return Frame(path=found.path, span=found.span, sha256=sha256, **stated), signature(pixels)


class FrameReader:
    """Reads planned frames; keeps the last video open."""

    def __init__(self, root: Path, frames: Frames):
        self._root, self._frames = root, frames
        self._video: Any = None

    def read(self, frame: Frame) -> np.ndarray:
        """uint8 (H, W, 3), as it was when it was planned.

        Raises:
            MediaError: it cannot be read, or is another one by now.
        """
        if frame.index is None:
            return decoded(
                read_item(self._root, frame), self._frames.max_side, self._frames.min_side
            )
        found = next(self._opened(frame.path).take([frame.index]), None)
        if found is None or _digest(found.pixels) != frame.sha256:
            raise changed(frame)
        return fitted(found.pixels, self._frames.max_side, self._frames.min_side)

    def _opened(self, path: str) -> Any:
        from forensics.media.video_frames import VideoFrames

        name = str(self._root / path)
        if self._video is None or self._video.name != name:
            if self._video is not None:
                self._video.close()
            self._video = VideoFrames(name)
        return self._video


def _digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()
