"""What every forger asks of its request, and of its own result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from forensics.errors import ForensicsError, UsageError
from forensics.generators.face.base import FaceForger, FaceRequest, Portrait
from forensics.generators.image.base import Edited
from forensics.generators.image.requests import changed_enough

_LEAST_SIDE = 24  # pixels of a face's box


class CannotForge(ForensicsError):
    """This face cannot be forged in this way; others can.

    `what` holds no figures of the request, so that reasons can be counted.
    """

    exit_code = 3


def check_request(forger: FaceForger, request: FaceRequest) -> None:
    """Refuse a request that breaks the contract, or that this forger cannot carry out.

    Raises:
        UsageError: wrong arrays, a box outside of its picture, donors of the wrong person.
        CannotForge: a face that is too small, or no donor where one is needed.
    """
    for portrait in (request.target, *request.donors):
        _check_portrait(forger.name, portrait)
    people = {donor.identity for donor in request.donors}
    if forger.donors != "none" and not people:
        raise CannotForge(f"{forger.name} needs a donor", "give another photo")
    if forger.donors == "other" and request.target.identity in people:
        raise UsageError(
            f"{forger.name}: a donor is the target's own person", "give photos of somebody else"
        )
    if forger.donors == "same" and people != {request.target.identity}:
        raise UsageError(
            f"{forger.name}: a donor is somebody else than the target",
            "give photos of the target's own person",
        )


def composite(
    forger: FaceForger,
    request: FaceRequest,
    pixels: np.ndarray,
    mask: np.ndarray,
    details: dict[str, Any],
) -> Edited:
    """The forgery pasted back: outside of `mask` the target's own pixels.

    Raises:
        CannotForge: hardly a pixel of the mask changed.
    """
    before = request.target.pixels
    result = np.where(mask[..., None], pixels, before)
    if not changed_enough(before, result, mask):
        raise CannotForge(f"{forger.name} changes nothing", "give another photo")
    return Edited(result, mask, "composite", details)


def is_grey(portraits: Sequence[Portrait]) -> bool:
    """Whether none of the photos has any colour."""
    return all((p.pixels == p.pixels[..., :1]).all() for p in portraits)


def _check_portrait(name: str, portrait: Portrait) -> None:
    pixels, (left, top, right, bottom) = portrait.pixels, portrait.face.box
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UsageError(
            f"{name}: pixels are {pixels.dtype} {pixels.shape}", "give uint8 (H, W, 3)"
        )
    height, width = pixels.shape[:2]
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise UsageError(f"{name}: a face's box leaves its picture", "locate the face anew")
    points = portrait.face.landmarks
    if points is not None and (
        points.shape not in ((2, 2), (5, 2)) or not np.isfinite(points).all()
    ):
        raise UsageError(f"{name}: landmarks are not (2, 2) or (5, 2) numbers", "locate anew")
    if min(right - left, bottom - top) < _LEAST_SIDE:
        raise CannotForge(f"{name}: the face is too small", "give a photo with a larger face")
