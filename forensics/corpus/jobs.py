"""What crosses between a supervisor and the worker that builds a shard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

REJECTED = "check: "
NO_SCENE = "scene: "
NO_FACE = "face: "
REJECTIONS = (REJECTED, NO_SCENE, NO_FACE)
"""How reasons begin that are no fault: a check refused an edit, a frame offered nothing to edit, a
photo no face that can be told."""


@dataclass
class Watch:
    """Tells a supervisor which generator call is under way, so that it can end one that hangs."""

    calling: Callable[[str, list[str], float], None] = lambda system, keys, seconds: None
    returned: Callable[[], None] = lambda: None


@dataclass
class ShardJob:
    """What a worker is told. `excluded` maps keys that hung or crashed a worker to the reason;
    keys in `alone` were in a batch that did, and are called one by one."""

    shard: str
    excluded: dict[str, str] = field(default_factory=dict)
    alone: list[str] = field(default_factory=list)


@dataclass
class ShardReport:
    """What came of it; seconds are wall time."""

    shard: str
    count: int
    failed: int
    bytes: int
    wall_s: float
    generator_s: dict[str, float]
