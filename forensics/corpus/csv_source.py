"""Reads utterances out of a CSV."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from forensics.corpus.utterance import (
    CHARACTERS_PER_SECOND,
    Source,
    Utterance,
    checked_split,
    is_bonafide,
    measure,
    utterance_id,
)
from forensics.errors import UsageError

_COLUMNS = "path; speaker or group, domain or corpus, text, language, licence, split, label"


def from_csv(path: Path, where: dict[str, str]) -> Source:
    """Bona fide rows whose columns have the values of `where`; paths are relative to the CSV.

    Raises:
        UsageError: unreadable, missing columns, labels or splits that are not known.
    """
    rows, columns = _read_rows(path)
    if not columns & {"path", "text"}:
        split = "; it looks split at ';'" if any(";" in column for column in columns) else ""
        raise UsageError(
            f"{path} has no column 'path', nor a column 'text' to be read by TTS "
            f"(it has: {', '.join(sorted(columns)) or 'none'}{split})",
            f"comma-separated columns read: {_COLUMNS}",
        )
    for column in sorted(set(where) - columns):
        raise UsageError(f"{path} has no column {column!r}", f"it has {', '.join(sorted(columns))}")
    kept = [
        (number, row)
        for number, row in rows
        if all(row[key].lower() == value.strip().lower() for key, value in where.items())
    ]
    real = [(n, row) for n, row in kept if is_bonafide(row.get("label"), f"{path}, row {n}")]
    notes = []
    if len(real) < len(kept):
        notes.append(f"{len(kept) - len(real)} rows of {path.name} are spoofs and were left out")
    if not columns & {"speaker", "group"}:
        notes.append(f"{path.name} has no column 'speaker': every file counts as its own speaker")
    root = path.resolve().parent
    return Source(root=root, utterances=list(_utterances(path, root, real)), notes=notes)


def _read_rows(path: Path) -> tuple[list[tuple[int, dict[str, str]]], set[str]]:
    """Numbered rows with stripped values, and the names of the columns."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, restval="")
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            rows = [
                (number, {key: (value or "").strip() for key, value in row.items() if key})
                for number, row in enumerate(reader, 1)
            ]
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 ({error})", "save it as UTF-8") from error
    except csv.Error as error:
        raise UsageError(f"{path} is not a CSV that can be read ({error})", "mend it") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check it") from error
    return rows, set(columns)


def _utterances(
    path: Path, root: Path, rows: list[tuple[int, dict[str, str]]]
) -> Iterator[Utterance]:
    for number, row in rows:
        where = f"{path}, row {number}"
        text = row.get("text") or row.get("transcript") or None
        relative = os.path.normpath(row["path"]) if row.get("path") else ""
        if "\0" in relative or not (relative or text):
            raise UsageError(f"{where}: neither a path nor a text", "mend the row")
        speaker = row.get("speaker") or row.get("group")
        common = {
            "domain": row.get("domain") or row.get("corpus") or path.stem,
            "text": text,
            "language": row.get("language") or None,
            "licence": row.get("licence") or row.get("license") or None,
            "split": checked_split(row.get("split"), where),
        }
        if relative:
            yield Utterance(
                id=utterance_id(relative),
                path=relative,
                group=speaker or relative,
                **common,
                **measure(root / relative),
            )
        else:
            said = text or ""
            yield Utterance(
                id=utterance_id("text", speaker or "", said),
                path="",
                sha256=hashlib.sha256(said.encode()).hexdigest(),
                duration_s=len(said) / CHARACTERS_PER_SECOND,
                group=speaker or f"text-{number}",
                **common,
            )
