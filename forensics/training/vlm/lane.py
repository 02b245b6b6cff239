"""A reader of a corpus of faces that gives questions, and can stop anywhere and go on there."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from forensics.errors import UsageError
from forensics.networks.vlm.talk import Talk
from forensics.shards.format import Item
from forensics.training.detector.lanes import Lane, LanePlan, State
from forensics.training.vlm.questions import Asker


@dataclass(frozen=True)
class Talks:
    """A batch, or a part of one."""

    talks: tuple[Talk, ...]

    @classmethod
    def joined(cls, shares: list[Talks]) -> Talks:
        return cls(tuple(talk for share in shares for talk in share.talks))

    def to(self, device: Any) -> Talks:
        """Pictures are moved when they are seen."""
        return self


@dataclass(frozen=True)
class TalkLanePlan(LanePlan):
    """Attributes:
    pool: items that questions are drawn from.
    draws: how many until one is exchanged.
    """

    pool: int = 256
    draws: int = 2

    def lane(self, number: int, state: State | None) -> Lane:
        return TalkLane(self, number, state)


class TalkLane(Lane):
    """Keeps a pool of items, full from the first question on."""

    plan: TalkLanePlan

    def first_state(self) -> State:
        # Of the oldest item in the pool its epoch and place; draws so far.
        return {"epoch": 0, "place": 0, "drawn": 0}

    def __iter__(self) -> Iterator[Talks]:
        plan, asker = self.plan, self.plan.cutter
        assert isinstance(asker, Asker)
        drawn = self.state["drawn"]
        source = self._from(self.state["epoch"], self.state["place"])
        pool = deque((next(source) for _ in range(plan.pool)), maxlen=plan.pool)
        while True:
            talks: list[Talk] = []
            for _ in range(plan.share // 2):
                if drawn and drawn % plan.draws == 0:
                    pool.append(next(source))
                talks += asker.two([item for _, _, item in pool], self._rng(drawn))
                drawn += 1
            epoch, place, _ = pool[0]
            # A draw that comes first after this exchanges one before it.
            self.state = {"epoch": epoch, "place": place, "drawn": drawn}
            yield Talks(tuple(talks))

    def _from(self, epoch: int, place: int) -> Iterator[tuple[int, int, Item]]:
        """Items without end, each with its epoch and its place in it, from one of them on."""
        while True:
            found = -1
            for found, item in enumerate(self._items(epoch, place), start=place):
                yield epoch, found, item
            if found < 0 and place == 0:
                raise UsageError("the training split is empty", "build a larger corpus")
            epoch, place = epoch + 1, 0
