"""`build_dataset`: plan, run, finish. What `forensics build-dataset` calls."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from forensics.corpus.index import finish_corpus
from forensics.corpus.item import Source
from forensics.corpus.jobs import REJECTIONS, ShardReport
from forensics.corpus.modality import modality_of, read_plan
from forensics.corpus.plan import Plan, require_systems
from forensics.corpus.recipe import Recipe, load_recipe
from forensics.corpus.runners import RUNNERS, RunnerName, Work
from forensics.errors import UsageError
from forensics.locks import alone
from forensics.progress import Progress
from forensics.shards import storage
from forensics.shards.reader import read_sidecar
from forensics.shards.verify import check_shard


@dataclass
class BuildResult:
    """What a build did.

    Attributes:
        failed: planned items that there are not, for whatever reason.
        rejected: of these, edits that a check refused and frames in which there was nothing to
            edit: what is to be expected of any source.
        generator_s: wall seconds inside the engines' own calls, summed.
    """

    out: str
    plan: Plan[Any, Any, Any]
    built: int = 0
    reused: int = 0
    items: int = 0
    failed: int = 0
    failures_by_reason: dict[str, int] = field(default_factory=dict)
    worker_s: float = 0.0
    generator_s: dict[str, float] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        return sum(
            count
            for reason, count in self.failures_by_reason.items()
            if reason.startswith(REJECTIONS)
        )

    @property
    def failed_share(self) -> float:
        """Of all planned items, those that failed and were not rejected."""
        return (self.failed - self.rejected) / max(1, self.items + self.failed)


def plan_dataset(
    pipeline: str,
    source: str | os.PathLike[str],
    *,
    where: dict[str, str] | None = None,
    systems: list[str] | None = None,
    settings: dict[str, dict[str, Any]] | None = None,
    seed: int | None = None,
    require_all: bool = False,
) -> tuple[Plan[Any, Any, Any], Source[Any]]:
    """Expand a pipeline over a source without building anything: what `--dry-run` shows.

    Args:
        pipeline: a shipped name ("audeter") or the path of a recipe.
        source: folder of media, CSV, or shards.
        where: CSV column → value that rows must have.
        systems: names of the recipe's systems to keep; all when None.
        settings: system → parameter → value, over those of the recipe.
        seed: replaces the recipe's.
        require_all: a system that cannot run here is an error.

    Raises:
        UsageError, MissingRequirement: see `load_recipe` and `Modality`.
    """
    recipe, folder = load_recipe(pipeline)
    recipe = _adjusted(recipe, systems, settings or {}, seed, require_all)
    modality = modality_of(recipe.modality)
    material = modality.load_source(source, where, recipe)
    return modality.make_plan(recipe, folder, material), material


def build_dataset(
    pipeline: str,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int = 1,
    runner: RunnerName = "local",
    where: dict[str, str] | None = None,
    systems: list[str] | None = None,
    settings: dict[str, dict[str, Any]] | None = None,
    seed: int | None = None,
    require_all: bool = False,
    retry_failed: bool = False,
) -> BuildResult:
    """Build a corpus, or go on where an earlier build of the same plan stopped.

    Args:
        out: folder or fsspec URL; holds `plan.json`, `recipe.yaml`, `shards/`, `info.json` and
            `manifest.parquet` afterwards.
        workers: processes (or Ray tasks) at a time.
        retry_failed: build shards that list failures again.

    Raises:
        UsageError: `out` holds another plan, lies inside the source, or a build is running there.
        MissingRequirement: no system can run here, or all are wanted and one cannot.
        MachineError: the disk is full or may not be written; finished shards stay.
    """
    target = _target(os.fspath(out), Path(source))
    plan, material = plan_dataset(
        pipeline,
        source,
        where=where,
        systems=systems,
        settings=settings,
        seed=seed,
        require_all=require_all,
    )
    require_systems(plan)
    # A bucket has no lock: one build at a time there is its users' business.
    with nullcontext() if storage.is_remote(target) else alone(Path(target), "build"):
        _write_plan(plan, target)
        _remove_parts(target)
        todo = _unfinished(plan, target, retry_failed)
        result = BuildResult(target, plan, reused=len(plan.shards) - len(todo))
        work = Work(f"{target}/plan.json", str(material.root.resolve()), target)
        try:
            for report in _run(plan, work, todo, runner, workers):
                _add(result, report)
        finally:  # by then all workers have ended
            _remove_parts(target)
        info = finish_corpus(plan, target)
    result.items = sum(split.items for split in info.splits.values())
    result.failed = sum(info.failures_by_reason.values())
    result.failures_by_reason = info.failures_by_reason
    return result


def _target(out: str, source: Path) -> str:
    """`out` as every worker can find it.

    Raises:
        UsageError: nothing named, memory of this process, or a place inside the source.
    """
    if storage.is_remote(out):
        if out.startswith("memory:"):
            raise UsageError("workers cannot share memory://", "name a folder or a bucket")
        return out.rstrip("/")
    if not out.strip():
        raise UsageError("--out is empty", "name a folder")
    folder = Path(out.removeprefix("file://")).expanduser().resolve()
    inside = source.expanduser().resolve()
    if inside.is_dir() and folder.is_relative_to(inside):
        raise UsageError(
            f"the corpus {folder} would lie inside its own source", "choose --out outside of it"
        )
    return str(folder)


def _run(
    plan: Plan[Any, Any, Any], work: Work, todo: list[str], runner: RunnerName, workers: int
) -> Iterator[ShardReport]:
    if not todo:
        return
    sizes = {shard.name: plan.item_count(shard) for shard in plan.shards}
    total = sum(sizes[name] for name in todo)
    todo = sorted(todo, key=lambda name: -sizes[name])  # large ones last would leave workers idle
    with Progress(total, f"building {plan.recipe.name}") as progress:
        for report in RUNNERS[runner](work, todo, max(1, workers)):
            progress.advance(sizes[report.shard])
            yield report


def _add(result: BuildResult, report: ShardReport) -> None:
    """Count a finished shard and append its timings to `build.jsonl` (local corpora)."""
    result.built += 1
    result.worker_s += report.wall_s
    for name, seconds in report.generator_s.items():
        result.generator_s[name] = result.generator_s.get(name, 0.0) + seconds
    if not storage.is_remote(result.out):
        line = json.dumps(asdict(report)).encode() + b"\n"
        storage.append(f"{result.out}/build.jsonl", line)


def _adjusted(
    recipe: Recipe,
    systems: list[str] | None,
    settings: dict[str, dict[str, Any]],
    seed: int | None,
    require_all: bool,
) -> Recipe:
    known = {system.name: system for system in recipe.systems}
    unknown = [name for name in [*(systems or []), *settings] if name not in known]
    if unknown:
        raise UsageError(f"the recipe has no system {unknown[0]!r}", f"it has: {', '.join(known)}")
    kept = (spec for name, spec in known.items() if systems is None or name in systems)
    changes: dict[str, Any] = {
        "systems": tuple(
            spec.model_copy(update={"params": spec.params | settings.get(spec.name, {})})
            for spec in kept
        )
    }
    if seed is not None:
        changes["seed"] = seed
    if require_all:
        changes["missing"] = "error"
    return recipe.model_copy(update=changes)


def _write_plan(plan: Plan[Any, Any, Any], out: str) -> None:
    path = f"{out}/plan.json"
    if storage.size(path) is not None:
        before = read_plan(path)
        if before.hash != plan.hash:
            raise UsageError(
                f"{out} holds another plan ({_difference(before, plan)})",
                "choose another --out, or call with the recipe, source and engines it was made of",
            )
        return
    recipe = plan.recipe.model_dump(mode="json")
    storage.publish(f"{out}/recipe.yaml", yaml.safe_dump(recipe, sort_keys=False).encode())
    storage.publish(path, plan.model_dump_json().encode())


def _difference(before: Plan[Any, Any, Any], now: Plan[Any, Any, Any]) -> str:
    """What changed, in words: recipe fields, systems, or the source list."""
    fields = [
        name
        for name in type(now.recipe).model_fields
        if getattr(before.recipe, name) != getattr(now.recipe, name)
    ]
    if fields:
        return f"recipe differs in: {', '.join(fields)}"
    if before.road != now.road:
        changed = sorted(name for name in now.road if before.road.get(name) != now.road[name])
        return f"versions differ: {', '.join(changed)}"
    if before.systems != now.systems:
        old, new = ({s.name: s for s in plan.systems} for plan in (before, now))
        changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        return f"systems that differ: {', '.join(changed)}"
    return "the source list differs"


def _unfinished(plan: Plan[Any, Any, Any], out: str, retry_failed: bool) -> list[str]:
    """Shards that lack a valid completion record; every present one is hashed again."""
    present = set(storage.names(f"{out}/shards"))
    todo = [shard.name for shard in plan.shards if f"{shard.name}.json" not in present]
    finished = [shard.name for shard in plan.shards if f"{shard.name}.json" in present]
    if not finished:
        return todo
    with Progress(len(finished), "checking finished shards", "shards") as progress:
        for name in finished:
            damage = check_shard(f"{out}/shards", name, plan=plan.hash)
            progress.advance()
            if damage or (retry_failed and read_sidecar(f"{out}/shards", name).failures):
                todo.append(name)
    return sorted(todo)


def _remove_parts(out: str) -> None:
    """What a worker that was killed left of a shard it was writing."""
    for name in storage.names(f"{out}/shards"):
        if name.endswith(".part"):
            storage.remove(f"{out}/shards/{name}")


def has_plan(out: str) -> bool:
    """Whether a corpus was begun in this folder."""
    return storage.size(storage.join(out, "plan.json")) is not None
