"""Blur, noise, brightness and contrast."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.conditions.image.base import ImageCondition, register_image_condition
from forensics.conditions.image.common import blurred, to_uint8
from forensics.draws import Range, log_uniform, pick, uniform, within

_MIDDLE = 127.5


@register_image_condition
class Blur(ImageCondition):
    """A Gaussian; `sigma` in pixels."""

    name: ClassVar[str] = "blur"
    summary: ClassVar[str] = "out of focus: a Gaussian"
    sigma: Annotated[Range, within(0.05, 20)] = (0.3, 1.5)

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        sigma = log_uniform(rng, self.sigma)
        return blurred(pixels, sigma), mask, {"sigma": sigma}


@register_image_condition
class PixelNoise(ImageCondition):
    """Independent noise in each channel.

    `sigma` is its standard deviation in steps of 8 bit: of `gaussian` everywhere, of `shot` at
    middle grey, growing as the root of the level.
    """

    name: ClassVar[str] = "noise"
    summary: ClassVar[str] = "sensor noise: Gaussian or growing with the light"
    kinds: tuple[Literal["gaussian", "shot"], ...] = Field(
        default=("gaussian", "shot"), min_length=1
    )
    sigma: Annotated[Range, within(0.1, 100)] = (1.0, 8.0)

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        kind, sigma = pick(rng, self.kinds), log_uniform(rng, self.sigma)
        noise = rng.standard_normal(pixels.shape, np.float32)
        noise *= np.float32(sigma)
        if kind == "shot":
            noise *= np.sqrt(pixels.astype(np.float32) / np.float32(_MIDDLE))
        return to_uint8(pixels + noise), mask, {"kind": kind, "sigma": sigma}


@register_image_condition
class Light(ImageCondition):
    """Contrast about middle grey, then brightness as a share of full scale."""

    name: ClassVar[str] = "light"
    summary: ClassVar[str] = "another brightness and contrast"
    brightness: Annotated[Range, within(-1, 1)] = (-0.1, 0.1)
    contrast: Annotated[Range, within(0.1, 5)] = (0.8, 1.25)

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        brightness, contrast = uniform(rng, self.brightness), log_uniform(rng, self.contrast)
        levels = (np.arange(256) - _MIDDLE) * contrast + _MIDDLE + 255 * brightness
        return to_uint8(levels)[pixels], mask, {"brightness": brightness, "contrast": contrast}
