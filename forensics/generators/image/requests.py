"""What every editor asks of its request, and of its own result."""

from __future__ import annotations

from typing import Any

import numpy as np

from forensics.errors import ForensicsError, UsageError
from forensics.generators.image.base import Edited, EditRequest, ImageEditor
from forensics.scenes.camera import Camera
from forensics.scenes.regions import Box, box_of

_LEAST_CHANGE = 0.02  # share of the mask's pixels that an edit must change


class CannotEdit(ForensicsError):
    """This frame, mask and plan cannot be edited in this way; others can.

    `what` holds no figures of the request, so that reasons can be counted.
    """

    exit_code = 3


def check_request(editor: ImageEditor, request: EditRequest) -> None:
    """Refuse a request that breaks the contract, or that this editor cannot carry out.

    Raises:
        UsageError: wrong arrays, or an edit type that the editor does not have.
        CannotEdit: it needs other frames of the camera, and there are none.
    """
    pixels, mask, name = request.pixels, request.mask, editor.name
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UsageError(
            f"{name}: pixels are {pixels.dtype} {pixels.shape}", "give uint8 (H, W, 3)"
        )
    if mask.dtype != np.bool_ or mask.shape != pixels.shape[:2]:
        raise UsageError(
            f"{name}: the mask is {mask.dtype} {mask.shape} for pixels {pixels.shape}",
            "give bool (H, W) of the same size",
        )
    if not mask.any():
        raise UsageError(f"{name}: the mask is empty", "mark at least one pixel")
    if request.plan.edit not in editor.edits:
        raise UsageError(
            f"{name} cannot do a {request.plan.edit}", f"it does {', '.join(editor.edits)}"
        )
    frames = request.camera.frames if request.camera else ()
    if any(frame.shape != pixels.shape or frame.dtype != np.uint8 for frame in frames):
        raise UsageError(
            f"{name}: frames of the camera differ in size or type", "give uint8 of one size"
        )
    if editor.needs_camera and not frames:
        raise CannotEdit(f"{name} needs other frames of the camera", "give the request a camera")


def camera_of(editor: ImageEditor, request: EditRequest) -> Camera:
    """The request's camera.

    Raises:
        CannotEdit: it has none.
    """
    if request.camera is None:
        raise CannotEdit(
            f"{editor.name} needs other frames of the camera", "give the request a camera"
        )
    return request.camera


def other_frames(editor: ImageEditor, request: EditRequest) -> list[np.ndarray]:
    """The camera's frames without the one that is edited.

    Raises:
        CannotEdit: there are none.
    """
    frames = request.camera.frames if request.camera else ()
    others = [one for one in frames if not np.array_equal(one, request.pixels)]
    if not others:
        raise CannotEdit(f"{editor.name} needs other frames of the camera", "add frames")
    return others


def large_enough(editor: ImageEditor, mask: np.ndarray, side: int = 4) -> Box:
    """The mask's box.

    Raises:
        CannotEdit: a side is shorter than `side` pixels.
    """
    left, top, right, bottom = box_of(mask)
    if min(right - left, bottom - top) < side:
        raise CannotEdit(f"{editor.name}: the mask is too small", f"mark {side} pixels or more")
    return left, top, right, bottom


def widened(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """The box with a margin, cut at the frame's borders."""
    left, top, right, bottom = box
    return (
        max(left - margin, 0),
        max(top - margin, 0),
        min(right + margin, shape[1]),
        min(bottom + margin, shape[0]),
    )


def cut(array: np.ndarray, box: Box) -> np.ndarray:
    """The box's part of (H, W, …), not copied."""
    left, top, right, bottom = box
    return array[top:bottom, left:right]


def composite(
    editor: ImageEditor,
    request: EditRequest,
    pixels: np.ndarray,
    mask: np.ndarray,
    details: dict[str, Any],
) -> Edited:
    """The edit pasted back: outside of `mask` the request's own pixels, whatever `pixels` holds.

    Raises:
        CannotEdit: hardly a pixel of the mask changed.
    """
    result = np.where(mask[..., None], pixels, request.pixels)
    if not changed_enough(request.pixels, result, mask):
        raise CannotEdit(f"{editor.name}: the edit changes nothing", "choose another region")
    return Edited(result, mask, "composite", details)


def changed_enough(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> bool:
    """Whether more than hardly a pixel of the mask changed."""
    changed = (after != before).any(axis=2)
    return bool(mask.any() and changed.sum() >= _LEAST_CHANGE * mask.sum())
