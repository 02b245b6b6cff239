"""What a finished corpus says of itself: `info.json`, `manifest.parquet`, and `inspect`."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from forensics.corpus.modality import read_plan
from forensics.corpus.plan import Plan
from forensics.errors import CorpusError
from forensics.shards import storage
from forensics.shards.format import ItemMeta, Sidecar, canonical_json
from forensics.shards.reader import read_sidecar

INFO_FORMAT = 1
_MAX_RECORD_BYTES = 1 << 28


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitInfo(_Strict):
    """Counts of one split; `shards` maps names to items. Images have megapixels, speech hours."""

    items: int
    hours: float
    megapixels: float | None = None
    groups: int
    labels: dict[str, int]
    shards: dict[str, int]


class SystemInfo(_Strict):
    """Counts of one system ("bonafide" included)."""

    kind: str
    items: int
    hours: float
    megapixels: float | None = None
    failed: int


class CorpusInfo(_Strict):
    """`info.json`: written last, so its presence means that the whole plan was carried out.

    Attributes:
        edits, modes: of edited images: items by type of edit, and by what made their pixels.
        roles: of faces: items by what they play.
    """

    format: int = INFO_FORMAT
    name: str
    plan: str
    shards: int
    shards_planned: int
    bytes: int
    splits: dict[str, SplitInfo]
    systems: dict[str, SystemInfo]
    domains: dict[str, int]
    licences: dict[str, int]
    edits: dict[str, int] | None = None
    modes: dict[str, int] | None = None
    roles: dict[str, int] | None = None
    failures_by_reason: dict[str, int]
    missing_systems: dict[str, str]

    @property
    def kinds(self) -> dict[str, str]:
        """System → kind, `bonafide` among them."""
        return {name: one.kind for name, one in self.systems.items()}


def finish_corpus(plan: Plan[Any, Any, Any], out: str) -> CorpusInfo:
    """Write `manifest.parquet`, then `info.json`, from the sidecars."""
    sidecars = list(read_sidecars(out, [shard.name for shard in plan.shards]))
    info = summarise(
        sidecars,
        name=plan.recipe.name,
        plan=plan.hash,
        missing=_missing(plan),
        planned=len(plan.shards),
    )
    storage.publish(f"{out}/manifest.parquet", _manifest(sidecars))
    storage.publish(f"{out}/info.json", canonical_json(info))
    return info


def read_sidecars(out: str, names: list[str] | None = None) -> Iterator[Sidecar]:
    """The sidecars of a corpus; of every shard that has one when `names` is None.

    Raises:
        CorpusError: a sidecar is missing or not valid.
    """
    if names is None:
        names = sorted(n[:-5] for n in storage.names(f"{out}/shards") if n.endswith(".json"))
    for name in names:
        yield read_sidecar(f"{out}/shards", name)


def inspect_corpus(out: str) -> CorpusInfo:
    """Counts of a corpus, finished or not, from the sidecars there are.

    Raises:
        CorpusError: there are no shards.
    """
    out = out.rstrip("/")
    sidecars = list(read_sidecars(out))
    if not sidecars:
        raise CorpusError(f"{out} holds no finished shards", "build a corpus there first")
    plan, name, missing = sidecars[0].plan, out.rsplit("/", 1)[-1], {}
    planned = len(sidecars)
    if storage.size(f"{out}/plan.json") is not None:
        begun = read_plan(f"{out}/plan.json")
        name, missing = begun.recipe.name, _missing(begun)
        planned = len(begun.shards)
    return summarise(sidecars, name=name, plan=plan, missing=missing, planned=planned)


def _missing(plan: Plan[Any, Any, Any]) -> dict[str, str]:
    return {system.name: "; ".join(system.missing) for system in plan.missing}


def summarise(
    sidecars: list[Sidecar], *, name: str, plan: str, missing: dict[str, str], planned: int
) -> CorpusInfo:
    """Count items, hours, groups, licences and failures over sidecars."""
    metas = [(sidecar, meta) for sidecar in sidecars for meta in sidecar.items.values()]
    failures = [failure for sidecar in sidecars for failure in sidecar.failures]
    failed = Counter(failure.system for failure in failures)
    splits, systems = {}, {}
    for split in sorted({sidecar.split for sidecar in sidecars}):
        own = [meta for _, meta in metas if meta.split == split]
        splits[split] = SplitInfo(
            items=len(own),
            hours=_hours(own),
            megapixels=_megapixels(own),
            groups=len({meta.group for meta in own}),
            labels=dict(sorted(Counter(meta.label for meta in own).items())),
            shards={s.shard: s.count for s in sidecars if s.split == split},
        )
    kinds = {meta.system: meta.kind for _, meta in metas}
    for system in sorted(kinds.keys() | failed.keys()):
        own = [meta for _, meta in metas if meta.system == system]
        systems[system] = SystemInfo(
            kind=kinds.get(system, "none"),
            items=len(own),
            hours=_hours(own),
            megapixels=_megapixels(own),
            failed=failed[system],
        )
    return CorpusInfo(
        name=name,
        plan=plan,
        shards=len(sidecars),
        shards_planned=planned,
        bytes=sum(sidecar.bytes for sidecar in sidecars),
        splits=splits,
        systems=systems,
        domains=dict(sorted(Counter(meta.domain for _, meta in metas).items())),
        licences=dict(sorted(Counter(meta.licence for _, meta in metas).items())),
        edits=_told(metas, "edit"),
        modes=_told(metas, "mode"),
        roles=_told(metas, "role") or None,
        failures_by_reason=dict(sorted(Counter(f.reason for f in failures).items())),
        missing_systems=missing,
    )


def _told(metas: list[tuple[Sidecar, ItemMeta]], name: str) -> dict[str, int] | None:
    """How often each value of a parameter of edited images; None for other modalities."""
    images = [meta for _, meta in metas if meta.modality == "image"]
    if not images:
        return None
    return dict(sorted(Counter(str(m.params[name]) for m in images if name in m.params).items()))


def _megapixels(metas: list[ItemMeta]) -> float | None:
    sizes = [meta.width * meta.height for meta in metas if meta.width and meta.height]
    return round(sum(sizes) / 1e6, 3) if sizes else None


def _hours(metas: list[ItemMeta]) -> float:
    return round(sum(meta.duration_s or 0.0 for meta in metas) / 3600, 4)


def _manifest(sidecars: list[Sidecar]) -> bytes:
    """One row an item; nested fields as JSON text, so that any reader can query them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for sidecar in sidecars:
        for key, meta in sidecar.items.items():
            row = meta.model_dump(mode="json")
            row["params"] = canonical_json(row["params"]).decode()
            row["conditions"] = canonical_json(row["conditions"]).decode()
            rows.append({"key": key, "shard": sidecar.shard, **row})
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer, compression="zstd")
    return buffer.getvalue()
