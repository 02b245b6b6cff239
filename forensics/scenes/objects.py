"""What is in a frame, found without weights: what moved, else what stands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from forensics.scenes.camera import Camera
from forensics.scenes.change import Change, find_change, lab, reduced, same_view
from forensics.scenes.regions import (
    Box,
    box_of,
    cleaned,
    components,
    ellipse_kernel,
    enlarged,
    largest,
    outlined,
)

Origin = Literal["motion", "saliency", "grounder"]

LEAST_AREA, MOST_AREA = 0.0006, 0.13
"""Limits of an object's share of the frame: smaller is noise, larger cannot be edited locally."""

_MOST_OBJECTS = 16


@dataclass(frozen=True)
class SceneObject:
    """One thing in a frame.

    Attributes:
        mask: bool (H, W), not empty.
        box: its bounds in pixels, right and bottom exclusive.
        label: a word or two. From motion and saliency it is a guess from shape and size alone.
        score: 0..1, how sure it is that something is there.
        origin: what found it.
    """

    mask: np.ndarray
    box: Box
    label: str
    score: float
    origin: Origin

    @property
    def area(self) -> float:
        """Share of the frame."""
        return float(self.mask.mean())


def find_objects(pixels: np.ndarray, camera: Camera | None = None) -> tuple[SceneObject, ...]:
    """What moved in front of the camera; where nothing did, or there is one frame, what stands out.

    Args:
        pixels: uint8 (H, W, 3).
        camera: other frames of the same view; `pixels` may be among them.

    Returns:
        Objects of `LEAST_AREA` to `MOST_AREA` of the frame, the surest first, 16 at most. All have
        the same origin.
    """
    return moving_objects(pixels, camera) or salient_objects(pixels)


def moving_objects(pixels: np.ndarray, camera: Camera | None) -> tuple[SceneObject, ...]:
    """Objects by difference to the camera's background (three frames and more) or other frame."""
    if camera is None:
        return ()
    small = reduced(pixels)
    change = find_change(small, same_view(pixels, camera))
    if change is None:
        return ()
    found = [m for m in _regions(cleaned(change.mask)) if _is_here(m, small, change)]
    strength = np.minimum(change.distance / 6.0, 1.0)
    return _finished(pixels, small, [m for m in found if not _is_caption(m)], strength, "motion")


def salient_objects(pixels: np.ndarray) -> tuple[SceneObject, ...]:
    """Compact regions whose colour differs from what surrounds them, at three scales."""
    small = reduced(pixels)
    space = lab(small)
    side = max(small.shape[:2])
    strength = np.zeros(small.shape[:2], np.float32)
    for fine, coarse in ((1.5, 0.04), (3.0, 0.08), (5.0, 0.16)):
        centre = cv2.GaussianBlur(space, (0, 0), fine)
        around = cv2.GaussianBlur(space, (0, 0), coarse * side)
        strength = np.maximum(strength, np.sqrt(np.square(centre - around).sum(axis=2)))
    level = max(10.0, float(np.quantile(strength, 0.85)))
    # Cut at edges, so that a person does not grow together with a door of the same colour.
    edges = cv2.dilate(
        cv2.Canny(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), 60, 160), ellipse_kernel(3, 3)
    )
    seeds = (strength > level) & ~((edges > 0) & (strength < 1.3 * level))
    opened = cv2.morphologyEx(seeds.astype(np.uint8), cv2.MORPH_OPEN, ellipse_kernel(5, 5)) > 0
    cores = [_core(m, strength) for m in _regions(cleaned(opened))]
    found = [m for m in cores if m.any() and _is_compact(m) and not _is_caption(m)]
    return _finished(pixels, small, found, np.minimum(strength / 60.0, 1.0), "saliency")


def _core(mask: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """What reaches half of a region's peak: differences of blurred pictures bleed outwards."""
    return largest(mask & (strength > 0.5 * np.quantile(strength[mask], 0.95)))


def _regions(mask: np.ndarray) -> list[np.ndarray]:
    least = max(12, round(LEAST_AREA * mask.size))
    return components(mask, least, round(MOST_AREA * mask.size))


def _finished(
    pixels: np.ndarray,
    small: np.ndarray,
    masks: list[np.ndarray],
    strength: np.ndarray,
    origin: Origin,
) -> tuple[SceneObject, ...]:
    """Outlines refined, brought to the frame's size, labelled, ordered by score."""
    objects = []
    for guess in masks[:_MOST_OBJECTS]:
        mask = enlarged(outlined(small, guess), pixels.shape[:2])
        if not LEAST_AREA <= mask.mean() <= MOST_AREA:
            continue
        score = round(float(strength[guess].mean()), 4)
        objects.append(SceneObject(mask, box_of(mask), _label(mask, origin), score, origin))
    return tuple(sorted(objects, key=lambda o: (-o.score, o.box)))


def _label(mask: np.ndarray, origin: Origin) -> str:
    """A guess from the shape: people are tall, vehicles are wide and not tiny."""
    if origin == "saliency":
        return "object"
    left, top, right, bottom = box_of(mask)
    aspect = (bottom - top) / (right - left)
    if aspect > 1.5:
        return "person"
    if aspect < 0.9 and mask.mean() > 0.004:
        return "vehicle"
    return "moving object"


def _is_caption(mask: np.ndarray) -> bool:
    """A clock or a name that the camera wrote: flat, wide, near the upper or lower edge."""
    height = mask.shape[0]
    left, top, right, bottom = box_of(mask)
    flat = bottom - top < 0.08 * height and right - left > 2.2 * (bottom - top)
    return flat and (bottom < 0.15 * height or top > 0.85 * height)


def _is_compact(mask: np.ndarray) -> bool:
    left, top, right, bottom = box_of(mask)
    fill = mask.sum() / ((right - left) * (bottom - top))
    return fill > 0.35 and 0.2 < (right - left) / (bottom - top) < 5


def _is_here(mask: np.ndarray, small: np.ndarray, change: Change) -> bool:
    """Whether this frame, and not the other one, holds the object.

    Of two frames the one with the object has the region that differs more from what surrounds it,
    and edges along the region's outline.
    """
    if change.other is None:
        return True
    return _stands_out(mask, small) > _stands_out(mask, change.other)


def _stands_out(mask: np.ndarray, pixels: np.ndarray) -> float:
    grid = mask.astype(np.uint8)
    ring = (cv2.dilate(grid, ellipse_kernel(13, 13)) > 0) & (
        cv2.dilate(grid, ellipse_kernel(5, 5)) == 0
    )
    outline = cv2.morphologyEx(grid, cv2.MORPH_GRADIENT, ellipse_kernel(3, 3)) > 0
    space = lab(pixels)
    if not ring.any():
        return 0.0
    inner, outer = space[mask], space[ring]
    contrast = np.abs(inner.mean(axis=0) - outer.mean(axis=0)).sum()
    contrast += np.abs(inner.std(axis=0) - outer.std(axis=0)).sum()
    slope_x = cv2.Sobel(space[..., 0], cv2.CV_32F, 1, 0)
    slope_y = cv2.Sobel(space[..., 0], cv2.CV_32F, 0, 1)
    return float(contrast + 0.5 * np.hypot(slope_x, slope_y)[outline].mean())
