"""The contract of an image condition: recompression, rescaling, a screenshot, an upload."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from forensics.registry import Registry


class ImageCondition(BaseModel, ABC):
    """One kind of channel; the fields are the ranges that `apply` draws from.

    `apply` is deterministic under `rng`. The mask takes the same geometry as the pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def apply(
        self, pixels: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
        """uint8 (H, W, 3) and bool (H, W) → degraded pixels, the mask at their size, what was
        drawn (JSON-safe)."""


IMAGE_CONDITIONS: Registry[ImageCondition] = Registry(
    "image condition", "forensics.conditions.image", "forensics.image_conditions"
)
register_image_condition = IMAGE_CONDITIONS.register
