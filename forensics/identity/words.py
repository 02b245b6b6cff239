"""What photos of an enrolment show, in words: a table that the user writes.

Reasons and attribute questions of token training are made of these words; nothing else uses them,
and they are not kept.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from forensics.errors import UsageError
from forensics.media.raw import RawFile

PHOTO, SCENE = "photo", "scene."
_MAX_BYTES = 1 << 22
_MAX_COLUMNS, _MAX_WORD = 64, 80


@dataclass(frozen=True)
class PhotoWords:
    """Of one photo, attribute → value, such as {"hair": "short dark"}.

    Attributes:
        looks: of the face and figure; scene: of what surrounds them.
    """

    looks: Mapping[str, str] = field(default_factory=dict)
    scene: Mapping[str, str] = field(default_factory=dict)


SILENT = PhotoWords()


def read_words(path: str | os.PathLike[str], photos: Iterable[str]) -> dict[str, PhotoWords]:
    """The rows of a CSV file: `photo` is the end of a photo's path, other columns are attributes,
    those that begin with `scene.` of what surrounds the person. Empty cells say nothing.

    Args:
        photos: names of all photos of the enrolment.

    Returns:
        Words by the photo's name.

    Raises:
        UsageError: no such table, or a row that is of no photo, or of several.
    """
    with RawFile(path, _MAX_BYTES) as raw:
        data = raw.read_at(0, _MAX_BYTES)
    try:
        table = csv.DictReader(data.decode("utf-8-sig").splitlines(), strict=True)
        rows, columns = list(table), list(table.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as error:
        raise _wrong(path, f"is not CSV in UTF-8: {error}") from error
    fits = PHOTO in columns and 2 <= len(columns) <= _MAX_COLUMNS
    if not fits or len(set(columns)) < len(columns):
        raise _wrong(path, f"has the columns {columns[:8]}")
    names = list(photos)
    found: dict[str, PhotoWords] = {}
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise _wrong(path, f"line {number}: not as many cells as columns")
        name = _named(row[PHOTO], names, path, number)
        if name in found:
            raise _wrong(path, f"line {number}: {row[PHOTO]} is there twice")
        found[name] = _words(row, path, number)
    return found


def _named(end: str, names: list[str], path: str | os.PathLike[str], number: int) -> str:
    end = end.strip().replace(os.sep, "/")
    whole = [name.replace(os.sep, "/") for name in names]
    hits = [i for i, name in enumerate(whole) if name == end or name.endswith(f"/{end}")]
    if not end or len(hits) != 1:
        what = f"{len(hits)} of {len(names)} photos end in {end!r}"
        raise _wrong(path, f"line {number}: {what}; write enough of the path for one")
    return names[hits[0]]


def _words(row: Mapping[str, str], path: str | os.PathLike[str], number: int) -> PhotoWords:
    looks: dict[str, str] = {}
    scene: dict[str, str] = {}
    for column, cell in row.items():
        word = cell.strip()
        if column == PHOTO or not word:
            continue
        if len(word) > _MAX_WORD or len(column) > _MAX_WORD:
            raise _wrong(path, f"line {number}: {column[:20]!r} is longer than {_MAX_WORD} letters")
        if column.startswith(SCENE):
            scene[column.removeprefix(SCENE)] = word
        else:
            looks[column] = word
    return PhotoWords(looks, scene)


def _wrong(path: str | os.PathLike[str], what: str) -> UsageError:
    return UsageError(
        f"{os.fspath(path)} {what}",
        "write a line such as photo,hair,glasses,scene.place, and one for each photo",
    )
