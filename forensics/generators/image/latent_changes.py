"""What can be done to a region of latents so that other content comes out.

Latents are float32 (h, w, C); `cells` is bool (h, w), the cells that may change.
"""

from __future__ import annotations

import cv2
import numpy as np

from forensics.generators.image.blend import grown
from forensics.generators.image.membrane import solved


def cells_of(mask: np.ndarray, factor: int) -> np.ndarray:
    """bool (H, W) → the cells of which the mask covers a quarter; where none, all it touches."""
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % factor), (0, -width % factor)))
    blocks = padded.reshape(padded.shape[0] // factor, factor, -1, factor).mean(axis=(1, 3))
    most = blocks >= 0.25
    return most if most.any() else blocks > 0


def noised(
    latents: np.ndarray, cells: np.ndarray, strength: float, rng: np.random.Generator
) -> np.ndarray:
    """Noise of `strength` times each channel's spread, of which a share stays of the content."""
    spread = latents.std(axis=(0, 1)) + 1e-3
    drawn = rng.standard_normal(latents.shape, dtype=np.float32) * spread
    keep = float(np.sqrt(max(1 - strength**2, 0)))
    centre = latents.mean(axis=(0, 1))
    return _where(cells, centre + keep * (latents - centre) + strength * drawn, latents)


def blurred(latents: np.ndarray, cells: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur of `sigma` cells."""
    channels = [
        cv2.GaussianBlur(np.ascontiguousarray(latents[..., c]), (0, 0), sigma)
        for c in range(latents.shape[2])
    ]
    return _where(cells, np.stack(channels, axis=2), latents)


def quantised(latents: np.ndarray, cells: np.ndarray, steps: float) -> np.ndarray:
    """Rounded to multiples of `steps` times each channel's spread."""
    step = steps * (latents.std(axis=(0, 1)) + 1e-3)
    return _where(cells, np.round(latents / step) * step, latents)


def swapped(latents: np.ndarray, cells: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The latents of another region of the same size."""
    return _where(cells, other, latents)


def filled(
    latents: np.ndarray, cells: np.ndarray, texture: float, rng: np.random.Generator
) -> np.ndarray:
    """Continued smoothly from around, with the fine structure of the surroundings drawn anew.

    Args:
        texture: how much of the surroundings' fine structure: 0 to 1.
    """
    hole = grown(cells, 1)
    rim = grown(hole, 3) & ~hole
    if not rim.any():
        return noised(latents, cells, 1.0, rng)
    smooth = solved(latents, hole).astype(np.float32)
    fine = (latents - cv2.blur(latents, (3, 3)))[rim]
    drawn = fine[rng.integers(len(fine), size=cells.shape)]
    return _where(hole, smooth + texture * drawn, latents)


def _where(cells: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.where(cells[..., None], new, old).astype(np.float32)
