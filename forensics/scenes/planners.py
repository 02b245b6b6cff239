"""Planners by configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from forensics.scenes.rule_planner import RulePlanner
from forensics.scenes.scene import Planner


class RulesConfig(BaseModel):
    """The planner without weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    use: Literal["rules"] = "rules"


PlannerConfig = RulesConfig


def make_planner(config: PlannerConfig) -> Planner:
    """The planner that a recipe asks for."""
    return RulePlanner()
