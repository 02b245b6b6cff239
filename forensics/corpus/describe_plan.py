"""What a plan amounts to, for `--dry-run`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from forensics.corpus.plan import Plan
from forensics.corpus.utterance import Source

# 44 bytes of header, a tar header and its padding, and about 1 kB of metadata with its own.
_OVERHEAD_BYTES = 44 + 2 * (512 + 256) + 1024
_FEW_GROUPS = 10


def describe(plan: Plan, source: Source) -> dict[str, Any]:
    """Items, hours, bytes, systems and what is missing; all estimates come from the headers."""
    recipe = plan.recipe
    items: Counter[str] = Counter()
    hours: dict[str, float] = defaultdict(float)
    per_split: Counter[str] = Counter()
    share = sum(recipe.conditioning.cut_share) / 2 if recipe.conditioning.cut == "family" else 1.0
    for shard in plan.shards:
        for utterance in shard.utterances:
            names = plan.members(utterance)
            items.update(names)
            per_split[shard.split] += len(names)
            seconds = min(utterance.source.duration_s, recipe.conditioning.max_s) * share
            for name in names:
                hours[name] += seconds / 3600
    total = sum(items.values())
    seconds = sum(hours.values()) * 3600
    bytes_ = round(seconds * recipe.conditioning.sampling_rate * 2 + total * _OVERHEAD_BYTES)
    return {
        "pipeline": recipe.name,
        "plan": plan.hash,
        "shards": len(plan.shards),
        "items": total,
        "hours": round(sum(hours.values()), 3),
        "bytes": bytes_ if recipe.encoding == "wav" else round(bytes_ * 0.6),
        "splits": dict(per_split),
        "systems": {name: {"items": items[name], "hours": round(hours[name], 3)} for name in items},
        "missing": [m.model_dump(mode="json") for m in plan.missing],
        "warnings": _warnings(plan, source),
    }


def render(summary: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"{summary['pipeline']}: {summary['items']} items, about {summary['hours']:.2f} h and "
        f"{summary['bytes'] / 1e6:.0f} MB, in {summary['shards']} shards "
        f"(plan {summary['plan'][:12]})",
        "splits: " + ", ".join(f"{name} {count}" for name, count in summary["splits"].items()),
        "",
        f"{'system':24} {'items':>8} {'hours':>8}",
    ]
    lines += [
        f"{name:24} {row['items']:8} {row['hours']:8.2f}"
        for name, row in summary["systems"].items()
    ]
    if summary["missing"]:
        lines += ["", "cannot run here, and will be left out:"]
        for system in summary["missing"]:
            lines.append(f"  {system['name']}: {'; '.join(system['missing'])}")
            lines += [f"      get it: {fix}" for fix in system["fixes"]]
    if summary["warnings"]:
        lines += ["", *(f"warning: {warning}" for warning in summary["warnings"])]
    return "\n".join(lines)


def _warnings(plan: Plan, source: Source) -> list[str]:
    found = list(source.notes)
    utterances = [u for shard in plan.shards for u in shard.utterances]
    texts = sum(1 for u in utterances if u.source.text_only)
    if texts:
        found.append(
            f"{texts} rows are texts without a recording: TTS copies only, nothing bona fide"
        )
    untold = sum(1 for u in utterances if u.text_origin == "sentences")
    if untold and any(system.kind == "tts" for system in plan.systems):
        found.append(
            f"{untold} of {len(utterances)} recordings have no transcript: TTS systems read "
            f"{plan.recipe.language!r} sentences of the pipeline instead, so words (and language, "
            "where the speech is in another one) differ by label for TTS"
        )
    groups = {u.source.group for u in utterances}
    if len(groups) < _FEW_GROUPS:
        found.append(
            f"only {len(groups)} groups (speakers): splits and the audit are weak below "
            f"{_FEW_GROUPS}"
        )
    rate = plan.recipe.conditioning.sampling_rate
    narrow = sum(1 for u in utterances if u.source.sampling_rate and u.source.sampling_rate < rate)
    if narrow:
        found.append(
            f"{narrow} recordings are sampled below {rate} Hz: their upper band is empty, that of "
            "TTS copies is not, which tells the labels apart"
        )
    broken = [u for u in utterances if u.source.broken]
    if broken:
        found.append(f"{len(broken)} recordings cannot be read, e.g. {broken[0].source.path}")
    empty = sorted(set(plan.recipe.splits) - {shard.split for shard in plan.shards})
    if empty:
        found.append(f"no recordings for the splits: {', '.join(empty)}")
    return found
