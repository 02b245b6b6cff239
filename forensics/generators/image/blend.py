"""Pasting so that it does not show: soft borders, matched light, matched noise.

Pixels are RGB; float arrays are on the scale 0 to 255.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

Side = Literal["inside", "outside"]

_LUMA_SHIFT, _CHROMA_SHIFT = 35.0, 8.0  # Lab units: beyond, it is another material, not light
_GAIN = (0.75, 1.33)
_TRIMMED = 0.789  # deviation of a Gaussian without its largest tenth, against the whole one


def feathered(mask: np.ndarray, width: float, side: Side = "inside") -> np.ndarray:
    """How much of the new pixels shows: float32 (H, W), 0 to 1.

    Args:
        mask: bool (H, W).
        width: pixels over which it rises; 0 gives a hard border.
        side: "inside" rises within the mask, "outside" falls beyond it.
    """
    if width <= 0:
        return mask.astype(np.float32)
    if side == "inside":
        # The frame's own border is no border of the edit: nothing is behind it to blend with.
        within = np.pad(mask, 1, mode="edge").astype(np.uint8)
        distance = cv2.distanceTransform(within, cv2.DIST_L2, 5)[1:-1, 1:-1]
        ramp = distance / (width + 1) if not mask.all() else mask.astype(np.float32)
    else:
        distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
        ramp = 1 - distance / (width + 1)
    ramp = np.clip(ramp, 0, 1)
    smooth = ramp * ramp * (3 - 2 * ramp)
    return np.where(smooth < 1 / 255, 0, smooth).astype(np.float32)


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask, `pixels` wider on every side (round)."""
    if pixels <= 0:
        return mask
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def ring(mask: np.ndarray, width: int | None = None) -> np.ndarray:
    """The surroundings of a mask: bool (H, W), never inside of it.

    Args:
        width: pixels; None takes a fifth of the mask's size, at least 4.
    """
    if width is None:
        width = max(4, round(0.2 * float(np.sqrt(mask.sum()))))
    return grown(mask, min(width, 64)) & ~mask


def pasted(pixels: np.ndarray, new: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3): `pixels` with `new` over it. Where alpha is 0, exactly `pixels`."""
    base = pixels.astype(np.float32)
    mixed = base + alpha[..., None] * (new.astype(np.float32) - base)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def match_light(
    patch: np.ndarray, around_patch: np.ndarray, around_target: np.ndarray, strength: float = 1.0
) -> np.ndarray:
    """Give a patch the light of where it goes: mean and spread in Lab (Reinhard et al. 2001).

    Not the patch but its surroundings are brought to the target's surroundings, so that a dark
    object on a bright road stays dark on another road.

    Args:
        patch: (h, w, 3).
        around_patch, around_target: (N, 3) pixels around either; few or none: no change.
        strength: share of the correction, 0 to 1.

    Returns:
        float32 (h, w, 3).
    """
    if min(len(around_patch), len(around_target)) < 8:
        return patch.astype(np.float32)
    here, there = _lab(around_patch[None])[0], _lab(around_target[None])[0]
    low, high = -np.float32(_CHROMA_SHIFT), np.float32(_CHROMA_SHIFT)
    shift = np.clip(np.median(there, axis=0) - np.median(here, axis=0), low, high)
    luma = float(np.median(there[:, 0]) - np.median(here[:, 0]))
    shift[0] = np.clip(luma, -_LUMA_SHIFT, _LUMA_SHIFT)
    gain = float(np.clip((there[:, 0].std() + 1) / (here[:, 0].std() + 1), *_GAIN))
    lab = _lab(patch)
    centre = float(np.median(here[:, 0]))
    lab[..., 0] += strength * (gain - 1) * (lab[..., 0] - centre)
    lab += strength * shift
    lab[..., 0] = np.clip(lab[..., 0], 0, 100)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255, 0, 255)


def _lab(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(pixels, np.float32) / 255, cv2.COLOR_RGB2LAB)


def noise_level(pixels: np.ndarray, where: np.ndarray) -> float:
    """Standard deviation of the noise in `where`, as if it were white and Gaussian.

    From second differences (the kernel of Immerkær 1996), the largest tenth of which, edges, is
    left out.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.float32)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    residual = np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel))[where]
    if not residual.size:
        return 0.0
    calm = residual[residual <= np.quantile(residual, 0.9)]
    return float(np.sqrt(np.mean(calm**2))) / _TRIMMED


def noise(
    shape: tuple[int, int], sigma: float, grain: float, rng: np.random.Generator
) -> np.ndarray:
    """Grey noise float32 (H, W, 1) of that deviation; `grain` pixels of blur correlate it."""
    made = rng.standard_normal(shape, dtype=np.float32)
    if grain > 0:
        made = cv2.GaussianBlur(made, (0, 0), grain)
    return (made * (sigma / max(float(made.std()), 1e-6)))[..., None]
