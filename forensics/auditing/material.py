"""What `forensics audit` looks at: our shards, a CSV of loose files, or items in memory."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.errors import CorpusError, MediaError, UsageError
from forensics.labels import read_label
from forensics.media.files import read_bytes
from forensics.media.sniff import IMAGE_EXTENSIONS
from forensics.shards import storage
from forensics.shards.format import Failure, Item, ItemMeta, Sidecar
from forensics.shards.reader import read_items, read_sidecar

_OPTIONAL = ("text", "duration_s", "sampling_rate")


@dataclass(frozen=True)
class Entry:
    """One item, without its media. `split` and `sha256` are None where nothing states them."""

    key: str
    label: str
    system: str
    group: str
    source_id: str
    split: str | None
    sha256: str | None
    fields: dict[str, str]
    position: float | None = None
    conditions: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Media:
    """The bytes of one entry and of its mask, or why they cannot be had."""

    index: int
    extension: str
    content: bytes | MediaError
    mask: bytes | MediaError | None = None


@dataclass(frozen=True)
class Material:
    """Entries and the way to their media.

    Attributes:
        read: ascending indices of entries → their media, in that order.
        failures: items that were planned and could not be made.
        of_faces: whether items claim to show somebody; their masks lie on faces.
        notes: what the user should know about how the input was read.
    """

    name: str
    modality: str
    entries: list[Entry]
    read: Callable[[Sequence[int]], Iterator[Media]]
    failures: list[Failure] = field(default_factory=list)
    of_faces: bool = False
    notes: list[str] = field(default_factory=list)


def open_material(corpus: str | os.PathLike[str] | Sequence[Item]) -> Material:
    """A corpus folder or URL, the path of a CSV, or items.

    Raises:
        UsageError: nothing there, a CSV that cannot be read as a list, more than one modality.
        CorpusError: a sidecar that is damaged.
    """
    if not isinstance(corpus, str | os.PathLike):
        return _from_items(corpus)
    if os.fspath(corpus).lower().endswith(".csv"):
        return _from_csv(Path(corpus))
    return _from_shards(os.fspath(corpus))


def _from_shards(corpus: str) -> Material:
    folder = storage.join(corpus, "shards")
    listed = storage.names(folder)
    if not listed:
        folder, listed = corpus, storage.names(corpus)
    tars = [name.removesuffix(".tar") for name in listed if name.endswith(".tar")]
    done = [name for name in tars if f"{name}.json" in listed]
    if not done:
        raise UsageError(
            f"{corpus} holds no finished shards",
            "name a corpus folder that build-dataset wrote, or a CSV with the columns path,label",
        )
    sidecars = [read_sidecar(folder, name) for name in done]
    entries: list[Entry] = []
    starts: list[int] = []
    for sidecar in sidecars:
        starts.append(len(entries))
        last = max(1, len(sidecar.items) - 1)
        for place, (key, meta) in enumerate(sidecar.items.items()):
            entries.append(_entry(key, meta, place / last))

    def read(wanted: Sequence[int]) -> Iterator[Media]:
        rest = list(wanted)
        for sidecar, start in zip(sidecars, starts, strict=True):
            mine = [i - start for i in rest if start <= i < start + sidecar.count]
            if mine:
                for place, item in zip(mine, _shard_items(folder, sidecar, mine), strict=True):
                    yield Media(start + place, item.extension, item.media, item.mask)

    unfinished = len(tars) - len(done)
    metas = [meta for sidecar in sidecars for meta in sidecar.items.values()]
    return Material(
        name=corpus,
        modality=_modality(metas),
        of_faces=_of_faces(metas),
        entries=entries,
        read=read,
        failures=[failure for sidecar in sidecars for failure in sidecar.failures],
        notes=[f"{unfinished} shards without a sidecar were left out"] if unfinished else [],
    )


def _shard_items(folder: str, sidecar: Sidecar, places: list[int]) -> Iterator[Item]:
    url = storage.join(folder, f"{sidecar.shard}.tar")
    keys = list(sidecar.items)
    with storage.open_read(url) as stream:
        for place, item in zip(places, read_items(stream, url, sidecar.count, places), strict=True):
            if item.key != keys[place]:
                raise CorpusError(
                    f"{url}: item {item.key!r} stands where the sidecar has {keys[place]!r}",
                    "forensics verify",
                )
            yield item


def _from_items(items: Sequence[Item]) -> Material:
    if not items:
        raise UsageError("there are no items to audit", "pass at least one")

    def read(wanted: Sequence[int]) -> Iterator[Media]:
        return (Media(i, items[i].extension, items[i].media, items[i].mask) for i in wanted)

    metas = [item.meta for item in items]
    entries = [_entry(item.key, item.meta, None) for item in items]
    return Material("items", _modality(metas), entries, read, of_faces=_of_faces(metas))


def _entry(key: str, meta: ItemMeta, position: float | None) -> Entry:
    fields = {"language": meta.language or "", "domain": meta.domain}
    fields |= {f"states_{name}": str(getattr(meta, name) is not None) for name in _OPTIONAL}
    return Entry(
        key=key,
        label=meta.label,
        system=meta.system,
        group=meta.group,
        source_id=meta.source_id,
        split=meta.split,
        sha256=meta.sha256,
        fields=fields,
        position=position,
        conditions=meta.conditions,
    )


def _modality(metas: list[ItemMeta]) -> str:
    found = sorted({meta.modality for meta in metas})
    if len(found) != 1:
        raise UsageError(
            f"the corpus holds {' and '.join(found) or 'no items'}", "audit one modality at a time"
        )
    return found[0]


def _of_faces(metas: list[ItemMeta]) -> bool:
    return all("claimed" in meta.params for meta in metas)


def _from_csv(path: Path) -> Material:
    rows = _read_rows(path)
    notes = []
    if not {"group", "speaker"} & rows[0].keys():
        notes.append(
            "the list has no column 'group' or 'speaker': every file counts as independent, so "
            "that what tells speakers or cameras apart may pass for a leak, and intervals may be "
            "too narrow"
        )
    entries = [_listed(path, number, row) for number, row in enumerate(rows, 2)]

    def read(wanted: Sequence[int]) -> Iterator[Media]:
        for index in wanted:
            file = path.parent / rows[index]["path"]
            extension = file.suffix.lower().lstrip(".")
            mask = rows[index].get("mask")
            yield Media(
                index, extension, _bytes_of(file), _bytes_of(path.parent / mask) if mask else None
            )

    return Material(str(path), _listed_modality(rows), entries, read, notes=notes)


def _bytes_of(file: Path) -> bytes | MediaError:
    try:
        return read_bytes(file)
    except MediaError as error:
        return error


def _listed_modality(rows: list[dict[str, str]]) -> str:
    """By the names: what cannot be read must count, whatever it holds."""
    pictures = [Path(row["path"]).suffix.lower() in IMAGE_EXTENSIONS for row in rows]
    if any(pictures) and not all(pictures):
        raise UsageError("the list holds pictures and other files", "audit one modality at a time")
    return "image" if any(pictures) else "speech"


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            absent = {"path", "label"} - set(reader.fieldnames or ())
            rows = [
                {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
                for row in reader
            ]
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file", "check the path") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"{path}: not a CSV that can be read ({error})", "save as UTF-8"
        ) from error
    if absent:
        raise UsageError(
            f"{path} has no column {sorted(absent)[0]!r}",
            "columns read: path, label; optional: group or speaker, system, source_id, split, "
            "language, domain, mask",
        )
    if not rows:
        raise UsageError(f"{path} lists no files", "add rows with path and label")
    return rows


def _listed(path: Path, number: int, row: dict[str, str]) -> Entry:
    label = read_label(row["label"])
    if label is None or not row["path"]:
        raise UsageError(
            f"{path}, line {number}: path {row['path']!r}, label {row['label']!r}",
            "every row needs a path and a label: bonafide or spoof (or real, fake and the like)",
        )
    return Entry(
        key=Path(row["path"]).stem,
        label=label,
        system=row.get("system") or label if label == "spoof" else label,
        group=row.get("group") or row.get("speaker") or row["path"],
        source_id=row.get("source_id") or row["path"],
        split=row.get("split") or None,
        sha256=None,
        fields={name: row[name] for name in ("language", "domain") if name in row},
    )
