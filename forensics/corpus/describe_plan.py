"""What a plan amounts to, for `--dry-run`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from forensics.corpus.item import Source
from forensics.corpus.modality import modality_of
from forensics.corpus.plan import Plan


def describe(plan: Plan[Any, Any, Any], source: Source[Any]) -> dict[str, Any]:
    """Items, hours or megapixels, bytes, systems and what is missing; amounts are estimates."""
    modality = modality_of(plan.recipe.modality)
    items: Counter[str] = Counter()
    amounts: dict[str, float] = defaultdict(float)
    per_split: Counter[str] = Counter()
    for shard in plan.shards:
        for planned in shard.families:
            names = plan.members(planned)
            items.update(names)
            per_split[shard.split] += len(names)
            amount = modality.amount(plan, planned)
            for name in names:
                amounts[name] += amount
    total, whole = sum(items.values()), sum(amounts.values())
    empty = sorted(set(plan.recipe.splits) - {shard.split for shard in plan.shards})
    unfilled = [f"nothing for the splits: {', '.join(empty)}"] if empty else []
    return {
        "pipeline": plan.recipe.name,
        "plan": plan.hash,
        "shards": len(plan.shards),
        "items": total,
        modality.unit: round(whole, 3),
        "bytes": modality.bytes(plan, whole, total),
        "splits": dict(per_split),
        "systems": {
            name: {"items": items[name], modality.unit: round(amounts[name], 3)} for name in items
        },
        "missing": [m.model_dump(mode="json") for m in plan.missing],
        "warnings": [*source.notes, *modality.warnings(plan), *unfilled],
    }


def render(summary: dict[str, Any]) -> str:
    """The same for people."""
    unit = "hours" if "hours" in summary else "megapixels"
    lines = [
        f"{summary['pipeline']}: {summary['items']} items, about {summary[unit]:.2f} {unit} and "
        f"{summary['bytes'] / 1e6:.0f} MB, in {summary['shards']} shards "
        f"(plan {summary['plan'][:12]})",
        "splits: " + ", ".join(f"{name} {count}" for name, count in summary["splits"].items()),
        "",
        f"{'system':24} {'items':>8} {unit:>10}",
    ]
    lines += [
        f"{name:24} {row['items']:8} {row[unit]:10.2f}" for name, row in summary["systems"].items()
    ]
    if summary["missing"]:
        lines += ["", "cannot run here, and will be left out:"]
        for system in summary["missing"]:
            lines.append(f"  {system['name']}: {'; '.join(system['missing'])}")
            lines += [f"      get it: {fix}" for fix in system["fixes"]]
    if summary["warnings"]:
        lines += ["", *(f"warning: {warning}" for warning in summary["warnings"])]
    return "\n".join(lines)
