"""What a planner is shown, and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from forensics.scenes.edit_plan import EditPlan, EditType
from forensics.scenes.objects import SceneObject
from forensics.scenes.spots import FreeSpots


@dataclass(frozen=True)
class Scene:
    """One frame and what was found in it.

    Attributes:
        pixels: uint8 (H, W, 3).
        objects: what is there.
        allowed: the edit types to choose from, not empty.
    """

    pixels: np.ndarray
    objects: tuple[SceneObject, ...]
    allowed: tuple[EditType, ...]

    @cached_property
    def spots(self) -> FreeSpots:
        return FreeSpots(self.pixels, self.objects)


class Planner(Protocol):
    """Decides what is changed in a frame."""

    @property
    def name(self) -> str: ...

    def plan(self, scene: Scene, rng: np.random.Generator) -> EditPlan:
        """One plan of an allowed type, its box inside of the frame.

        Raises:
            SceneError: there is none; the reason is counted.
        """
        ...
