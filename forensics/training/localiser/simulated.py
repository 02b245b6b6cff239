"""Tampering that needs no editor, made while training reads: one region of a picture gets another
history.

A corpus knows a handful of editors; what they have in common with those it does not know is that
one region has another history than its surroundings. Random histories teach just that.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from forensics.media.image import encode_image, read_image

Draw = np.random.Generator
History = Literal[
    "foreign", "blurred", "noisy", "denoised", "resampled", "recompressed", "sharpened"
]
HISTORIES: tuple[History, ...] = (
    "foreign",
    "blurred",
    "noisy",
    "denoised",
    "resampled",
    "recompressed",
    "sharpened",
)
_FOREIGN = 0.5  # share of patches of another picture
_AREA = (0.01, 0.3)  # of the host, drawn evenly on a logarithmic scale
_CORNERS = 12


_SCALES, _SAVED_AT, _GRAIN = (0.5, 1.1), (60, 99), (0.5, 4.0)
_SIDES = (
    260,
    1100,
)  # what ageing leaves of a picture's shorter side at least, of its longer at most


def aged(pixels: np.ndarray, rng: Draw) -> np.ndarray:
    """A picture with a past of its own, so that few pictures stand for many cameras: scaled, saved
    as JPEG, grained, each or none. uint8 (H, W, 3) → another size."""
    if rng.random() < 0.7:
        scale = rng.uniform(*_SCALES)
        scale = max(
            min(scale, _SIDES[1] / max(pixels.shape[:2])), _SIDES[0] / min(pixels.shape[:2])
        )
        ways = cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4
        size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
        pixels = cv2.resize(pixels, size, interpolation=ways[rng.integers(len(ways))])
    if rng.random() < 0.6:
        sampling = ("4:2:0", "4:4:4")[rng.integers(2)]
        pixels = read_image(
            encode_image(pixels, "jpeg", int(rng.integers(*_SAVED_AT)), sampling)
        ).pixels
    if rng.random() < 0.3:
        grain = rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(*_GRAIN)
        pixels = np.clip(pixels + grain, 0, 255).astype(np.uint8)
    return pixels


def tampered(host: np.ndarray, donor: np.ndarray, rng: Draw) -> tuple[np.ndarray, np.ndarray]:
    """A picture with one region of another history, and where it is.

    Args:
        host, donor: uint8 (H, W, 3) RGB of any sizes.

    Returns:
        uint8 (H, W, 3) of the host's size; bool (H, W), never empty.
    """
    height, width = host.shape[:2]
    mask = blob(height, width, rng)
    foreign = rng.random() < _FOREIGN
    history = "foreign" if foreign else HISTORIES[rng.integers(1, len(HISTORIES))]
    changed = _patch(donor, height, width, rng) if foreign else _processed(host, history, rng)
    soft = mask.astype(np.float32)
    if rng.random() < 0.5:
        soft = cv2.GaussianBlur(soft, (0, 0), rng.uniform(0.5, 2.0)) * mask
    soft = soft[..., None]
    mixed = host.astype(np.float32) * (1 - soft) + changed.astype(np.float32) * soft
    return np.round(mixed).astype(np.uint8), mask


def blob(height: int, width: int, rng: Draw) -> np.ndarray:
    """bool (H, W): a rounded polygon somewhere, never empty."""
    area = np.exp(rng.uniform(*np.log(_AREA))) * height * width
    angles = np.sort(rng.uniform(0, 2 * np.pi, _CORNERS))
    radii = np.sqrt(area / np.pi) * rng.uniform(0.6, 1.4, _CORNERS)
    stretch = np.exp(rng.uniform(-0.5, 0.5))
    centre = rng.uniform((0.1 * width, 0.1 * height), (0.9 * width, 0.9 * height))
    corners = centre + np.stack(
        [radii * np.cos(angles) * stretch, radii * np.sin(angles) / stretch], axis=1
    )
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    x, y = (
        int(np.clip(at, 0, extent - 1)) for at, extent in zip(centre, (width, height), strict=True)
    )
    mask[y, x] = 1
    return mask.astype(bool)


def _patch(donor: np.ndarray, height: int, width: int, rng: Draw) -> np.ndarray:
    """A stretch of the donor at the host's size, at times saved or scaled on its way."""
    if rng.random() < 0.5:
        donor = _saved(donor, rng)
    scale = np.exp(rng.uniform(np.log(0.6), np.log(1.6))) if rng.random() < 0.7 else 1.0
    wanted = (max(1, round(height / scale)), max(1, round(width / scale)))
    donor = np.pad(
        donor,
        [(0, max(0, size - have)) for size, have in zip(wanted, donor.shape, strict=False)]
        + [(0, 0)],
        mode="symmetric",
    )
    top, left = (
        int(rng.integers(have - size + 1)) for size, have in zip(wanted, donor.shape, strict=False)
    )
    patch = donor[top : top + wanted[0], left : left + wanted[1]]
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    way = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)[rng.integers(3)]
    return cv2.resize(np.ascontiguousarray(patch), (width, height), interpolation=way)


def _processed(host: np.ndarray, history: History, rng: Draw) -> np.ndarray:
    """The host after something that only a region of it shall have gone through."""
    height, width = host.shape[:2]
    if history == "blurred":
        return cv2.GaussianBlur(host, (0, 0), rng.uniform(0.6, 2.5))
    if history == "noisy":
        noise = rng.standard_normal(host.shape, dtype=np.float32) * rng.uniform(1.5, 8)
        return np.clip(host + noise, 0, 255).astype(np.uint8)
    if history == "denoised":
        return cv2.bilateralFilter(host, 5, rng.uniform(15, 50), 3)
    if history == "resampled":
        scale = np.exp(rng.uniform(np.log(0.5), np.log(2)))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        there = cv2.resize(host, size, interpolation=cv2.INTER_CUBIC)
        return cv2.resize(there, (width, height), interpolation=cv2.INTER_LINEAR)
    if history == "recompressed":
        return _saved(host, rng)
    soft = cv2.GaussianBlur(host, (0, 0), 1.2).astype(np.float32)
    return np.clip(host + rng.uniform(0.4, 1.5) * (host - soft), 0, 255).astype(np.uint8)


def _saved(pixels: np.ndarray, rng: Draw) -> np.ndarray:
    """Through a JPEG whose grid begins somewhere."""
    top, left = rng.integers(8, size=2)
    shifted = np.ascontiguousarray(np.pad(pixels, ((top, 0), (left, 0), (0, 0)), mode="symmetric"))
    saved = encode_image(shifted, "jpeg", int(rng.integers(40, 96)), "4:2:0")
    return read_image(saved).pixels[top:, left:]
