"""Where a frame differs from what its camera saw at other times, at a reduced size.

Distances are in CIELAB units (1 = just noticeable), after the light of the two has been matched.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from forensics.scenes.camera import Camera

WORK_SIDE = 480
"""Long side, in pixels, at which scenes are looked at."""

_LEAST_DISTANCE = 7.0  # below it compression and noise live
_NOISE = 3.3  # medians: five deviations, where three channels hold independent noise
_SURE = 1.8  # of a threshold: pixels from which a region may start
_MOST_OTHERS = 12  # frames to compare with
_UNLIKE = 4.0  # median distance from which two views are suspected not to be one
_SAME_PLACES = 0.75  # share of textured places that look the same in two frames of one view
_MOVED_CAMERA = 0.4  # share of changed pixels above which the views are not one


@dataclass(frozen=True)
class Change:
    """What differs in a frame.

    Attributes:
        distance: float32 (h, w): distance over its threshold; above 1 is a change.
        mask: bool (h, w): the changed pixels.
        other: uint8 (h, w, 3), the other frame when there is but one: it is then unknown which of
            the two holds the object. None when the background is known.
    """

    distance: np.ndarray
    mask: np.ndarray
    other: np.ndarray | None


def reduced(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) → (h, w, 3) with its long side at `WORK_SIDE` or below."""
    height, width = pixels.shape[:2]
    scale = min(1.0, WORK_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels


def lab(pixels: np.ndarray) -> np.ndarray:
    """uint8 RGB → float32 CIELAB, a little blurred against noise."""
    space = cv2.cvtColor(pixels.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    return cv2.GaussianBlur(space, (0, 0), 1.0)


def same_view(pixels: np.ndarray, camera: Camera) -> list[np.ndarray]:
    """The camera's other frames, reduced: of many those whose light is most alike."""
    others = [
        reduced(frame)
        for frame in camera.frames
        if frame.shape == pixels.shape and not np.array_equal(frame, pixels)
    ]
    if len(others) <= _MOST_OTHERS:
        return others
    here = _thumb(pixels)
    # A median, so that what moves has no say in it.
    return sorted(others, key=lambda f: float(np.median(np.abs(_thumb(f) - here))))[:_MOST_OTHERS]


def _thumb(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)


def find_change(small: np.ndarray, others: list[np.ndarray]) -> Change | None:
    """Compare a frame with the other frames of its camera, all reduced.

    Args:
        small: uint8 (h, w, 3).
        others: frames of the same size at other times, without `small`.

    Returns:
        None when there is nothing to compare with, or when the views are not the same one.
    """
    if not others:
        return None
    here = lab(small)
    if len(others) == 1:
        background, spread, other = lab(others[0]), None, others[0]
    else:
        stack = np.stack([small, *others])
        plate = np.median(stack, axis=0).astype(np.uint8)
        background, spread, other = lab(plate), _spread(stack, plate), None
    matched = _match_light(background, here)
    distance = _distance(here, matched)
    usual = float(np.median(distance))
    alike, texture = _local_correlation(here[..., 0], matched[..., 0])
    if usual > _UNLIKE and not _same_structure(alike, texture):
        return None
    threshold: float | np.ndarray = max(_LEAST_DISTANCE, _NOISE * usual)
    if spread is not None:
        threshold = np.maximum(threshold, spread)
    shaded = _shadow(here, matched, (alike > 0.7) & (texture > 1.0))
    relative = _without_shadows(distance / threshold, shaded)
    mask = _hysteresis(relative)
    if mask.mean() > _MOVED_CAMERA:
        return None
    return Change(relative.astype(np.float32), mask, other)


def _spread(stack: np.ndarray, plate: np.ndarray) -> np.ndarray | None:
    """How much each pixel moves at most times (leaves, water), as a threshold; needs 5 frames."""
    if len(stack) < 5:
        return None
    off = np.abs(stack.astype(np.int16) - plate).max(axis=3)
    return cv2.blur(np.median(off, axis=0).astype(np.float32), (5, 5)) * 1.5


def _match_light(background: np.ndarray, here: np.ndarray) -> np.ndarray:
    """The background under the frame's exposure and tint: a robust line for L, a shift for a, b."""
    matched = background.copy()
    inside = np.abs(here - background).sum(axis=2)
    calm = inside <= np.quantile(inside, 0.6)  # what did not move
    x, y = background[..., 0][calm], here[..., 0][calm]
    variance = float(np.var(x))
    slope = float(np.cov(x, y)[0, 1] / variance) if variance > 1.0 else 1.0
    slope = min(max(slope, 0.7), 1.4)
    matched[..., 0] = np.clip(slope * (background[..., 0] - x.mean()) + y.mean(), 0, 100)
    for channel in (1, 2):
        matched[..., channel] += np.median(
            here[..., channel][calm] - background[..., channel][calm]
        )
    return matched


def _distance(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(one - two).sum(axis=2))


def _same_structure(alike: np.ndarray, texture: np.ndarray) -> bool:
    """Whether most textured places look the same: not so after a cut, a pan or a zoom."""
    textured = texture > 3.0
    return not textured.any() or float((alike[textured] > 0.5).mean()) > _SAME_PLACES


def _shadow(here: np.ndarray, background: np.ndarray, unchanged: np.ndarray) -> np.ndarray:
    """bool (h, w): darker or lighter, the texture (`unchanged`) and the hue as they were."""
    ratio = (here[..., 0] + 2.0) / (background[..., 0] + 2.0)
    # Less light on a coloured surface takes chroma along with lightness.
    hue = np.abs(here[..., 1:] - ratio[..., None] * background[..., 1:]).max(axis=2)
    shaded = (ratio > 0.4) & (ratio < 1.5) & (hue < 6.0) & unchanged
    return cv2.blur(shaded.astype(np.float32), (9, 9)) > 0.5  # most of a neighbourhood


def _without_shadows(relative: np.ndarray, shaded: np.ndarray) -> np.ndarray:
    """Shaded pixels fade; regions that are shadow for a good part go, with their edges, which
    look like a change of texture."""
    count, labels = cv2.connectedComponents((relative > 1).astype(np.uint8), connectivity=8)
    sizes = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    share = np.bincount(labels.ravel(), weights=shaded.ravel(), minlength=count) / sizes
    return relative * np.where(shaded | np.isin(labels, np.flatnonzero(share > 0.4)), 0.3, 1.0)


def _local_correlation(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of the two in 9x9 windows, and the lesser of their deviations there."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (9, 9))

    m1, m2 = mean(one), mean(two)
    v1 = np.maximum(mean(one * one) - m1 * m1, 1e-3)
    v2 = np.maximum(mean(two * two) - m2 * m2, 1e-3)
    return (mean(one * two) - m1 * m2) / np.sqrt(v1 * v2), np.sqrt(np.minimum(v1, v2))


def _hysteresis(relative: np.ndarray) -> np.ndarray:
    """Regions above 1 that somewhere are above `_SURE`."""
    weak = (relative > 1.0).astype(np.uint8)
    _, labels = cv2.connectedComponents(weak, connectivity=8)
    kept = np.unique(labels[(relative > _SURE) & (weak > 0)])
    return np.isin(labels, kept[kept > 0])
