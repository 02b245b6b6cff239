"""Planners by configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from forensics.requirements import Requirement
from forensics.scenes.rule_planner import RulePlanner
from forensics.scenes.scene import Planner
from forensics.scenes.vlm import VlmConfig
from forensics.scenes.vlm_planner import VlmPlanner


class RulesConfig(BaseModel):
    """The planner without weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    use: Literal["rules"] = "rules"

    def requirements(self) -> tuple[Requirement, ...]:
        return ()

    def fingerprint(self) -> str:
        return "rules-1"


class VlmPlannerConfig(VlmConfig):
    """A vision-language model as planner."""

    use: Literal["vlm"]

    def fingerprint(self) -> str:
        return f"vlm-1-{super().fingerprint()}"


PlannerConfig = Annotated[RulesConfig | VlmPlannerConfig, Field(discriminator="use")]
"""What a recipe says: `{use: rules}`, or `{use: vlm, model: …}`.

Both have `requirements()` and `fingerprint()`: a corpus hashes what its plans came from.
"""


def make_planner(config: RulesConfig | VlmPlannerConfig) -> Planner:
    """The planner that a recipe asks for; a model is loaded when it is first asked."""
    return VlmPlanner(config) if isinstance(config, VlmPlannerConfig) else RulePlanner()
