"""Expands a recipe and a source, before any work, into a fixed list of shards.

The plan decides everything: which utterance goes into which split and shard, what each TTS reads,
which systems run. Its hash covers the recipe, the source list and the generators' fingerprints, so
the same plan gives the same bytes on any number of workers.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from functools import cached_property
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from forensics.corpus.conditioning import ROAD_VERSION
from forensics.corpus.recipe import BONAFIDE, Recipe, complaints
from forensics.corpus.utterance import CHARACTERS_PER_SECOND, Source, Utterance
from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.generators.base import GENERATORS
from forensics.shards import storage
from forensics.shards.format import Split, canonical_json

PLAN_FORMAT = 1
_MAX_PLAN_BYTES = 1 << 32
_SLUG_LENGTH = 40


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


class PlannedSystem(_Frozen):
    """A system that will run, with what its output depends on."""

    name: str
    use: str
    kind: str
    licence: str
    params: dict[str, Any]
    fingerprint: str
    splits: tuple[Split, ...]


class MissingSystem(_Frozen):
    """A system that cannot run here, and the commands that would change that."""

    name: str
    use: str
    kind: str
    missing: tuple[str, ...]
    fixes: tuple[str, ...]


class PlannedUtterance(_Frozen):
    """A source utterance with its split and the text that TTS systems read for it."""

    source: Utterance
    split: Split
    text: str
    text_origin: str
    language: str
    licence: str


class PlannedShard(_Frozen):
    """One unit of work: all copies of a slice of utterances of one domain and split."""

    name: str
    split: Split
    domain: str
    utterances: tuple[PlannedUtterance, ...]


class Plan(_Frozen):
    """Everything that will be built.

    Attributes:
        missing: systems of the recipe that cannot run here; not part of the hash.
        road: versions of what every item passes through besides its engine.
        hash: identifies the plan; over everything that the bytes of its shards depend on.
    """

    format: int = PLAN_FORMAT
    recipe: Recipe
    systems: tuple[PlannedSystem, ...]
    missing: tuple[MissingSystem, ...]
    road: dict[str, str]
    shards: tuple[PlannedShard, ...]
    hash: str

    def shard(self, name: str) -> PlannedShard:
        return self._by_name[name]

    def systems_of(self, split: Split) -> list[PlannedSystem]:
        return [system for system in self.systems if split in system.splits]

    @cached_property
    def _by_name(self) -> dict[str, PlannedShard]:
        return {shard.name: shard for shard in self.shards}

    def members(self, utterance: PlannedUtterance) -> list[str]:
        """Who is planned for an utterance: bona fide and every system of its split.

        A text without a recording has TTS copies only.
        """
        systems = self.systems_of(utterance.split)
        if utterance.source.text_only:
            return [system.name for system in systems if system.kind == "tts"]
        return [BONAFIDE, *(system.name for system in systems)]

    def item_count(self, shard: PlannedShard) -> int:
        return sum(len(self.members(utterance)) for utterance in shard.utterances)


def make_plan(recipe: Recipe, sentences: list[str], source: Source) -> Plan:
    """Expand.

    Raises:
        UsageError: wrong parameters, or a source whose groups cross its own splits.
        MissingRequirement: a channel condition lacks something.
    """
    for lack in recipe.conditions.check():
        raise lack
    systems, missing = _resolve_systems(recipe)
    splits = _assign_splits(recipe, source.utterances)
    utterances = [
        _plan_utterance(recipe, sentences, utterance, splits[utterance.group])
        for utterance in source.utterances
    ]
    shards = _slice(recipe, utterances)
    plan = Plan(
        recipe=recipe,
        systems=tuple(systems),
        missing=tuple(missing),
        road=_road_versions(),
        shards=tuple(shards),
        hash="",
    )
    return plan.model_copy(update={"hash": _hash(plan)})


def require_systems(plan: Plan) -> None:
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


def item_key(source_id: str, system: str) -> str:
    """The key of one item: hashes only, so that a file name never tells its label."""
    family = hashlib.sha256(source_id.encode()).hexdigest()[:12]
    member = hashlib.sha256(f"{source_id}\n{system}".encode()).hexdigest()[:12]
    return f"{family}-{member}"


def item_seed(seed: int, *parts: str) -> int:
    """A 63-bit seed that depends on the recipe's seed and the names given, on nothing else."""
    digest = hashlib.sha256("\n".join((str(seed), *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _resolve_systems(recipe: Recipe) -> tuple[list[PlannedSystem], list[MissingSystem]]:
    present, missing = [], []
    for spec in recipe.systems:
        cls = GENERATORS.get(spec.use)
        try:
            generator = cls(**spec.params)
        except ValidationError as error:
            raise UsageError(
                f"system {spec.name!r}: {complaints(error)}",
                f"its parameters are: {', '.join(cls.Params.model_fields) or 'none'}",
            ) from error
        lacks = generator.check()
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
                fingerprint=generator.fingerprint(),
                splits=spec.splits,
            )
        )
    return present, missing


def _hash(plan: Plan) -> str:
    body = plan.model_dump(mode="json", exclude={"hash", "missing"})
    return hashlib.sha256(canonical_json(body)).hexdigest()


def _road_versions() -> dict[str, str]:
    """What may change a sample on the road; an upgrade in the middle of a build is another plan."""
    import soundfile

    packages = ("numpy", "scipy", "soxr", "soundfile")
    return {
        "road": ROAD_VERSION,
        "libsndfile": soundfile.__libsndfile_version__,
        **{package: version(package) for package in packages},
    }


def _assign_splits(recipe: Recipe, utterances: list[Utterance]) -> dict[str, Split]:
    """group → split: the source's own where it states one, else by the recipe's shares."""
    sizes: dict[str, int] = defaultdict(int)
    fixed: dict[str, Split] = {}
    for utterance in utterances:
        sizes[utterance.group] += 1
        if utterance.split is not None:
            before = fixed.setdefault(utterance.group, utterance.split)
            if before != utterance.split:
                raise UsageError(
                    f"group {utterance.group!r} is in the splits {before} and {utterance.split}",
                    "a speaker may be in one split only: mend the source's split column",
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
    count = len(utterances)
    for group in free:
        split = max(
            recipe.splits, key=lambda s: recipe.splits[s] / total - filled.get(s, 0) / count
        )
        assigned[group] = split
        filled[split] += sizes[group]
    return assigned


def _plan_utterance(
    recipe: Recipe, sentences: list[str], utterance: Utterance, split: Split
) -> PlannedUtterance:
    if utterance.text:
        text, origin = utterance.text, "transcript"
    else:
        text, origin = _pick_text(recipe, sentences, utterance), "sentences"
    return PlannedUtterance(
        source=utterance,
        split=split,
        text=text,
        text_origin=origin,
        language=utterance.language or recipe.language if utterance.text else recipe.language,
        licence=utterance.licence or recipe.licence,
    )


def _pick_text(recipe: Recipe, sentences: list[str], utterance: Utterance) -> str:
    """Sentences, from a drawn place on, until they last about as long as the recording."""
    wanted = min(utterance.duration_s, recipe.conditioning.max_s) * CHARACTERS_PER_SECOND
    start = item_seed(recipe.seed, "text", utterance.id) % len(sentences)
    chosen = sentences[start]
    step = 1
    while len(chosen) < wanted and step < len(sentences):
        chosen += " " + sentences[(start + step) % len(sentences)]
        step += 1
    return chosen


def _slice(recipe: Recipe, utterances: list[PlannedUtterance]) -> list[PlannedShard]:
    """Shards per domain and split, in an order that mixes speakers."""
    rooms: dict[tuple[str, Split], list[PlannedUtterance]] = defaultdict(list)
    for utterance in utterances:
        rooms[slug(utterance.source.domain), utterance.split].append(utterance)
    shards = []
    for (domain, split), members in sorted(rooms.items()):
        members.sort(key=lambda u: (item_seed(recipe.seed, "order", u.source.id), u.source.id))
        for number, start in enumerate(range(0, len(members), recipe.utterances_per_shard)):
            shards.append(
                PlannedShard(
                    name=f"{recipe.name}-{domain}-{split}-{number:06d}",
                    split=split,
                    domain=domain,
                    utterances=tuple(members[start : start + recipe.utterances_per_shard]),
                )
            )
    return shards


def slug(name: str) -> str:
    """A name as it may stand in a file name: [a-z0-9_-]+, long ones cut and told apart."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "x"
    if len(plain) <= _SLUG_LENGTH:
        return plain
    return f"{plain[:_SLUG_LENGTH]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def read_plan(url: str) -> Plan:
    """The plan that a corpus was begun with.

    Raises:
        CorpusError: it cannot be read as one.
    """
    try:
        plan = Plan.model_validate_json(storage.read(url, _MAX_PLAN_BYTES))
    except ValueError as error:
        raise CorpusError(f"{url} is not a plan", "build into another folder") from error
    if _hash(plan) != plan.hash:
        raise CorpusError(f"{url} was changed after it was written", "build into another folder")
    return plan
