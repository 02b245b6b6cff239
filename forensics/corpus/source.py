"""Reads a source: a folder of recordings, a CSV, or shards → a sorted list of utterances."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from forensics.errors import MediaError, UsageError
from forensics.media.audio import EXTENSIONS, Limits, probe
from forensics.shards.format import Split

# Average speech; only used to guess how long a text takes to read.
CHARACTERS_PER_SECOND = 14.0
_TRUE_LABELS = {"", "bonafide", "bona-fide", "real", "genuine", "human"}


class Utterance(BaseModel):
    """One bona fide recording.

    Attributes:
        id: unique in the source; part of the plan, never of a key.
        path: relative to the source's root; empty for a text without a recording.
        span: (offset, bytes) of the recording inside `path` when that is a shard.
        group: what splits never cross: the speaker.
        split: fixed by the source, or None to let the plan decide.
        broken: why the recording cannot be used; such utterances are planned and listed as failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    path: str
    span: tuple[int, int] | None = None
    size_bytes: int
    duration_s: float
    group: str
    domain: str
    text: str | None = None
    language: str | None = None
    licence: str | None = None
    split: Split | None = None
    broken: str | None = None

    @property
    def text_only(self) -> bool:
        return not self.path


class Source(BaseModel):
    """Utterances sorted by id, and the folder that their paths are relative to."""

    root: Path
    utterances: list[Utterance]
    notes: list[str] = []


def load_source(path: str | os.PathLike[str], where: dict[str, str] | None = None) -> Source:
    """Read a folder, a `.csv`, a `.tar` or a folder of `.tar` shards.

    Args:
        where: for a CSV, keep rows whose column has this value (compared without case).

    Raises:
        UsageError: nothing there, missing columns, no recordings, ids that clash.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise UsageError(f"the source {root} does not exist", "check --source")
    if root.suffix.lower() == ".csv":
        source = _from_csv(root, where or {})
    elif where:
        raise UsageError("--where filters the rows of a CSV", "name a CSV with --source")
    elif root.suffix == ".tar" or any(root.rglob("*.tar")):
        from forensics.corpus.shard_source import from_shards

        source = from_shards(root)
    elif root.is_dir():
        source = _from_folder(root)
    else:
        raise UsageError(
            f"the source {root} is neither a folder, a CSV nor shards", "name one of these"
        )
    if not source.utterances:
        raise UsageError(
            f"the source {root} holds no recordings",
            f"it needs {', '.join(sorted(EXTENSIONS))} files or rows",
        )
    source.utterances.sort(key=lambda utterance: utterance.id)
    return source


def utterance_id(relative: str) -> str:
    """A readable id that stays unique: the path's last part and a hash of the whole path."""
    stem = re.sub(r"[^a-z0-9]+", "-", Path(relative).stem.lower()).strip("-")[:40]
    return f"{stem or 'x'}-{hashlib.sha256(relative.encode()).hexdigest()[:10]}"


def _from_folder(root: Path) -> Source:
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    nested = any(len(p.relative_to(root).parts) > 1 for p in files)
    notes = []
    if files and not nested:
        notes.append(
            "the folder has no subfolders, so every file counts as its own speaker; if speakers "
            "have several files, use one subfolder each or a CSV with a 'speaker' column"
        )
    utterances = []
    for path in files:
        relative = path.relative_to(root)
        group = relative.parts[0] if len(relative.parts) > 1 else relative.stem
        beside = path.with_suffix(".txt")
        text = beside.read_text(encoding="utf-8").strip() if beside.is_file() else None
        utterances.append(
            _utterance(root, str(relative), group=group, domain=root.name, text=text or None)
        )
    return Source(root=root, utterances=utterances, notes=notes)


def _from_csv(path: Path, where: dict[str, str]) -> Source:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        columns = set(reader.fieldnames or [])
        if not columns & {"path", "text"}:
            raise UsageError(
                f"{path} has no column 'path', nor a column 'text' to be read by TTS "
                f"(it has: {', '.join(sorted(columns)) or 'none'})",
                "columns read: path; speaker or group, domain or corpus, text, language, licence, "
                "split, label",
            )
        absent = sorted(set(where) - columns)
        if absent:
            raise UsageError(f"{path} has no column {absent[0]!r}", f"it has {sorted(columns)}")
        rows = [row for row in reader if _matches(row, where)]
    spoofs = sum(1 for row in rows if (row.get("label") or "").lower() not in _TRUE_LABELS)
    notes = [f"{spoofs} rows of {path.name} are not bona fide and were left out"] if spoofs else []
    if not columns & {"speaker", "group"}:
        notes.append(f"{path.name} has no column 'speaker': every file counts as its own speaker")
    kept = [row for row in rows if (row.get("label") or "").lower() in _TRUE_LABELS]
    return Source(root=path.parent, utterances=list(_from_rows(path, kept)), notes=notes)


def _from_rows(path: Path, rows: list[dict[str, str]]) -> Iterator[Utterance]:
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        relative = (row.get("path") or "").strip()
        text = (row.get("text") or row.get("transcript") or "").strip() or None
        if relative in seen or not (relative or text):
            problem = f"path {relative!r} comes twice" if relative else "neither path nor text"
            raise UsageError(f"{path}, row {number}: {problem}", "mend the CSV")
        seen.update([relative] if relative else [])
        split = (row.get("split") or "").strip() or None
        if split not in (None, "train", "dev", "test"):
            raise UsageError(
                f"{path}, row {number}: split {split!r}", "use train, dev, test or leave it empty"
            )
        yield _utterance(
            path.parent,
            relative,
            group=row.get("speaker") or row.get("group") or Path(relative).stem or f"text-{number}",
            domain=row.get("domain") or row.get("corpus") or path.stem,
            text=text,
            language=row.get("language") or None,
            licence=row.get("licence") or row.get("license") or None,
            split=split,
        )


def _matches(row: dict[str, str], where: dict[str, str]) -> bool:
    return all((row[key] or "").strip().lower() == value.lower() for key, value in where.items())


def _utterance(root: Path, relative: str, **fields: str | None) -> Utterance:
    if not relative:
        return Utterance(
            id=utterance_id(f"text: {fields['text']}"),
            path="",
            size_bytes=0,
            duration_s=len(fields["text"] or "") / CHARACTERS_PER_SECOND,
            **fields,  # pyright: ignore[reportArgumentType]
        )
    path, broken, duration = root / relative, None, 0.0
    try:
        duration = probe(path, Limits(max_seconds=24 * 3600)).duration_s
    except MediaError as error:
        broken = f"source: {error.reason}"
    size = path.stat().st_size if path.is_file() else 0
    return Utterance(
        id=utterance_id(relative),
        path=relative,
        size_bytes=size,
        duration_s=round(duration, 6),
        broken=broken,
        **fields,  # pyright: ignore[reportArgumentType]
    )
