"""Utterances out of a folder of recordings, a CSV, or WebDataset shards.

The plan notes where a recording lies inside its tar, so that a worker reads just that span.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forensics.corpus.item import Source, checked_split
from forensics.corpus.names import source_id
from forensics.corpus.source import (
    Sample,
    SourceReader,
    Table,
    columns_found,
    read_samples,
    read_table,
    text_field,
    utf8,
)
from forensics.corpus.speech.utterance import CHARACTERS_PER_SECOND, Utterance, measure
from forensics.errors import UsageError
from forensics.media.audio import EXTENSIONS

_COLUMNS = "path; speaker or group, domain or corpus, text, language, licence, split, label"


def load_source(
    path: str | os.PathLike[str], where: dict[str, str] | None = None
) -> Source[Utterance]:
    """Recordings and texts of a folder, a CSV or shards; see `SourceReader.load`."""
    return _Reader().load(path, where)


class _Reader(SourceReader[Utterance]):
    extensions = frozenset(EXTENSIONS)
    things = "recordings"

    def describe(self, item: Utterance) -> str:
        return item.path or repr(item.text)

    def from_folder(self, root: Path, files: list[Path]) -> Source[Utterance]:
        notes = []
        if files and all(path.parent == root for path in files):
            notes.append(
                "the folder has no subfolders, so every file counts as its own speaker; if "
                "speakers have several files, use one subfolder each or a CSV with a 'speaker' "
                "column"
            )
        return Source(root, [_from_file(root, path) for path in files], notes)

    def from_csv(self, path: Path, where: dict[str, str]) -> Source[Utterance]:
        def check(columns: set[str]) -> None:
            if not columns & {"path", "text"}:
                raise UsageError(
                    f"{path} has no column 'path', nor a column 'text' to be read by TTS "
                    f"({columns_found(columns)})",
                    f"comma-separated columns read: {_COLUMNS}",
                )

        table = read_table(path, where, check)
        if not table.columns & {"speaker", "group"}:
            table.notes.append(
                f"{path.name} has no column 'speaker': every file counts as its own speaker"
            )
        root = path.resolve().parent
        return Source(root, list(_from_rows(path, root, table)), table.notes)

    def from_shards(self, root: Path, tars: list[Path]) -> Source[Utterance]:
        base = root.parent if root.is_file() else root
        notes: list[str] = []
        samples = list(_from_samples(base, tars, self.extensions, notes))
        if not any(told for _, told in samples):
            notes.append("no sample states a speaker: every one counts as its own")
        return Source(base.resolve(), [utterance for utterance, _ in samples], notes)


def _from_file(root: Path, path: Path) -> Utterance:
    relative = path.relative_to(root)
    return Utterance(
        id=source_id(utf8(str(relative))),
        path=str(relative),
        group=relative.parts[0] if len(relative.parts) > 1 else relative.stem,
        domain=root.name or "root",
        text=_transcript(path.with_suffix(".txt")),
        **measure(path),
    )


def _transcript(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8-sig").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the transcript {path} cannot be read ({error})", "save it as UTF-8"
        ) from error


def _from_rows(path: Path, root: Path, table: Table) -> Iterator[Utterance]:
    for number, row in table.rows:
        where = f"{path}, row {number}"
        text = row.get("text") or row.get("transcript") or None
        relative = os.path.normpath(row["path"]) if row.get("path") else ""
        if "\0" in relative or not (relative or text):
            raise UsageError(f"{where}: neither a path nor a text", "mend the row")
        speaker = row.get("speaker") or row.get("group")
        common: dict[str, Any] = {
            "domain": row.get("domain") or row.get("corpus") or path.stem,
            "text": text,
            "language": row.get("language") or None,
            "licence": row.get("licence") or row.get("license") or None,
            "split": checked_split(row.get("split"), where),
        }
        if relative:
            yield Utterance(
                id=source_id(relative),
                path=relative,
                group=speaker or relative,
                **common,
                **measure(root / relative),
            )
        else:
            said = text or ""
            yield Utterance(
                id=source_id("text", speaker or "", said),
                path="",
                sha256=hashlib.sha256(said.encode()).hexdigest(),
                duration_s=len(said) / CHARACTERS_PER_SECOND,
                group=speaker or f"text-{number}",
                **common,
            )


def _from_samples(
    base: Path, tars: list[Path], extensions: frozenset[str], notes: list[str]
) -> Iterator[tuple[Utterance, bool]]:
    """Utterances, each with whether its speaker is told."""
    for sample in read_samples(tars, extensions, notes):
        yield _from_sample(base, sample), _speaker(sample.fields) is not None


def _from_sample(base: Path, sample: Sample) -> Utterance:
    place = str(sample.tar.relative_to(base))
    fields = sample.fields
    return Utterance(
        id=str(fields.get("source_id") or source_id(place, sample.key)),
        path=place,
        span=(sample.media.offset, len(sample.media.data)),
        group=_speaker(fields) or f"{place}/{sample.key}",
        domain=str(fields.get("domain") or sample.tar.stem),
        text=text_field(fields, "text"),
        language=text_field(fields, "language"),
        licence=text_field(fields, "licence", "license"),
        split=checked_split(fields.get("split"), sample.where),
        **measure(sample.media.data),
    )


def _speaker(fields: dict[str, Any]) -> str | None:
    found = text_field(fields, "group", "speaker")
    return None if found is None else found.strip()
