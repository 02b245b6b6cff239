"""Which conditions a picture goes through, and the named ones of robustness sweeps."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from forensics.conditions.draw import Choice, Policy
from forensics.conditions.image.base import IMAGE_CONDITIONS, ImageCondition
from forensics.registry import Registry


class ImageConditionChoice(Choice[ImageCondition]):
    """A condition of pictures that may be drawn."""

    registry: ClassVar[Registry[Any]] = IMAGE_CONDITIONS


class ImageConditionPolicy(Policy[ImageConditionChoice]):
    """How pictures draw their channel; see `Policy`."""

    registry: ClassVar[Registry[Any]] = IMAGE_CONDITIONS

    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray | None, tuple[dict[str, Any], ...]]:
        """Draw by the seed (>= 0) and apply.

        Args:
            pixels: uint8 (H, W, 3) RGB; mask: bool (H, W), None for a pristine picture.

        Returns:
            The pixels, the mask at their size, and for each applied condition `use` (its name) with
            what it drew, JSON-safe.
        """
        applied = []
        for name, condition, rng in self._drawn(seed):
            pixels, mask, drawn = condition.apply(pixels, mask, rng)
            applied.append({"use": name, **drawn})
        return pixels, mask, tuple(applied)


def _jpeg(quality: int) -> ImageConditionChoice:
    params = {"quality": (quality, quality), "subsampling": ("4:2:0",)}
    return ImageConditionChoice(use="jpeg", params=params)


def _rescale(factor: float) -> ImageConditionChoice:
    params = {"factor": (factor, factor), "interpolations": ("bicubic",)}
    return ImageConditionChoice(use="rescale", params=params)


IMAGE_SWEEP: dict[str, ImageConditionChoice] = {
    **{f"jpeg{quality}": _jpeg(quality) for quality in (50, 60, 70, 80, 90, 95)},
    **{f"rescale{factor}": _rescale(factor) for factor in (0.5, 0.75, 1.25, 1.5)},
    "screenshot": ImageConditionChoice(
        use="screenshot",
        params={
            "factor": (0.8, 0.8),
            "interpolations": ("bilinear",),
            "gamma": (1.05, 1.05),
            "sigma": (0.3, 0.3),
        },
    ),
    "social": ImageConditionChoice(
        use="social", params={"longest_side": (1080,), "sharpen": (0.4, 0.4), "quality": (75, 75)}
    ),
}
"""Fixed parameters, the same for every run and detector. JPEG with 4:2:0; `social` is a longest
side of 1080 at most, sharpened, JPEG quality 75."""
