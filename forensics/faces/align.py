"""Upright faces: a similarity transform onto the places that embedders were trained with."""

from __future__ import annotations

import cv2
import numpy as np

from forensics.errors import MediaError, UsageError
from forensics.faces.base import CROP_SIDE, Face, FaceCrop

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]],
    np.float32,
)  # fmt: skip
"""Eyes, nose and corners of the mouth in a crop: the places of ArcFace (Deng et al. 2019)."""

_EYES_IN_BOX = np.array([[0.31, 0.40], [0.69, 0.40]], np.float32)


def aligned(pixels: np.ndarray, face: Face, least_side: int = 0) -> FaceCrop:
    """The face made upright, at 112 pixels.

    Five landmarks are fitted by least squares, two eyes are met exactly; of a box alone the eyes
    are taken to be where they mostly are in it.

    Args:
        pixels: uint8 (H, W, 3) RGB.
        least_side: pixels; smaller faces are refused.

    Raises:
        MediaError: too_small.
        UsageError: landmarks that are not (2, 2) or (5, 2), or lie on one point.
    """
    left, top, right, bottom = face.box
    if min(right - left, bottom - top) < least_side:
        raise MediaError(
            "too_small",
            f"the face is {right - left} x {bottom - top} pixels, {least_side} are needed",
            "give a picture in which the face is larger",
        )
    to_picture = crop_to_picture(face)
    source, to_source = _shrunk(pixels, to_picture.astype(np.float64))
    crop = cv2.warpAffine(
        np.ascontiguousarray(source), to_source, (CROP_SIDE, CROP_SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return FaceCrop(crop, face, to_picture)


def _shrunk(pixels: np.ndarray, to_picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture at about the crop's scale, where it is finer: samples far apart would alias."""
    factor = float(np.sqrt(abs(np.linalg.det(to_picture[:, :2]))))
    if factor < 2:
        return pixels, to_picture
    height, width = pixels.shape[:2]
    size = (max(round(width / factor), 1), max(round(height / factor), 1))
    ratio = np.array([[size[0] / width], [size[1] / height]])
    mapped = to_picture.copy()
    mapped[:, 2] += 0.5  # scaling keeps the corners of pixels in place, coordinates are centres
    mapped *= ratio
    mapped[:, 2] -= 0.5
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), mapped


def crop_to_picture(face: Face) -> np.ndarray:
    """float32 (2, 3): the affine map of `FaceCrop.to_picture`.

    Raises:
        UsageError: as `aligned`.
    """
    points = eyes_in_box(face.box) if face.landmarks is None else face.landmarks
    if points.shape not in ((2, 2), (5, 2)) or not np.isfinite(points).all():
        raise UsageError(f"landmarks are (2, 2) or (5, 2) numbers, not {points.shape}", "mend them")
    return similarity(TEMPLATE[: len(points)], points)


def eyes_in_box(box: tuple[int, int, int, int]) -> np.ndarray:
    """float32 (2, 2): where eyes mostly are in a locator's box."""
    left, top, right, bottom = box
    size = np.array([right - left, bottom - top], np.float32)
    return _EYES_IN_BOX * size + np.array([left, top], np.float32)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """float32 (2, 3): the turn, scale and shift that takes `source` nearest to `target` (Umeyama
    1991, without mirroring).

    Args:
        source, target: (N, 2), N at least 2.

    Raises:
        UsageError: all points of either lie on one place.
    """
    a = np.asarray(source, np.float64) @ [1, 1j]
    b = np.asarray(target, np.float64) @ [1, 1j]
    a0, b0 = a - a.mean(), b - b.mean()
    spread = float((abs(a0) ** 2).sum())
    factor = (a0.conj() * b0).sum() / max(spread, 1e-12)  # a turn and a scale, as a complex number
    if spread < 1e-9 or abs(factor) < 1e-6:
        raise UsageError("landmarks lie on one point", "look for them again")
    shift = b.mean() - factor * a.mean()
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]],
        np.float32,
    )
