"""How pictures are passed on: screenshots and uploads."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PositiveInt

from forensics.conditions.image.base import ImageCondition, register_image_condition
from forensics.conditions.image.common import (
    INTERPOLATIONS,
    Interpolation,
    blurred,
    recompressed,
    resized,
    scaled_size,
    to_uint8,
    whole,
)
from forensics.draws import Range, log_uniform, pick, uniform, within

_UNSHARP_SIGMA = 0.8


@register_image_condition
class Screenshot(ImageCondition):
    """Shown at another scale on a screen with its own gamma, a little soft; kept without loss."""

    name: ClassVar[str] = "screenshot"
    summary: ClassVar[str] = "shown at another scale, slightly soft and off in gamma, lossless"
    factor: Annotated[Range, within(0.05, 8)] = (0.6, 1.4)
    interpolations: tuple[Interpolation, ...] = Field(default=INTERPOLATIONS, min_length=1)
    gamma: Annotated[Range, within(0.2, 5)] = (0.92, 1.08)
    sigma: Annotated[Range, within(0, 5)] = (0.0, 0.5)

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        drawn = {
            "factor": log_uniform(rng, self.factor),
            "interpolation": pick(rng, self.interpolations),
            "gamma": log_uniform(rng, self.gamma),
            "sigma": uniform(rng, self.sigma),
        }
        size = scaled_size(pixels, drawn["factor"])
        pixels, mask = resized(pixels, mask, size, drawn["interpolation"])
        levels = to_uint8(255 * (np.arange(256) / 255) ** drawn["gamma"])
        return levels[blurred(pixels, drawn["sigma"])], mask, drawn


@register_image_condition
class Social(ImageCondition):
    """An upload: scaled down to a longest side, sharpened, saved as JPEG with 4:2:0.

    Smaller pictures keep their size. `sharpen` is the share of an unsharp mask that is added.
    """

    name: ClassVar[str] = "social"
    summary: ClassVar[str] = "uploaded: limited in size, sharpened, JPEG with 4:2:0"
    longest_side: tuple[PositiveInt, ...] = Field(default=(1080, 1280, 1600, 2048), min_length=1)
    sharpen: Annotated[Range, within(0, 3)] = (0.2, 0.6)
    quality: Annotated[Range, within(1, 100)] = (70.0, 85.0)

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        side, share = pick(rng, self.longest_side), uniform(rng, self.sharpen)
        quality = whole(rng, self.quality)
        factor = side / max(pixels.shape[:2])
        if factor < 1:
            pixels, mask = resized(pixels, mask, scaled_size(pixels, factor), "lanczos")
        soft = blurred(pixels, _UNSHARP_SIGMA).astype(np.float32)
        sharp = to_uint8(pixels + np.float32(share) * (pixels - soft))
        pixels = recompressed(sharp, "JPEG", quality=quality, subsampling="4:2:0")
        return pixels, mask, {"longest_side": side, "sharpen": share, "quality": quality}
