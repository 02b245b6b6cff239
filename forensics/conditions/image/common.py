"""What the conditions of pictures share: through an encoder and back, to another size, blurred."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np

from forensics.draws import uniform

Interpolation = Literal["box", "bilinear", "bicubic", "lanczos"]
INTERPOLATIONS: tuple[Interpolation, ...] = ("box", "bilinear", "bicubic", "lanczos")
Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]


def recompressed(pixels: np.ndarray, format: Literal["JPEG", "WEBP"], **options: Any) -> np.ndarray:
    """uint8 (H, W, 3) through one of Pillow's lossy encoders and back."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format, **options)
    with Image.open(buffer) as image:
        return np.array(image.convert("RGB"))


def resized(
    pixels: np.ndarray, mask: np.ndarray | None, size: tuple[int, int], interpolation: Interpolation
) -> tuple[np.ndarray, np.ndarray | None]:
    """To (height, width), filtered against aliasing; the mask by its nearest pixel."""
    from PIL import Image

    shape = (size[1], size[0])
    method = Image.Resampling[interpolation.upper()]
    done = np.array(Image.fromarray(np.ascontiguousarray(pixels)).resize(shape, method))
    if mask is None:
        return done, None
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return done, np.array(grey.resize(shape, Image.Resampling.NEAREST)) > 127


def scaled_size(pixels: np.ndarray, factor: float) -> tuple[int, int]:
    """(height, width), at least one pixel each."""
    height, width = pixels.shape[:2]
    return max(1, round(height * factor)), max(1, round(width * factor))


def blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian of `sigma` pixels; 0 leaves the pixels as they are."""
    if sigma <= 0:
        return pixels.copy()
    import cv2

    return cv2.GaussianBlur(np.ascontiguousarray(pixels), (0, 0), sigma)


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Rounded and clipped to 0–255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def whole(rng: np.random.Generator, bounds: tuple[float, float]) -> int:
    """A whole number of a range."""
    return round(uniform(rng, bounds))
