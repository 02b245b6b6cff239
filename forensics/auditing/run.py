"""Does anything but the forgery tell the labels of a corpus apart?

A classifier is trained on trivial features alone (`speech_features`, `image_features`), family by
family, with grouped cross-validation (`leak_model`); what it reaches on held-out groups is what a
detector could reach without looking at the forgery. Decision rule, per judged family:

- `fail`: the lower end of the 95 % interval of the AUC lies above the limit;
- `inconclusive`: too few items or groups, or the AUC lies above the limit but its interval reaches
  below;
- `pass`: the AUC does not exceed the limit.

Where the mask lies is reported and not judged in a corpus of faces: that a forged face is forged at
the face tells nothing of the label.

Each system is besides compared with all bona fide items on its own; there the intervals are widened
for the number of comparisons, and a family fails by the same rule.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypeVar

import numpy as np

from forensics.auditing import checks, leak_model
from forensics.auditing.features import FeatureSet, ItemFacts, Value
from forensics.auditing.image_features import IMAGE
from forensics.auditing.judge import JUDGED, Judge
from forensics.auditing.mask_prior import mask_leaks, occupancy
from forensics.auditing.material import Entry, Material, Media, open_material
from forensics.auditing.report import (
    AuditReport,
    Check,
    Leak,
    Settings,
    Status,
    SystemResult,
)
from forensics.auditing.speech_features import SPEECH
from forensics.errors import MediaError, UsageError
from forensics.media.image import read_mask
from forensics.progress import Progress
from forensics.shards.format import Item

T = TypeVar("T")
DEFAULT_LIMIT = 0.60
MAX_ITEMS = 20_000
FEATURE_SETS = {"speech": SPEECH, "image": IMAGE}


def audit(
    corpus: str | os.PathLike[str] | Sequence[Item],
    limit: float = DEFAULT_LIMIT,
    limits: Mapping[str, float | None] | None = None,
    max_items: int = MAX_ITEMS,
    seed: int = 0,
    progress: bool = False,
) -> AuditReport:
    """Audit a corpus folder or URL, a CSV of loose files (`path,label[,group,system,…]`), or items.

    Args:
        limit: AUC that a judged family may reach; `bandwidth` may reach 0.1 more.
        limits: by family, instead of `limit`; None reports the family without judging it.
        max_items: more than that are sampled by source, so that all copies of one stay together.
        seed: of folds, classifier and resamples.
        progress: show it on standard error.

    Raises:
        UsageError: nothing to audit, a list that cannot be read, an unknown family or a limit
            outside [0.5, 1), a modality without trivial features.
        CorpusError: a damaged shard or sidecar.
    """
    started = time.perf_counter()
    material = open_material(corpus)
    if material.modality not in FEATURE_SETS:
        raise UsageError(
            f"there are no trivial features for {material.modality}",
            f"audit knows {', '.join(FEATURE_SETS)}",
        )
    features = FEATURE_SETS[material.modality]
    settings = Settings(
        limits=_limits(features, limit, _exempt(material, features) | dict(limits or {})),
        max_items=max_items,
        seed=seed,
        folds=leak_model.FOLDS,
        resamples=leak_model.RESAMPLES,
        min_groups=leak_model.MIN_GROUPS,
        min_items=leak_model.MIN_ITEMS,
    )
    sample = _measure(material, features, _choose(material.entries, max_items), progress)
    judge = Judge(sample.entries, sample.rows, features, settings)
    families = list(_shown(judge.families(), len(judge.columns), "families", progress))
    families += _masks(sample, features, settings)
    systems = list(_shown(judge.systems(), len(judge.system_names), "systems", progress))
    checks = _checks(material, sample)
    notes = list(material.notes)
    if material.of_faces and sample.masks:
        notes.append(
            "masks lie on faces: a localiser's figures here count for what they are above "
            "mask_centre and mask_mean"
        )
    if len(sample.entries) < len(material.entries):
        notes.append(
            f"{len(sample.entries)} of {len(material.entries)} items were measured "
            f"(max_items {max_items}); overlaps and balance were checked on all"
        )
    return AuditReport(
        status=_status(families, systems, checks),
        corpus=material.name,
        modality=material.modality,
        items=len(material.entries),
        measured=len(sample.entries),
        groups=len({entry.group for entry in material.entries}),
        labels=dict(sorted(Counter(entry.label for entry in material.entries).items())),
        families=tuple(families),
        systems=tuple(systems),
        checks=tuple(checks),
        notes=tuple(notes),
        settings=settings,
        seconds=round(time.perf_counter() - started, 2),
        forensics_version=version("forensics"),
    )


@dataclass
class _Sample:
    """What was measured: entries and their features, row by row; hashes and failures by index.

    Attributes:
        masks: by index, where the forged pixels lie (`occupancy`).
        odd_masks: by index of what carries a mask, what is wrong with it, or None.
    """

    entries: list[Entry]
    rows: list[dict[str, Value]]
    sha256: dict[int, str]
    unreadable: dict[int, str]
    masks: dict[int, tuple[str, np.ndarray]] = field(default_factory=dict)
    odd_masks: dict[int, str | None] = field(default_factory=dict)


def _exempt(material: Material, features: FeatureSet) -> dict[str, float | None]:
    """Families that are not judged in such a corpus, unless a limit is asked for."""
    return {family.name: None for family in features.masks} if material.of_faces else {}


def _limits(
    features: FeatureSet, limit: float, overrides: Mapping[str, float | None]
) -> dict[str, float | None]:
    """The limit of every family, and of all judged ones together: the loosest of theirs."""
    resolved = {
        family.name: None if family.slack is None else round(limit + family.slack, 6)
        for family in (*features.families, *features.masks)
    }
    unknown = sorted(set(overrides) - set(resolved))
    if unknown:
        raise UsageError(f"there is no family {unknown[0]!r}", f"families: {', '.join(resolved)}")
    resolved |= overrides
    if any(value is not None and not value >= 0.5 for value in resolved.values()):
        raise UsageError("a limit is an AUC from 0.5 on", "e.g. --limit 0.6")
    own = [resolved[family.name] for family in features.families]
    judged = [value for value in own if value is not None]
    if not judged:
        raise UsageError("no family is left to judge", "give at least one family a limit")
    return resolved | {JUDGED: max(judged)}


def _choose(entries: Sequence[Entry], most: int) -> list[int]:
    """Indices of whole sources, in an order that depends on their names alone, up to `most`."""
    if len(entries) <= most:
        return list(range(len(entries)))
    places: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        places.setdefault(entry.source_id, []).append(index)
    chosen: list[int] = []
    for source in sorted(places, key=lambda s: hashlib.sha256(s.encode()).digest()):
        if len(chosen) + len(places[source]) <= most:
            chosen += places[source]
    return sorted(chosen)


def _measure(
    material: Material, features: FeatureSet, wanted: list[int], progress: bool
) -> _Sample:
    sample = _Sample([], [], {}, {})
    for media in _shown(material.read(wanted), len(wanted), "items", progress):
        _measure_one(material.entries[media.index], media, features, sample)
    return sample


def _shown(results: Iterable[T], total: int, unit: str, progress: bool) -> Iterator[T]:
    with Progress(total, "auditing", unit) if progress else nullcontext() as bar:
        for result in results:
            yield result
            if bar:
                bar.advance()


def _measure_one(entry: Entry, media: Media, features: FeatureSet, sample: _Sample) -> None:
    facts = ItemFacts(entry.key, media.extension, entry.position, entry.fields, entry.conditions)
    try:
        if isinstance(media.content, MediaError):
            raise media.content
        sample.sha256[media.index] = hashlib.sha256(media.content).hexdigest()
        row = features.extract(media.content, facts)
    except MediaError as error:
        sample.unreadable[media.index] = error.reason
    else:
        sample.entries.append(entry)
        sample.rows.append(row)
        if media.mask is not None and features.masks:
            sample.odd_masks[media.index] = _take_mask(entry, media, row, sample)


def _take_mask(entry: Entry, media: Media, row: Mapping[str, Value], sample: _Sample) -> str | None:
    """Keep where the mask lies; or say what is wrong with it."""
    try:
        if media.mask is None or isinstance(media.mask, MediaError):
            raise media.mask or ValueError("no mask")
        mask = read_mask(media.mask, (int(row["size.height"]), int(row["size.width"])))
    except MediaError as error:
        return f"mask: {error.reason}"
    if not mask.any():
        return "an empty mask"
    if entry.label == "spoof":
        sample.masks[media.index] = entry.group, occupancy(mask)
    return None


def _masks(sample: _Sample, features: FeatureSet, settings: Settings) -> list[Leak]:
    if not sample.masks:
        return []
    groups, masks = zip(*sample.masks.values(), strict=True)
    return list(mask_leaks(masks, groups, features.masks, settings.limits))


def _checks(material: Material, sample: _Sample) -> list[Check]:
    entries = material.entries
    stated = {i: entry.sha256 for i, entry in enumerate(entries) if entry.sha256 is not None}
    found = [
        *checks.corpus_checks(entries, material.failures),
        *checks.duplicate_checks(entries, stated | sample.sha256),
        checks.unreadable_check(entries, sample.unreadable),
    ]
    if material.modality == "speech":
        found.append(checks.silence_check(sample.entries, sample.rows))
    if sample.odd_masks:
        found.append(checks.mask_check(entries, sample.odd_masks))
    return found


def _status(families: list[Leak], systems: list[SystemResult], checks: list[Check]) -> Status:
    """A system that could not be judged alone is reported; it was judged among the others."""
    leaks = [*families, *(leak for system in systems for leak in system.leaks)]
    if any(found.status == "fail" for found in (*leaks, *checks)):
        return "fail"
    return "inconclusive" if any(k.status == "inconclusive" for k in families) else "pass"
