"""Whether an edited frame would be believed, judged by a vision-language model."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from pydantic import Field

from forensics.scenes.edit_plan import EditPlan
from forensics.scenes.prompts import prompts
from forensics.scenes.vlm import Turn, Vlm, VlmConfig


class Realism(Protocol):
    """Filters edits that nobody would believe."""

    def judge(self, before: np.ndarray, after: np.ndarray, plan: EditPlan) -> bool:
        """Whether an edit may stay; both frames uint8 (H, W, 3)."""
        ...


class RealismConfig(VlmConfig):
    """A vision-language model as filter.

    Attributes:
        threshold: least probability of a yes.
    """

    threshold: float = Field(default=0.5, ge=0.0, le=1.0)


class VlmRealism:
    """Asks one question about both frames and compares the next token's yes with its no."""

    def __init__(self, config: RealismConfig):
        self._threshold = config.threshold
        self._vlm = Vlm(config)

    def judge(self, before: np.ndarray, after: np.ndarray, plan: EditPlan) -> bool:
        return self.probability(before, after, plan) >= self._threshold

    def probability(self, before: np.ndarray, after: np.ndarray, plan: EditPlan) -> float:
        """0..1 that the edit looks real."""
        question = prompts()["realism"].format(instruction=plan.instruction)
        return self._vlm.yes([Turn("user", question, (before, after))])


def make_realism(config: RealismConfig | None) -> Realism | None:
    """The filter that a recipe asks for; None without one."""
    return None if config is None else VlmRealism(config)
