"""Whether an edit is one: what it changed, what it left alone, and that it can be taken for real.

A rejected edit is a failed item with one of the fixed reasons below. Checks look at the pixels that
an editor returned, before the channel and the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from forensics.corpus.jobs import REJECTED
from forensics.corpus.pictures.settings import CheckLimits
from forensics.generators.image.base import Edited

# Grey levels by which a pixel must differ to count as changed.
_CHANGED = 2
# Pixels of the ring that is compared with the region, as a share of the region's longer side.
_RING = 0.35
# Steepness, in grey levels per pixel, that any border may have: that of a frame's own edges.
_STEEP = 24.0
_SMALLEST_RING = 8


def malformed(edited: object, shape: tuple[int, ...]) -> str | None:
    """Why an editor's result breaks its contract, or None. `shape` is that of its request."""
    if not isinstance(edited, Edited):
        return f"{REJECTED}the editor returned no edit"
    pixels, mask = edited.pixels, edited.mask
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 3 or pixels.shape[2] != 3:
        return f"{REJECTED}the editor returned no RGB pixels"
    if pixels.shape != shape:
        return f"{REJECTED}another size than the frame"
    if pixels.dtype != np.uint8:
        finite = np.issubdtype(pixels.dtype, np.integer) or np.isfinite(pixels).all()
        return f"{REJECTED}pixels are {'not 8-bit' if finite else 'NaN or infinite'}"
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != shape[:2]:
        return f"{REJECTED}the mask does not fit the frame"
    if edited.mode not in ("composite", "regenerated"):
        return f"{REJECTED}an unknown mode"
    return None


def rejection(before: np.ndarray, edited: Edited, limits: CheckLimits) -> str | None:
    """Why a well-formed edit is not used, or None when it passes all checks.

    Args:
        before: uint8 (H, W, 3), the pristine frame.
    """
    return next(_reasons(before, edited, limits), None)


def _reasons(before: np.ndarray, edited: Edited, limits: CheckLimits) -> Iterator[str]:
    import cv2

    after, area = edited.pixels, edited.mask.view(np.uint8)
    share = cv2.countNonZero(area) / area.size
    if share == 0 or share < limits.area[0]:
        yield f"{REJECTED}the region is too small"
    if share > limits.area[1]:
        yield f"{REJECTED}the region is too large"
    difference = cv2.absdiff(before, after)
    if edited.mode == "composite":
        if cv2.countNonZero(_largest(difference) * (1 - area)):
            yield f"{REJECTED}pixels outside of the mask changed"
    elif _psnr(difference, 1 - area) < limits.psnr_db:
        yield f"{REJECTED}the rest of the frame is not what it was"
    window = _window(edited.mask)
    before, after, mask = before[window], after[window], edited.mask[window]
    inside = _largest(difference[window])[mask]
    if np.mean(inside >= _CHANGED) < limits.changed or np.mean(inside) < limits.difference:
        yield f"{REJECTED}nothing changed"
    if not _exposure_fits(after, mask, limits.exposure):
        yield f"{REJECTED}the exposure does not fit"
    if not _seam_fits(before, after, mask, limits.seam):
        yield f"{REJECTED}the seam shows"


def _largest(difference: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) → (H, W): the largest of the three channels."""
    import cv2

    one, two, three = cv2.split(difference)
    return np.asarray(cv2.max(cv2.max(one, two), three))


def _psnr(difference: np.ndarray, where: np.ndarray) -> float:
    """In dB, over the pixels where `where` is 1; infinite where nothing differs."""
    import cv2

    mean, deviation = cv2.meanStdDev(difference, mask=where)
    error = float(np.mean(mean**2 + deviation**2))
    return 10 * np.log10(255**2 / error) if error else float("inf")


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    """The region with room for a ring around it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    margin = max(_SMALLEST_RING, round(_RING * extent)) + 1
    return (
        slice(max(0, rows[0] - margin), rows[-1] + 1 + margin),
        slice(max(0, columns[0] - margin), columns[-1] + 1 + margin),
    )


def _exposure_fits(after: np.ndarray, mask: np.ndarray, slack: float) -> bool:
    """Whether the region is about as bright as something around it is."""
    grey = _luma(after)
    around = grey[~mask]
    if not around.size:
        return True
    low, high = np.percentile(around, [1, 99])
    return bool(low - slack <= grey[mask].mean() <= high + slack)


def _seam_fits(before: np.ndarray, after: np.ndarray, mask: np.ndarray, times: float) -> bool:
    """Whether the border of the mask is not much steeper than what lies on either side of it.

    An object's own outline may be steep, and so may what was there before.
    """
    import cv2

    kernel = np.ones((3, 3), np.uint8)
    area = mask.astype(np.uint8)

    def band(grow: Callable[..., np.ndarray], near: int, far: int) -> np.ndarray:
        return grow(area, kernel, iterations=near) != grow(area, kernel, iterations=far)

    border = cv2.dilate(area, kernel) != cv2.erode(area, kernel)
    beside = band(cv2.dilate, 2, 6) | band(cv2.erode, 2, 6)
    if not beside.any():
        return True
    steepness = _gradient(_luma(after))
    here = float(steepness[border].mean())
    usual = max(float(steepness[beside].mean()), float(_gradient(_luma(before))[border].mean()))
    return here <= max(_STEEP, times * usual)


def _luma(pixels: np.ndarray) -> np.ndarray:
    import cv2

    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)).astype(np.float32)


def _gradient(grey: np.ndarray) -> np.ndarray:
    import cv2

    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    return np.asarray(cv2.magnitude(across, down))
