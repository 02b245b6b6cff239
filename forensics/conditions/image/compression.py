"""Saved once more: JPEG and WebP."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from forensics.conditions.image.base import ImageCondition, register_image_condition
from forensics.conditions.image.common import Subsampling, recompressed, whole
from forensics.draws import Range, pick, within

Quality = Annotated[Range, within(1, 100)]


@register_image_condition
class Jpeg(ImageCondition):
    """JPEG with the standard tables at an IJG quality; its grid starts at the top left pixel."""

    name: ClassVar[str] = "jpeg"
    summary: ClassVar[str] = "saved as JPEG once more"
    quality: Quality = (50.0, 95.0)
    subsampling: tuple[Subsampling, ...] = Field(default=("4:4:4", "4:2:2", "4:2:0"), min_length=1)

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        drawn = {"quality": whole(rng, self.quality), "subsampling": pick(rng, self.subsampling)}
        return recompressed(pixels, "JPEG", **drawn), mask, drawn


@register_image_condition
class WebP(ImageCondition):
    """Lossy WebP (VP8 key frame: 4:2:0, prediction and deblocking)."""

    name: ClassVar[str] = "webp"
    summary: ClassVar[str] = "saved as lossy WebP"
    quality: Quality = (50.0, 95.0)

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        quality = whole(rng, self.quality)
        return recompressed(pixels, "WEBP", quality=quality), mask, {"quality": quality}
