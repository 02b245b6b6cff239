"""Soft outlines of faces and of their parts: drawn in the upright crop, evaluated in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Part = Literal["face", "inner", "eyes", "mouth"]

_OVALS: dict[Part, tuple[float, float, float, float]] = {
    "face": (56.0, 66.0, 36.0, 48.0),
    "inner": (56.0, 71.0, 28.0, 33.0),
    "eyes": (56.0, 52.0, 31.0, 12.0),
    "mouth": (56.0, 92.0, 22.0, 13.0),
}
"""Part → x and y of the middle and half of width and height, in pixels of the 112-pixel crop."""

_WAVES = 4
_LEAST_ALPHA = 1 / 255


@dataclass(frozen=True)
class FaceShape:
    """An oval with a wavy rim and a soft border, in pixels of the 112-pixel crop.

    Attributes:
        part: of what.
        size: factor on both half axes.
        power: 2 is an ellipse, more is squarer.
        feather: share of the radius over which it fades, within the outline.
        waves: float64 (4, 2): share of the radius and phase of the waves of the rim, longest first.
    """

    part: Part
    size: float
    power: float
    feather: float
    waves: np.ndarray

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        part: Part,
        sizes: tuple[float, float] = (0.92, 1.08),
        feathers: tuple[float, float] = (0.1, 0.35),
        wobble: float = 0.05,
    ) -> FaceShape:
        """A shape with everything but the part drawn; `wobble` is the deviation of the rim."""
        heights = rng.normal(0, wobble / np.sqrt(_WAVES), _WAVES)
        phases = rng.uniform(0, 2 * np.pi, _WAVES)
        return cls(
            part,
            float(rng.uniform(*sizes)),
            float(rng.uniform(2.0, 2.8)),
            float(rng.uniform(*feathers)),
            np.stack([np.clip(heights, -0.1, 0.1), phases], axis=1),
        )

    def alpha(self, to_picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """float32 (H, W), 0 to 1, exactly 0 outside: the shape in a picture.

        Args:
            to_picture: (2, 3), the affine map of the face's crop to the picture.
        """
        height, width = shape[:2]
        turn = np.linalg.inv(to_picture[:, :2].astype(np.float64))
        x, y = np.arange(width) - to_picture[0, 2], np.arange(height)[:, None] - to_picture[1, 2]
        middle_x, middle_y, across, down = _OVALS[self.part]
        u = (turn[0, 0] * x + turn[0, 1] * y - middle_x) / (across * self.size)
        v = (turn[1, 0] * x + turn[1, 1] * y - middle_y) / (down * self.size)
        radius = (np.abs(u) ** self.power + np.abs(v) ** self.power) ** (1 / self.power)
        angle = np.arctan2(v, u)
        rim = 1 + sum(
            wave * np.cos((k + 2) * angle + phase) for k, (wave, phase) in enumerate(self.waves)
        )
        ramp = np.clip((rim - radius) / max(self.feather, 1e-3), 0, 1)
        smooth = ramp * ramp * (3 - 2 * ramp)
        return np.where(smooth < _LEAST_ALPHA, 0, smooth).astype(np.float32)

    def details(self) -> dict[str, object]:
        """What was drawn, JSON-safe."""
        return {
            "part": self.part,
            "size": round(self.size, 3),
            "feather": round(self.feather, 3),
        }
