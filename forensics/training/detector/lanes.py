"""Readers of a corpus that can stop anywhere and go on there.

A lane reads its own part of every epoch and draws windows from it, without end. Every draw comes
from (seed, stage, lane, number of the draw), so that a lane's place is a handful of numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from forensics import shards
from forensics.errors import UsageError
from forensics.shards.dataset import ShardDataset
from forensics.shards.format import Item
from forensics.shards.storage import Url
from forensics.training.detector.config import Pairs, Stream
from forensics.training.detector.windows import Cutter, Keep, Windows

State = dict[str, Any]


@dataclass(frozen=True)
class LanePlan:
    """What all lanes of a stage of a fit have in common.

    Attributes:
        keep: items for which it is false are passed over.
        cutter: makes what a batch holds out of items; for windows of speech a `Cutter`.
        share: windows that each lane gives to each part of a batch.
        lanes: how many there are.
    """

    corpus: Url
    keep: Keep
    cutter: Any
    sampling: Pairs | Stream
    share: int
    lanes: int
    seed: int
    stage: int

    def lane(self, number: int, state: State | None) -> Lane:
        """One of them, from its beginning or from where `state` says."""
        kind = PairLane if isinstance(self.sampling, Pairs) else StreamLane
        return kind(self, number, state)


class Lane(ABC):
    """Gives its share of batch after batch; `state` is where the next one begins."""

    def __init__(self, plan: LanePlan, number: int, state: State | None):
        self.plan, self.number = plan, number
        self.state: State = dict(state) if state else self.first_state()

    @abstractmethod
    def first_state(self) -> State: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    @cached_property
    def _corpus(self) -> ShardDataset:
        plan = self.plan
        buffer = plan.sampling.shuffle_buffer if isinstance(plan.sampling, Stream) else 1
        return shards.open(
            plan.corpus,
            "train",
            seed=plan.seed + 7919 * plan.stage,
            shuffle_buffer=buffer,
            rank=self.number,
            world_size=plan.lanes,
        )

    def _items(self, epoch: int, done: int = 0) -> Iterator[Item]:
        self._corpus.set_epoch(epoch, done)
        return self._corpus.whole()

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.plan.seed, self.plan.stage, self.number, *numbers])


@dataclass
class _Copy:
    """An item, decoded when it is first wanted."""

    item: Item | None
    pcm: np.ndarray | None = None

    def samples(self, cutter: Cutter) -> np.ndarray:
        if self.item is not None:
            self.pcm, self.item = cutter.pcm(self.item), None
        assert self.pcm is not None
        return self.pcm


@dataclass(frozen=True)
class Family:
    """The copies of one utterance: the bona fide ones, and those of each system."""

    bonafide: list[_Copy] = field(default_factory=list)
    spoof: dict[str, list[_Copy]] = field(default_factory=dict)


def families(items: Iterable[Item], keep: Keep) -> Iterator[Family]:
    """Groups neighbours of one source utterance; gives those with copies of both labels."""
    for _, copies in groupby(items, key=lambda item: (item.meta.group, item.meta.source_id)):
        family = Family()
        for item in copies:
            if not keep(item.meta.system, item.meta.group):
                continue
            if item.meta.label == "bonafide":
                family.bonafide.append(_Copy(item))
            else:
                family.spoof.setdefault(item.meta.system, []).append(_Copy(item))
        if family.bonafide and family.spoof:
            yield family


class PairLane(Lane):
    """Pairs of a bona fide window and one of a forgery of the same utterance.

    Families are read shard by shard, in a new order each epoch, and kept in a pool of bounded size
    from which pairs are drawn.
    """

    def first_state(self) -> State:
        # Of the oldest family in the pool its epoch and place; how many the pool holds; draws
        # until the next one is read; draws so far.
        return {"epoch": 0, "place": 0, "held": 0, "left": 0, "drawn": 0}

    def __iter__(self) -> Iterator[Any]:
        sampling = self.plan.sampling
        assert isinstance(sampling, Pairs)
        held, left, drawn = (self.state[name] for name in ("held", "left", "drawn"))
        source = self._from(self.state["epoch"], self.state["place"])
        pool = deque((next(source) for _ in range(held)), maxlen=sampling.pool)
        while True:
            pairs = []
            for _ in range(self.plan.share // 2):
                if left == 0:
                    pool.append(next(source))
                    left = sampling.draws_per_family
                rng = self._rng(drawn)
                pairs += self._drawn([family for _, _, family in pool], rng)
                left, drawn = left - 1, drawn + 1
            epoch, place, _ = pool[0]
            self.state = {"epoch": epoch, "place": place, "held": len(pool)}
            self.state |= {"left": left, "drawn": drawn}
            yield self._batch(pairs)

    def _batch(self, pairs: list[Any]) -> Any:
        return Windows.of(pairs)

    def _from(self, epoch: int, place: int) -> Iterator[tuple[int, int, Family]]:
        """Families without end, each with its epoch and its place in it, from one of them on."""
        while True:
            found = -1
            for found, family in enumerate(families(self._items(epoch), self.plan.keep)):
                if found >= place:
                    yield epoch, found, family
            if found < 0:
                raise UsageError(
                    "no source of the training split has both a bona fide and a forged copy"
                    + (f", in part {self.number + 1} of {self.plan.lanes}" * (self.plan.lanes > 1)),
                    "build a corpus with a pipeline such as audeter, or train with fewer lanes",
                )
            epoch, place = epoch + 1, 0

    def _drawn(self, pool: list[Family], rng: np.random.Generator) -> list[Any]:
        family = pool[rng.integers(len(pool))]
        systems = sorted(family.spoof)
        system = systems[rng.integers(len(systems))]
        drawn = []
        for copies, name in ((family.bonafide, "bonafide"), (family.spoof[system], system)):
            clip = copies[rng.integers(len(copies))].samples(self.plan.cutter)
            window, shown = self.plan.cutter.cut(clip, rng)
            drawn.append((window, name, shown))
        return drawn


class StreamLane(Lane):
    """What `cutter` makes of each item that is kept, in a new order each epoch."""

    def first_state(self) -> State:
        return {"epoch": 0, "read": 0}

    def __iter__(self) -> Iterator[Any]:
        source = self._from(self.state["epoch"], self.state["read"])
        cutter = self.plan.cutter
        while True:
            drawn = []
            for _ in range(self.plan.share):
                epoch, read, item = next(source)
                window, shown = cutter.cut(cutter.pcm(item), self._rng(epoch, read))
                drawn.append((window, item.meta.system, shown))
                self.state = {"epoch": epoch, "read": read + 1}
            yield self._batch(drawn)

    def _batch(self, drawn: list[Any]) -> Any:
        return Windows.of(drawn)

    def _from(self, epoch: int, read: int) -> Iterator[tuple[int, int, Item]]:
        kept_any = False
        while True:
            for place, item in enumerate(self._items(epoch, read), start=read):
                if self.plan.keep(item.meta.system, item.meta.group):
                    kept_any = True
                    yield epoch, place, item
            if not kept_any and read == 0:
                raise UsageError(
                    "nothing of the training split is left to train on",
                    "leave fewer systems out, or build a larger corpus",
                )
            epoch, read = epoch + 1, 0
