"""The contract of a channel condition: what a recording goes through, whatever its label.

A condition never tells bona fide from spoof: the builder draws it from the item's seed alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from forensics.errors import MissingRequirement
from forensics.media.audio import Waveform
from forensics.registry import Registry
from forensics.requirements import Requirement, lacking


class Condition(BaseModel, ABC):
    """One kind of channel; the fields are the ranges that `apply` draws from.

    `apply` keeps the number of samples and the sampling rate, is deterministic under `rng`, and
    returns besides what it drew (JSON-safe), for the item's metadata.

    Attributes:
        keeps_time: whether what is heard stays where it was, so that labels of stretches hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    summary: ClassVar[str]
    keeps_time: ClassVar[bool] = True

    @abstractmethod
    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        """The degraded copy (float32, same length and rate) and what was drawn."""

    def requirements(self) -> tuple[Requirement, ...]:
        """What must be on the machine besides the core packages."""
        return ()

    def check(self) -> list[MissingRequirement]:
        """What is missing, each with the command that gets it. Empty: ready to run."""
        return lacking(self.requirements())


CONDITIONS: Registry[Condition] = Registry(
    "condition", "forensics.conditions", "forensics.conditions"
)
register_condition = CONDITIONS.register
