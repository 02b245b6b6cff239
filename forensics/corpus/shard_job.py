"""Builds one shard of a plan: the function that every runner runs, in whatever process.

What is the same for all modalities: engines under watch, failures, writing. How a family is made
is the business of the plan's modality, which derives its own `ShardRun`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from forensics.corpus.jobs import ShardJob, ShardReport, Watch
from forensics.corpus.modality import modality_of
from forensics.corpus.names import BONAFIDE, item_key
from forensics.corpus.plan import Plan, PlannedSource, PlannedSystem
from forensics.errors import ForensicsError, MediaError
from forensics.generators.base import Generator
from forensics.registry import Registry
from forensics.shards.format import Failure, Item, Sidecar
from forensics.shards.writer import write_shard

# What an engine may take to load its weights, before its first call.
LOADING_S = 600.0

P = TypeVar("P", bound=Plan[Any, Any, Any])
E = TypeVar("E", bound=Generator)
T = TypeVar("T")


class ShardBuilder:
    """Holds a plan and its loaded engines for the shards that one worker builds.

    Attributes:
        kept: what the modality keeps between shards.
    """

    def __init__(
        self, plan: Plan[Any, Any, Any], source_root: Path, out: str, watch: Watch | None = None
    ):
        self.plan, self.source_root, self.out = plan, source_root, out
        self.watch = watch or Watch()
        self.engines: dict[str, Generator] = {}
        self.kept: Any = None
        self._run = modality_of(plan.recipe.modality).shard_run

    def build(self, job: ShardJob) -> ShardReport:
        """Make every item of the shard and write it.

        Raises:
            MachineError: the shard could not be written; nothing of it is left behind.
        """
        started = time.perf_counter()
        run = self._run(self, job)
        sidecar = run.write()
        return ShardReport(
            shard=job.shard,
            count=sidecar.count,
            failed=len(sidecar.failures),
            bytes=sidecar.bytes,
            wall_s=time.perf_counter() - started,
            generator_s=run.generator_s,
        )


class ShardRun(ABC, Generic[P, E]):
    """One pass over one shard.

    Attributes:
        registry: where the engines of the modality are found.
        generator_s: seconds inside the calls of each system.
    """

    registry: Registry[E]

    def __init__(self, builder: ShardBuilder, job: ShardJob):
        self.builder, self.job = builder, job
        self.plan: P = builder.plan  # pyright: ignore[reportAttributeAccessIssue]
        self.shard = self.plan.shard(job.shard)
        self.systems = {s.name: s for s in self.plan.systems_of(self.shard.split)}
        self.failures: list[Failure] = []
        self.generator_s: dict[str, float] = {}

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """All items of the shard, in the order of their keys; `fail` takes those that cannot be."""

    def write(self) -> Sidecar:
        sidecar = write_shard(
            f"{self.builder.out}/shards",
            self.shard.name,
            self.items(),
            split=self.shard.split,
            plan=self.plan.hash,
            failures=self.failures,
        )
        planned = self.plan.item_count(self.shard)
        if sidecar.count + len(sidecar.failures) != planned:
            raise AssertionError(f"{sidecar.count} items of {planned} in {self.shard.name}")
        return sidecar

    def families(self) -> list[Any]:
        """The planned source items in the order of their items' keys."""
        return sorted(self.shard.families, key=lambda p: item_key(p.source.id, BONAFIDE))

    def fail(self, planned: PlannedSource[Any], system: str, reason: str) -> None:
        """List an item as failed."""
        source_id = planned.source.id
        key = item_key(source_id, system)
        self.failures.append(Failure(key=key, source_id=source_id, system=system, reason=reason))

    def read_source(self, planned: PlannedSource[Any], read: Callable[[], T]) -> T | str:
        """The decoded source item, or why there is none. Decoders are watched as engines are."""
        source = planned.source
        key = item_key(source.id, BONAFIDE)
        if source.broken or key in self.job.excluded:
            return source.broken or f"source: {self.job.excluded[key]}"
        self.builder.watch.calling("source", [key], self.plan.recipe.timeout_s)
        try:
            return read()
        except MediaError as error:
            return f"source: {error.reason}"
        finally:
            self.builder.watch.returned()

    def call(self, system: PlannedSystem, keys: list[str], work: Callable[[E], T]) -> T | Exception:
        """Run the engine of a system under watch; what it raises is returned."""
        return self.watched(
            system.name, keys, lambda calling: work(self._loaded(system, keys, calling))
        )

    def watched(
        self, name: str, keys: list[str], work: Callable[[Callable[[float], None]], T]
    ) -> T | Exception:
        """Run foreign code under watch and the clock of `name`; what it raises is returned.

        Args:
            keys: the items that it works on, which are to blame should it not come back.
            work: gets a function that gives it another number of seconds from then on.
        """

        def calling(seconds: float) -> None:
            self.builder.watch.calling(name, keys, seconds)

        started = time.perf_counter()
        try:
            calling(self.plan.recipe.timeout_s * len(keys))
            return work(calling)
        except Exception as error:  # engines raise what they like; one item must not cost a shard
            return error
        finally:
            spent = time.perf_counter() - started
            self.generator_s[name] = self.generator_s.get(name, 0.0) + spent
            self.builder.watch.returned()

    def _loaded(
        self, system: PlannedSystem, keys: list[str], calling: Callable[[float], None]
    ) -> E:
        engines: dict[str, Any] = self.builder.engines
        if system.name not in engines:
            calling(LOADING_S)
            engine = self.registry.get(system.use)(**system.params)
            engine.load()
            engines[system.name] = engine
            calling(self.plan.recipe.timeout_s * len(keys))
        return engines[system.name]


def describe(error: Exception) -> str:
    """One line without addresses or times, so that a rerun gives the same sidecar."""
    if isinstance(error, ForensicsError):
        return error.what
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
