"""Lists in one file: IMDL-BenCo's JSON, and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forensics.corpus.exchange.records import LabelledImage, labelled, named_mask
from forensics.errors import UsageError

NEGATIVE = "Negative"  # in the place of a mask: a pristine picture
MAX_LIST_BYTES = 1 << 30


def read_imdl_benco(path: Path) -> list[LabelledImage]:
    """`[[image, mask or "Negative"], …]`; paths are relative to the file unless absolute.

    Raises:
        UsageError: naming file and line: not such JSON, a file is missing.
    """
    root = path.resolve().parent
    return [_benco_entry(where, root, entry) for where, entry in _json_entries(path)]


def read_csv(path: Path) -> list[LabelledImage]:
    """Columns `path` and `label`, of which `mask`, `group` (or scene, camera), `system`, `kind`,
    `mode`, `split` and `licence` may stand beside; paths are relative to the CSV.

    Raises:
        UsageError: naming file and line: no such columns, a label without meaning, a missing file.
    """
    root = path.resolve().parent
    return [
        labelled(where, root, row["path"], named_mask(row), row["label"], row)
        for where, row in _csv_rows(path)
    ]


def read_text(path: Path) -> str:
    """A list as text.

    Raises:
        UsageError: it cannot be read, is not UTF-8, or is far too long for a list.
    """
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise UsageError(f"{path}: too long for a list", "name a list of files")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 ({error})", "save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check it") from error


def _json_entries(path: Path) -> Iterator[tuple[str, Any]]:
    """The elements of a JSON array, each with the line where it begins."""
    text = read_text(path)
    decoder, at, line, counted = json.JSONDecoder(), _skip(text, 0), 1, 0
    if text[at : at + 1] != "[":
        raise UsageError(f"{path}, line 1: not a JSON array", "write [[image, mask], …]")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        where = f"{path}, line {line}"
        try:
            entry, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where}: not JSON ({error})", "mend the file") from error
        yield where, entry
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise UsageError(f"{where}: no comma or end after this entry", "mend the file")
    if text[at + 1 :].strip():
        raise UsageError(f"{path}: more follows the end of the array", "mend the file")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _benco_entry(where: str, root: Path, entry: Any) -> LabelledImage:
    pair = isinstance(entry, list) and len(entry) == 2
    if not pair or not all(isinstance(part, str) and part for part in entry):
        raise UsageError(f"{where}: not a pair of an image and a mask", "write [image, mask]")
    image, mask = entry
    if mask == NEGATIVE:
        return labelled(where, root, image, None, "bonafide")
    return labelled(where, root, image, mask, "spoof")


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows with the line where each ends, names and values stripped."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        for wanted in ("path", "label"):
            if wanted not in columns:
                found = ", ".join(columns) or "none"
                raise UsageError(
                    f"{path}, line 1: no column {wanted!r} (there are: {found})",
                    "comma-separated columns: path, label, mask; optional: group, system, kind, "
                    "mode, split, licence",
                )
        for values in reader:
            where = f"{path}, line {reader.line_num}"
            if not values:
                continue
            if len(values) != len(columns):
                raise UsageError(
                    f"{where}: {len(values)} values in {len(columns)} columns", "mend the row"
                )
            row = dict(zip(columns, (value.strip() for value in values), strict=True))
            if not row["path"]:
                raise UsageError(f"{where}: no path", "mend the row")
            yield where, row
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}", "mend the row") from error
