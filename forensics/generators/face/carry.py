"""Taking a donor's face to the place, light and colour of the target's."""

from __future__ import annotations

import cv2
import numpy as np

from forensics.faces.align import aligned, crop_to_picture
from forensics.faces.base import CROP_SIDE
from forensics.generators.face.base import Portrait

_CORE = np.s_[28:108, 20:92]  # of a crop: the face without hair and background
_ITERATIONS, _PRECISION = 40, 1e-4
_MOST_SHEAR, _MOST_SHIFT = 0.25, 12.0  # of a refinement that is believed; shift in crop pixels
_GAIN = (0.5, 2.0)


def donor_to_target(target: Portrait, donor: Portrait, refine: bool) -> tuple[np.ndarray, bool]:
    """float64 (2, 3): points of the donor's photo → points of the target's; and whether it was
    refined.

    Args:
        refine: fit an affine map of one crop onto the other by their grey levels (ECC: Evangelidis
            and Psarakis, PAMI 2008), so that mouth and chin meet as well; kept where it raises the
            correlation and stays near the similarity.
    """
    there, here = crop_to_picture(target.face), crop_to_picture(donor.face)
    fit = _fitted(target, donor) if refine else None
    between = np.eye(3) if fit is None else _square(fit)
    return (_square(there) @ between @ np.linalg.inv(_square(here)))[:2], fit is not None


def likeness(target: Portrait, donor: Portrait) -> float:
    """Correlation of the grey levels of two upright faces, -1 to 1: alike in pose and light."""
    return _correlation(_grey_crop(target), _grey_crop(donor))


def warped(
    pixels: np.ndarray, to_target: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The photo as it lies over the target: uint8 (H, W, 3), and bool (H, W): where it has pixels.

    A photo that is much finer is smoothed first, so that nothing aliases.
    """
    size = (shape[1], shape[0])
    scale = float(np.sqrt(abs(np.linalg.det(to_target[:, :2]))))
    source = np.ascontiguousarray(pixels)
    if scale < 0.7:
        source = cv2.GaussianBlur(source, (0, 0), 0.45 * np.sqrt(1 / scale**2 - 1))
    made = cv2.warpAffine(
        source, to_target, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    ones = np.ones(pixels.shape[:2], np.float32)
    covered = cv2.warpAffine(ones, to_target, size, flags=cv2.INTER_LINEAR) > 0.999
    return made, covered


def match_colours(
    face: np.ndarray, target: np.ndarray, where: np.ndarray, strength: float
) -> np.ndarray:
    """Bring mean and spread of the face's Lab channels to those of the target (Reinhard et al.
    2001).

    Where the face has no colour at all it takes the target's own.

    Args:
        face, target: uint8 (H, W, 3).
        where: bool (H, W): the pixels that count.
        strength: share of the correction, 0 to 1.

    Returns:
        uint8 (H, W, 3).
    """
    here, there = _lab(face), _lab(target)
    a, b = here[where], there[where]
    gain = np.clip((b.std(axis=0) + 0.5) / (a.std(axis=0) + 0.5), *_GAIN)
    moved = (here - a.mean(axis=0)) * gain + b.mean(axis=0)
    mixed = here + np.float32(strength) * (moved - here)
    if (face[where] == face[where][:, :1]).all() or (target[where] == target[where][:, :1]).all():
        mixed[..., 1:] = there[..., 1:]
    mixed[..., 0] = np.clip(mixed[..., 0], 0, 100)
    rgb = cv2.cvtColor(mixed.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)


def _fitted(target: Portrait, donor: Portrait) -> np.ndarray | None:
    one, other = _grey_crop(target), _grey_crop(donor)
    guess = np.eye(2, 3, dtype=np.float32)  # points of the target's crop → points of the donor's
    region = np.zeros((CROP_SIDE, CROP_SIDE), np.uint8)
    region[_CORE] = 1
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _ITERATIONS, _PRECISION)
    try:
        _, found = cv2.findTransformECC(one, other, guess, cv2.MOTION_AFFINE, stop, region, 5)
    except cv2.error:  # it does not converge
        return None
    if not np.isfinite(found).all():
        return None
    centre = np.array([56, 68, 1.0])
    shift = float(np.abs(found @ centre - centre[:2]).max())
    if np.abs(found[:, :2] - np.eye(2)).max() > _MOST_SHEAR or shift > _MOST_SHIFT:
        return None
    moved = cv2.warpAffine(
        other, found, (CROP_SIDE, CROP_SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    if _correlation(one, moved) <= _correlation(one, other):
        return None
    return np.linalg.inv(_square(found))[:2]


def _grey_crop(portrait: Portrait) -> np.ndarray:
    crop = aligned(portrait.pixels, portrait.face).pixels
    return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one[_CORE].ravel(), other[_CORE].ravel()
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6))


def _square(affine: np.ndarray) -> np.ndarray:
    return np.vstack([affine, [0, 0, 1]]).astype(np.float64)


def _lab(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(pixels, np.float32) / 255, cv2.COLOR_RGB2LAB)
