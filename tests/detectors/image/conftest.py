"""Pictures made in code, forged in known ways, and how well a heatmap finds what was done."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forensics.media.image import Picture, encode_image, read_image


def _scene(seed: int, height: int = 256, width: int = 320, noise: float = 2.0) -> np.ndarray:
    """uint8 (H, W, 3): soft light, objects with edges, texture at all scales, sensor noise."""
    rng = np.random.default_rng(seed)
    planes = np.zeros((height, width, 3), np.float32)
    for scale in (64, 32, 16, 8, 4, 2):
        small = rng.standard_normal((height // scale + 2, width // scale + 2, 3))
        grown = cv2.resize(small.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        planes += grown * scale**0.5 * 4
    for _ in range(25):
        centre = tuple(int(v) for v in (rng.integers(width), rng.integers(height)))
        axes = tuple(int(v) for v in rng.integers(5, 40, 2))
        colour = tuple(float(v) for v in rng.uniform(-45, 45, 3))
        layer = np.zeros_like(planes)
        cv2.ellipse(layer, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
        planes += cv2.GaussianBlur(layer, (0, 0), 0.7)
    planes += 118 + rng.normal(0, noise, planes.shape)
    return np.clip(np.rint(planes), 2, 253).astype(np.uint8)


def _saved(pixels: np.ndarray, quality: int, subsampling: str = "4:4:4") -> Picture:
    return read_image(encode_image(pixels, "jpeg", quality, subsampling))  # pyright: ignore


def _box(shape: tuple[int, ...], top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(shape[:2], bool)
    mask[top : top + height, left : left + width] = True
    return mask


def _pixel_auc(heatmap: np.ndarray, mask: np.ndarray) -> float:
    """Chance that a manipulated pixel is hotter than another; ties count half."""
    _, index, counts = np.unique(heatmap, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[index.reshape(heatmap.shape)]
    hot, all_ = int(mask.sum()), mask.size
    return float((ranks[mask].sum() - hot * (hot + 1) / 2) / (hot * (all_ - hot)))


def _overlap(one: np.ndarray, two: np.ndarray) -> float:
    return float((one & two).sum() / max(1, (one | two).sum()))


@pytest.fixture(scope="session")
def scene():
    """`scene(seed, height, width, noise)` → uint8 (H, W, 3)."""
    return _scene


@pytest.fixture(scope="session")
def saved():
    """`saved(pixels, quality)` → the picture that a JPEG of them decodes to."""
    return _saved


@pytest.fixture(scope="session")
def box():
    """`box(shape, top, left, height, width)` → bool mask."""
    return _box


@pytest.fixture(scope="session")
def pixel_auc():
    """`pixel_auc(heatmap, mask)`: 0.5 is chance."""
    return _pixel_auc


@pytest.fixture(scope="session")
def overlap():
    """`overlap(mask, mask)`: intersection over union."""
    return _overlap
