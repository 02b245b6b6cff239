"""Where a patch comes from and how it is turned: one similarity from source to target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from forensics.draws import Range, uniform, within
from forensics.generators.base import GeneratorParams
from forensics.scenes.regions import Box

INTERPOLATIONS = {
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}


class WarpParams(GeneratorParams):
    """How a patch is turned, and how its border is drawn.

    Attributes:
        scale: of the copy, against its source.
        angle: degrees.
        flip: share of copies that are mirrored.
        plain: share of copies that are neither scaled nor turned nor mirrored.
        hard: share of copies with a hard border.
        feather: width of a soft border, as a share of the mask's shorter side.
        light: share of copies whose light is matched to where they go.
    """

    scale: Annotated[Range, within(0.25, 4)] = (0.8, 1.25)
    angle: Annotated[Range, within(-180, 180)] = (-15, 15)
    flip: float = Field(default=0.3, ge=0, le=1)
    plain: float = Field(default=0.25, ge=0, le=1)
    hard: float = Field(default=0.25, ge=0, le=1)
    feather: Annotated[Range, within(0, 0.5)] = (0.02, 0.12)
    light: float = Field(default=0.85, ge=0, le=1)


@dataclass(frozen=True)
class Pose:
    """Scale, angle in degrees (anticlockwise) and mirroring of a copy, and its interpolation."""

    scale: float = 1.0
    angle: float = 0.0
    flip: bool = False
    interpolation: str = "linear"


def draw_pose(params: WarpParams, rng: np.random.Generator) -> Pose:
    plain, flip = rng.random() < params.plain, rng.random() < params.flip
    scale, angle = uniform(rng, params.scale), uniform(rng, params.angle)
    interpolation = list(INTERPOLATIONS)[int(rng.integers(len(INTERPOLATIONS)))]
    return Pose() if plain else Pose(scale, angle, flip, interpolation)


def draw_feather(params: WarpParams, box: Box, rng: np.random.Generator) -> float:
    """Pixels of a soft border, at least 1; 0 for a hard one."""
    hard, share = rng.random() < params.hard, uniform(rng, params.feather)
    left, top, right, bottom = box
    return 0.0 if hard else max(1.0, share * min(right - left, bottom - top))


def source_size(pose: Pose, box: Box) -> tuple[float, float]:
    """Width and height of the source region that fills a target box."""
    left, top, right, bottom = box
    turned = math.radians(pose.angle)
    across, along = abs(math.cos(turned)), abs(math.sin(turned))
    width, height = (right - left) / pose.scale, (bottom - top) / pose.scale
    return width * across + height * along, width * along + height * across


def source_box(pose: Pose, box: Box, centre: tuple[float, float]) -> Box:
    """The box of the source around `centre` that fills a target box; it may leave the frame."""
    width, height = source_size(pose, box)
    x, y = centre
    return (
        math.floor(x - width / 2),
        math.floor(y - height / 2),
        math.ceil(x + width / 2),
        math.ceil(y + height / 2),
    )


def backward(pose: Pose) -> np.ndarray:
    """float64 (2, 2): a step in the target → the step in the source."""
    turned = math.radians(pose.angle)
    mirror = -1 if pose.flip else 1
    cos, sin = math.cos(turned) / pose.scale, math.sin(turned) / pose.scale
    return np.array([[mirror * cos, -mirror * sin], [sin, cos]])


def sampled(
    image: np.ndarray, pose: Pose, box: Box, centre: tuple[float, float], step: int = 1
) -> np.ndarray:
    """What lies around `centre` of `image`, posed to fill a target box.

    Args:
        image: uint8 or float32 (H, W) or (H, W, C); beyond its borders it is mirrored.
        step: sample every `step`-th pixel of the target alone: quick looks.

    Returns:
        (h, w[, C]) of the box's size divided by `step`, rounded up; the image's dtype.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    matrix = np.zeros((2, 3))
    matrix[:, :2] = backward(pose)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    # Pixel centres: a region of even width has its centre between two pixels.
    matrix[:, 2] = np.array(centre) - 0.5 - matrix[:, :2] @ middle
    matrix[:, :2] *= step
    if pose.scale < 0.8:  # a reduction folds fine detail unless it is blurred first
        image, matrix[:, 2] = _blurred(image, pose, box, centre, matrix[:, 2])
    size = (-(-width // step), -(-height // step))
    flags = INTERPOLATIONS[pose.interpolation] if step == 1 else cv2.INTER_NEAREST
    flags |= cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def _blurred(
    image: np.ndarray, pose: Pose, box: Box, centre: tuple[float, float], offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The part of the image that is needed, blurred, and the offset into it."""
    left, top, right, bottom = source_box(pose, box, centre)
    margin = 16
    x, y = max(left - margin, 0), max(top - margin, 0)
    part = image[y : max(bottom + margin, y + 1), x : max(right + margin, x + 1)]
    sigma = 0.45 * math.sqrt(1 / pose.scale**2 - 1)
    return cv2.GaussianBlur(part, (0, 0), sigma), offset - np.array([x, y])


def free_centres(
    pose: Pose, box: Box, taken: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Centres of source regions inside the frame that touch no pixel of `taken`.

    Args:
        taken: bool (H, W).
        count: how many to try.

    Returns:
        float64 (n, 2) x, y; n ≤ count, 0 when there is no room.
    """
    height, width = taken.shape
    need_x, need_y = source_size(pose, box)
    if need_x > width or need_y > height:
        return np.zeros((0, 2))
    x = rng.uniform(need_x / 2, width - need_x / 2, count)
    y = rng.uniform(need_y / 2, height - need_y / 2, count)
    if pose == Pose():  # whole pixels: a plain copy is not interpolated
        x = np.floor(x - need_x / 2) + need_x / 2
        y = np.floor(y - need_y / 2) + need_y / 2
    sums = cv2.integral(taken.astype(np.uint8))
    left, right = np.floor(x - need_x / 2).astype(int), np.ceil(x + need_x / 2).astype(int)
    top, bottom = np.floor(y - need_y / 2).astype(int), np.ceil(y + need_y / 2).astype(int)
    left, top = np.maximum(left, 0), np.maximum(top, 0)
    right, bottom = np.minimum(right, width), np.minimum(bottom, height)
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return np.stack([x, y], axis=1)[inside == 0]
