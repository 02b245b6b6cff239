"""Finds what a source holds: a folder of media, a CSV, or shards. Modalities read what is found."""

from __future__ import annotations

import csv
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from forensics.corpus.item import Source, SourceItem, is_bonafide
from forensics.errors import UsageError
from forensics.shards.format import parse_json
from forensics.shards.reader import ForeignMember, read_foreign_shard

I = TypeVar("I", bound=SourceItem)  # noqa: E741


class SourceReader(ABC, Generic[I]):
    """How one modality reads what lies in a source.

    Attributes:
        extensions: of its media, with the dot.
        things: what it calls them, e.g. "recordings".
    """

    extensions: ClassVar[frozenset[str]]
    things: ClassVar[str]

    @abstractmethod
    def from_folder(self, root: Path, files: list[Path]) -> Source[I]:
        """Media below a folder; may be empty."""

    @abstractmethod
    def from_csv(self, path: Path, where: dict[str, str]) -> Source[I]:
        """Bona fide rows whose columns have the values of `where`."""

    @abstractmethod
    def from_shards(self, root: Path, tars: list[Path]) -> Source[I]:
        """Bona fide samples of WebDataset tars."""

    def load(self, path: str | os.PathLike[str], where: dict[str, str] | None = None) -> Source[I]:
        """Read a folder, a `.csv`, a `.tar` or a folder of `.tar` shards, or one media file.

        Every item is opened and hashed, so that the plan covers the content of the source.

        Args:
            where: for a CSV, keep rows whose column has this value (compared without case).

        Raises:
            UsageError: nothing there, missing columns, no media, one item listed twice.
            CorpusError: a shard that is damaged or hostile.
        """
        root = Path(path).expanduser()
        if not root.exists():
            raise UsageError(f"the source {root} does not exist", "check --source")
        source = self._read(root, where or {})
        if not source.items:
            said = f" ({'; '.join(source.notes)})" if source.notes else ""
            raise UsageError(
                f"the source {root} holds no {self.things}{said}",
                f"it needs {', '.join(sorted(self.extensions))} files or rows",
            )
        source.items.sort(key=lambda item: item.id)
        self.refuse_repeats((item.id, self.describe(item)) for item in source.items)
        return source

    def refuse_repeats(self, listed: Iterable[tuple[str, str]]) -> None:
        """Of (id, description) no id may occur twice.

        Raises:
            UsageError: one does.
        """
        seen: set[str] = set()
        for name, description in listed:
            if name in seen:
                raise UsageError(f"the source lists {description} twice", "list it once")
            seen.add(name)

    def describe(self, item: I) -> str:
        """One item, for a message."""
        return item.path

    def _read(self, root: Path, where: dict[str, str]) -> Source[I]:
        if root.is_file() and root.suffix.lower() == ".csv":
            return self.from_csv(root, where)
        if where:
            raise UsageError("--where filters the rows of a CSV", "name a CSV with --source")
        tars = [root] if root.is_file() and root.suffix == ".tar" else sorted(root.rglob("*.tar"))
        files = sorted(
            p for p in root.rglob("*") if p.suffix.lower() in self.extensions and p.is_file()
        )
        if tars and files:
            raise UsageError(
                f"the source {root} holds shards ({tars[0].name}, …) and {self.things} "
                f"({files[0].name}, …)",
                "name a folder that holds one or the other",
            )
        if tars:
            return self.from_shards(root, tars)
        if root.is_file() and root.suffix.lower() in self.extensions:
            return self.from_folder(root.resolve().parent, [root.resolve()])
        if root.is_dir():
            base = root.resolve()
            return self.from_folder(base, [base / p.relative_to(root) for p in files])
        raise UsageError(
            f"the source {root} is neither a folder, a CSV nor shards", "name one of these"
        )


@dataclass
class Table:
    """The bona fide rows of a CSV that were asked for, with their numbers, values stripped."""

    rows: list[tuple[int, dict[str, str]]]
    columns: set[str]
    notes: list[str]


def read_table(path: Path, where: dict[str, str], check: Callable[[set[str]], None]) -> Table:
    """A CSV whose columns pass `check` (which raises).

    Raises:
        UsageError: unreadable, missing columns, labels that are not known.
    """
    rows, columns = _read_rows(path)
    check(columns)
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
    return Table(real, columns, notes)


def columns_found(columns: set[str]) -> str:
    """What a table has, for a message; a hint where it is split at another sign."""
    split = "; it looks split at ';'" if any(";" in column for column in columns) else ""
    return f"it has: {', '.join(sorted(columns)) or 'none'}{split}"


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


class Sample(NamedTuple):
    """One bona fide sample of a tar: its media, and what its json and txt members state."""

    tar: Path
    key: str
    media: ForeignMember
    fields: dict[str, Any]

    @property
    def where(self) -> str:
        return f"{self.tar}: sample {self.key!r}"


def read_samples(
    tars: list[Path], extensions: frozenset[str], notes: list[str]
) -> Iterator[Sample]:
    """Samples with media of these extensions that are not labelled as spoofs; those are noted.

    Raises:
        CorpusError: a tar that is damaged or hostile; shard and member are named.
        UsageError: labels that are not known, classes without a label.
    """
    spoofs = 0
    for path in tars:
        for key, members in read_foreign_shard(path):
            media = next((m for ext, m in members.items() if f".{ext}" in extensions), None)
            if media is None:
                continue
            sample = Sample(path, key, media, _fields(members))
            if "cls" in members and "label" not in sample.fields:
                raise UsageError(
                    f"{sample.where}: a class number does not say what is bona fide",
                    "give each sample a json with a label, or leave the cls members out",
                )
            if is_bonafide(sample.fields.get("label"), sample.where):
                yield sample
            else:
                spoofs += 1
    if spoofs:
        notes.append(f"{spoofs} samples are spoofs and were left out")


def _fields(members: dict[str, ForeignMember]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "txt" in members:
        fields["text"] = members["txt"].data.decode().strip()
    if "json" in members:
        stated = parse_json(members["json"].data)
        fields |= stated if isinstance(stated, dict) else {}
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def text_field(fields: dict[str, Any], *names: str) -> str | None:
    """The first of these that is stated, as text."""
    return next((str(fields[name]) for name in names if name in fields), None)


def utf8(name: str) -> str:
    """The name, if it can be written into a plan.

    Raises:
        UsageError: it holds bytes that are not UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="surrogateescape").decode(errors="replace")
        raise UsageError(f"the file name {shown!r} is not UTF-8", "rename the file") from error
    return name
