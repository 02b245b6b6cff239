"""One bona fide frame of a source, and how it is read: the same way in a plan and in a build."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forensics.corpus.images.near_duplicates import Signature, signature
from forensics.corpus.images.recipe import Frames
from forensics.corpus.item import SourceItem
from forensics.errors import MediaError
from forensics.media.files import read_bytes
from forensics.media.image import read_image


class Frame(SourceItem):
    """One bona fide frame.

    Attributes:
        group: the camera, or the first of several cameras that share near-duplicate frames.
        camera: who took it, as the source says; frames of one camera show one background.
        width, height: in pixels, as they are edited; 0 when the frame is broken.
    """

    camera: str
    width: int = 0
    height: int = 0


@dataclass
class Found:
    """A frame as a source lists it, before it is opened."""

    path: str
    span: tuple[int, int] | None
    fields: dict[str, Any]


def measured(root: Path, found: Found, frames: Frames) -> tuple[Frame, Signature | None]:
    """Open and hash a frame; a broken one says why, and has no signature."""
    try:
        data = read_bytes(root / found.path, found.span)
        pixels = prepared(data, frames)
    except MediaError as error:
        broken = f"source: {error.reason}"
        return Frame(
            path=found.path, span=found.span, sha256=None, broken=broken, **found.fields
        ), None
    height, width = pixels.shape[:2]
    frame = Frame(
        path=found.path,
        span=found.span,
        sha256=hashlib.sha256(data).hexdigest(),
        width=width,
        height=height,
        **found.fields,
    )
    return frame, signature(pixels)


def prepared(data: bytes, frames: Frames) -> np.ndarray:
    """uint8 (H, W, 3) as viewers show it, made smaller where it is too large.

    Raises:
        MediaError: it cannot be decoded, or `too_small`.
    """
    picture = read_image(data)
    pixels = picture.upright(picture.pixels)
    pixels = limited(pixels, frames.max_side)
    if min(pixels.shape[:2]) < frames.min_side:
        raise MediaError("too_small", f"below {frames.min_side} pixels on the shorter side")
    return pixels


def limited(pixels: np.ndarray, max_side: int | None) -> np.ndarray:
    """No side longer than `max_side`; area averages, the proportions kept."""
    height, width = pixels.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return pixels
    import cv2

    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
