"""Expands a recipe and a source, before any work, into a fixed list of shards.

The plan decides everything: which source item goes into which split and shard, which systems run
on it. Its hash covers the recipe, the source list and the engines' fingerprints, so the same plan
gives the same bytes on any number of workers. What is here holds for every modality.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from forensics.corpus.item import SourceItem
from forensics.corpus.names import item_seed, slug
from forensics.corpus.recipe import Recipe, complaints
from forensics.errors import MissingRequirement, UsageError
from forensics.registry import Registry
from forensics.shards.format import Split, canonical_json

PLAN_FORMAT = 1


class Frozen(BaseModel):
    """A part of a plan."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


class PlannedSystem(Frozen):
    """A system that will run, with what its output depends on."""

    name: str
    use: str
    kind: str
    licence: str
    params: dict[str, Any]
    fingerprint: str
    splits: tuple[Split, ...]


class MissingSystem(Frozen):
    """A system that cannot run here, and the commands that would change that."""

    name: str
    use: str
    kind: str
    missing: tuple[str, ...]
    fixes: tuple[str, ...]


I = TypeVar("I", bound=SourceItem)  # noqa: E741


class PlannedSource(Frozen, Generic[I]):
    """A source item with its split: the root of one family of items."""

    source: I
    split: Split
    licence: str


F = TypeVar("F", bound=PlannedSource[Any])
R = TypeVar("R", bound=Recipe)
S = TypeVar("S", bound="PlannedShard[Any]")
P = TypeVar("P", bound="Plan[Any, Any, Any]")


class PlannedShard(Frozen, ABC, Generic[F]):
    """One unit of work: all families of a slice of one domain and split."""

    name: str
    split: Split
    domain: str

    @property
    @abstractmethod
    def families(self) -> tuple[F, ...]:
        """The source items whose families this shard holds."""


class Plan(Frozen, ABC, Generic[R, S, F]):
    """Everything that will be built.

    Attributes:
        missing: systems of the recipe that cannot run here; not part of the hash.
        road: versions of what every item passes through besides its engine.
        hash: identifies the plan; over everything that the bytes of its shards depend on.
    """

    format: int = PLAN_FORMAT
    recipe: R
    systems: tuple[PlannedSystem, ...]
    missing: tuple[MissingSystem, ...]
    road: dict[str, str]
    shards: tuple[S, ...]
    hash: str = ""

    @abstractmethod
    def members(self, planned: F) -> list[str]:
        """Who is planned for a source item: bona fide and systems of its split."""

    def shard(self, name: str) -> S:
        return self._by_name[name]

    def systems_of(self, split: Split) -> list[PlannedSystem]:
        return [system for system in self.systems if split in system.splits]

    def item_count(self, shard: S) -> int:
        return sum(len(self.members(planned)) for planned in shard.families)

    def sealed(self: P) -> P:
        """The same with its hash."""
        return self.model_copy(update={"hash": self.digest()})

    def digest(self) -> str:
        body = self.model_dump(mode="json", exclude={"hash", "missing"})
        return hashlib.sha256(canonical_json(body)).hexdigest()

    @cached_property
    def _by_name(self) -> dict[str, S]:
        return {shard.name: shard for shard in self.shards}


def require_systems(plan: Plan[Any, Any, Any]) -> None:
    """Whether the plan may be built.

    Raises:
        MissingRequirement: no system can run here, or the recipe wants all and one cannot.
    """
    if plan.missing and (plan.recipe.missing == "error" or not plan.systems):
        raise MissingRequirement(
            "systems that cannot run here: "
            + "; ".join(f"{m.name}: {', '.join(m.missing)}" for m in plan.missing),
            "; ".join(fix for m in plan.missing for fix in m.fixes),
        )


def resolve_systems(
    recipe: Recipe, engines: Registry[Any]
) -> tuple[tuple[PlannedSystem, ...], tuple[MissingSystem, ...]]:
    """The recipe's systems that can run here, and those that cannot.

    Raises:
        UsageError: no engine of that name, or parameters that it does not take.
    """
    present, missing = [], []
    for spec in recipe.systems:
        cls = engines.get(spec.use)
        try:
            engine = cls(**spec.params)
        except ValidationError as error:
            raise UsageError(
                f"system {spec.name!r}: {complaints(error)}",
                f"its parameters are: {', '.join(cls.Params.model_fields) or 'none'}",
            ) from error
        lacks = engine.check()
        if lacks:
            missing.append(
                MissingSystem(
                    name=spec.name,
                    use=spec.use,
                    kind=cls.kind,
                    missing=tuple(lack.what for lack in lacks),
                    fixes=tuple(lack.fix or "" for lack in lacks),
                )
            )
            continue
        present.append(
            PlannedSystem(
                name=spec.name,
                use=spec.use,
                kind=cls.kind,
                licence=cls.licence,
                params=spec.params,
                fingerprint=engine.fingerprint(),
                splits=spec.splits,
            )
        )
    return tuple(present), tuple(missing)


def assign_splits(recipe: Recipe, items: Sequence[SourceItem]) -> dict[str, Split]:
    """group → split: the source's own where it states one, else by the recipe's shares.

    Raises:
        UsageError: the source puts one group into two splits.
    """
    sizes: dict[str, int] = defaultdict(int)
    fixed: dict[str, Split] = {}
    for item in items:
        sizes[item.group] += 1
        if item.split is not None:
            before = fixed.setdefault(item.group, item.split)
            if before != item.split:
                raise UsageError(
                    f"group {item.group!r} is in the splits {before} and {item.split}",
                    "a group (speaker, camera) may be in one split only: mend the source's split "
                    "column",
                )
    total = sum(recipe.splits.values())
    filled: dict[Split, int] = dict.fromkeys(recipe.splits, 0)
    for group, split in fixed.items():
        filled[split] = filled.get(split, 0) + sizes[group]
    free = sorted(
        (group for group in sizes if group not in fixed),
        key=lambda group: item_seed(recipe.seed, "split", group),
    )
    assigned = dict(fixed)
    count = len(items)
    for group in free:
        split = max(
            recipe.splits, key=lambda s: recipe.splits[s] / total - filled.get(s, 0) / count
        )
        assigned[group] = split
        filled[split] += sizes[group]
    return assigned


class Slice(NamedTuple, Generic[F]):
    """What a shard is made of."""

    name: str
    split: Split
    domain: str
    families: tuple[F, ...]


def sliced(
    name: str, families: Iterable[F], size: int, order: Callable[[F], Any]
) -> Iterator[Slice[F]]:
    """Slices of `size` per domain and split, sorted by `order`, named for the corpus `name`."""
    rooms: dict[tuple[str, Split], list[F]] = defaultdict(list)
    for planned in families:
        rooms[slug(planned.source.domain), planned.split].append(planned)
    for (domain, split), members in sorted(rooms.items()):
        members.sort(key=order)
        for number, start in enumerate(range(0, len(members), size)):
            shard = f"{name}-{domain}-{split}-{number:06d}"
            yield Slice(shard, split, domain, tuple(members[start : start + size]))
