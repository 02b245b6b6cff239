"""Protocol files of the field and plain CSVs → labelled rows → clips.

Columns of the ASVspoof protocols are from the data sets' READMEs and evaluation packages: 2019 LA
(`LA_0079 LA_E_1000147 - A07 spoof`), 2021 LA and DF (`trial_metadata.txt`), 5
(`ASVspoof5.*.tsv`, which separates with spaces) and its keys (`filename<TAB>cm-label`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from forensics.errors import UsageError
from forensics.evaluation.clips import BONAFIDE, Clip, ClipSet, Media, clip_set
from forensics.labels import read_label

Format = Literal[
    "asvspoof2019", "asvspoof2021", "asvspoof5", "asvspoof-key", "in-the-wild", "audeter", "csv"
]
FORMATS: tuple[Format, ...] = get_args(Format)

_EXTENSIONS = (".flac", ".wav")
_MAX_FIELD = 1 << 20


@dataclass(frozen=True)
class Layout:
    """Where a format has what.

    Attributes:
        columns: names of whitespace-separated fields; () for a CSV, whose header names them.
        fields: how many a line may have; more than `columns` names are passed over.
        path, label: columns that every row has.
        source, group, system, kind, split: candidates, the first that is there is taken.
        bare: the path is a name without folder and extension.
    """

    columns: tuple[str, ...] = ()
    fields: tuple[int, ...] = ()
    path: str = "path"
    label: str = "label"
    system: tuple[str, ...] = ("system",)
    kind: tuple[str, ...] = ("kind",)
    source: tuple[str, ...] = ()
    group: tuple[str, ...] = ("speaker",)
    split: tuple[str, ...] = ("split",)
    bare: bool = True


LAYOUTS: dict[Format, Layout] = {
    "asvspoof2019": Layout(("speaker", "path", "environment", "system", "label"), (5,)),
    "asvspoof2021": Layout(
        ("speaker", "path", "codec", "origin", "system", "label", "trim", "split", "kind"),
        (8, 13),
        source=("origin",),
    ),
    "asvspoof5": Layout(
        (
            *("speaker", "path", "gender", "codec", "codec_quality", "codec_seed"),
            *("attack_tag", "system", "label", "remark"),
        ),
        (10,),
        source=("codec",),
    ),
    "asvspoof-key": Layout(("path", "label"), (2,)),
    "in-the-wild": Layout(path="file", source=("speaker",), bare=False),
    "csv": Layout(source=("source", "page", "corpus"), group=("group", "speaker"), bare=False),
}
_HEADERS = {
    "asvspoof5": ("SPEAKER_ID", "FLAC_FILE_NAME"),
    "asvspoof-key": ("filename", "cm-label"),
}


def sniff(first: str) -> Format:
    """The format that the first line of a protocol can only be.

    Raises:
        UsageError: it looks like none of them.
    """
    fields = first.removeprefix("\ufeff").strip()
    columns = [column.strip().strip('"') for column in fields.split(",")]
    if {"path", "label"} <= set(columns):
        return "csv"
    if {"file", "speaker", "label"} <= set(columns):
        return "in-the-wild"
    words = fields.split()
    for name, layout in LAYOUTS.items():
        if len(words) in layout.fields and (
            tuple(words[:2]) == _HEADERS.get(name)
            or words[layout.columns.index(layout.label)] in (BONAFIDE, "spoof")
        ):
            return name
    raise UsageError(
        f"the protocol begins with {fields[:60]!r}, which is no format that is known",
        f"name one with --format: {', '.join(FORMATS)}; a CSV needs the columns path and label",
    )


def read_protocol(
    path: Path,
    audio: Path | None = None,
    layout: Format | None = None,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
) -> ClipSet:
    """The clips that a protocol file lists; nothing is opened but the protocol.

    Args:
        audio: the folder that paths are relative to; by default the protocol's own.
        layout: the format; by default it is told from the first line.
        columns: role ("source", "group", "system", "kind", "split") → the column that plays it.
        where: column → the value that rows to keep have there (compared without case).

    Raises:
        UsageError: it cannot be read, no such format or column, a line of another shape or
            without a label, a name listed twice.
    """
    lines = _lines(path)
    if layout is None:
        layout = sniff(next((line for line in lines if line.strip()), ""))
        lines = _lines(path)
    form = LAYOUTS[layout]
    rows = _fields(path, lines, layout) if form.columns else _csv_rows(path, lines)
    reader = _Rows(path, form, columns or {}, where or {})
    clips = [clip for number, row in rows if (clip := reader.clip(number, row))]
    folder = audio or path.parent
    names = reader.paths

    def read(wanted: Sequence[int]) -> Iterator[tuple[int, Media]]:
        return ((place, _locate(folder / names[place], form.bare)) for place in wanted)

    notes = []
    if not reader.has_group:
        notes.append(
            f"{path.name} names no group: every file counts as independent, and intervals may be "
            "too narrow"
        )
    return clip_set(str(path), clips, read, notes)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            yield from handle
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"the protocol {path} cannot be read ({what})", "check it") from error


def _fields(
    path: Path, lines: Iterator[str], layout: Format
) -> Iterator[tuple[int, dict[str, str]]]:
    form, header = LAYOUTS[layout], _HEADERS.get(layout)
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or (number == 1 and tuple(words[:2]) == header):
            continue
        if len(words) not in form.fields:
            wanted = " or ".join(map(str, form.fields))
            raise UsageError(
                f"{path}, line {number}: {len(words)} fields, {layout} has {wanted}",
                "name its --format",
            )
        yield number, dict(zip(form.columns, words, strict=False))


def _csv_rows(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(lines)
    try:
        header = [name.strip() for name in next(reader, [])]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                what = f"{len(row)} fields under {len(header)} columns"
                raise UsageError(f"{path}, line {reader.line_num}: {what}", "mend the row")
            yield reader.line_num, dict(zip(header, (field.strip() for field in row), strict=True))
    except csv.Error as error:
        raise UsageError(f"{path} is not a CSV that can be read ({error})", "mend it") from error


class _Rows:
    """Rows of one protocol → clips; which column plays what is settled at the first row."""

    def __init__(
        self, path: Path, form: Layout, columns: Mapping[str, str], where: Mapping[str, str]
    ):
        self._path, self._form, self._where = path, form, where
        self._columns = columns
        self._roles: dict[str, str | None] | None = None
        self.paths: list[str] = []

    @property
    def has_group(self) -> bool:
        return bool(self._roles and self._roles["group"])

    def clip(self, number: int, row: dict[str, str]) -> Clip | None:
        """The clip of a row; None for one that `where` leaves out."""
        if self._roles is None:
            self._roles = self._settled(row)
        if any(row[name].lower() != value.strip().lower() for name, value in self._where.items()):
            return None
        name, label = row[self._form.path], read_label(row[self._form.label])
        if label is None or not name or "\0" in name:
            raise UsageError(
                f"{self._path}, line {number}: path {name!r}, label {row[self._form.label]!r}",
                "every row needs a path and a label: bonafide or spoof",
            )
        stated = {role: row[column] if column else "" for role, column in self._roles.items()}
        self.paths.append(name)
        return Clip(
            key=name,
            is_bonafide=label == BONAFIDE,
            system=BONAFIDE if label == BONAFIDE else stated["system"],
            kind=BONAFIDE if label == BONAFIDE else stated["kind"],
            source=stated["source"],
            group=stated["group"] or name,
            split=stated["split"] if self._roles["split"] else None,
        )

    def _settled(self, row: Mapping[str, str]) -> dict[str, str | None]:
        form = self._form
        wanted = (form.path, form.label, *self._columns.values(), *self._where)
        for name in wanted:
            if name not in row:
                raise UsageError(f"{self._path} has no column {name!r}", f"it has {', '.join(row)}")
        candidates = {
            "system": form.system,
            "kind": form.kind,
            "source": form.source,
            "group": form.group,
            "split": form.split,
        }
        return {
            role: self._columns.get(role) or next((name for name in names if name in row), None)
            for role, names in candidates.items()
        }


def _locate(path: Path, bare: bool) -> Path:
    """The file of a protocol's name, which may lack its extension."""
    if not bare:
        return path
    tries = [path.with_name(path.name + extension) for extension in _EXTENSIONS]
    return next((one for one in (*tries, path) if one.is_file()), tries[0])
