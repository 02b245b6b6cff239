"""Photos of people out of folders (one a person), a CSV, or WebDataset shards."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forensics.corpus.faces.consent import Consents
from forensics.corpus.faces.photo import Found, Opened, Photo, opened
from forensics.corpus.faces.recipe import Photos
from forensics.corpus.item import Source, checked_split
from forensics.corpus.names import source_id
from forensics.corpus.pictures.near_duplicates import Seen, deduped, joined_groups
from forensics.corpus.source import (
    SourceReader,
    columns_found,
    read_samples,
    read_table,
    text_field,
    utf8,
)
from forensics.errors import UsageError
from forensics.faces.tools import FaceConfig, open_faces
from forensics.media.sniff import IMAGE_EXTENSIONS
from forensics.progress import Progress

_PERSON = ("identity", "person", "subject")
_COLUMNS = (
    "path, identity or person; consent, consent_expires, domain or corpus, licence, split, label"
)


@dataclass
class FaceSource(Source[Photo]):
    """Photos, and by their ids what the faces look like: float32 (D,), unit length. Kept in memory
    alone: a plan holds whom somebody resembles, never the vectors."""

    embeddings: dict[str, np.ndarray] = field(default_factory=dict)


def load_source(
    path: str | os.PathLike[str], where: dict[str, str] | None, photos: Photos, faces: FaceConfig
) -> FaceSource:
    """Photos of a folder, a CSV or shards; see `SourceReader.load`.

    Photos whose consent was refused or has expired are left out. People that share a photo become
    one group; of duplicates within a group one is kept. The source's notes count all of these.

    Raises:
        UsageError: besides what `SourceReader.load` raises, photos of nobody, a consent that means
            nothing.
        MissingRequirement: a model of `faces` is not there.
    """
    reader = _Reader(photos, faces)
    source = reader.load(path, where)
    return FaceSource(source.root, source.items, source.notes, reader.embeddings)


class _Tools(threading.local):
    """Tools of each thread's own: some models keep a state between calls."""

    def __init__(self, faces: FaceConfig):
        self.opened = open_faces(faces)


class _Reader(SourceReader[Photo]):
    extensions = IMAGE_EXTENSIONS
    things = "photos that may be used"

    def __init__(self, photos: Photos, faces: FaceConfig):
        self.photos, self.faces = photos, faces
        self.embeddings: dict[str, np.ndarray] = {}

    def from_folder(self, root: Path, files: list[Path]) -> Source[Photo]:
        consents = Consents()
        found = []
        for path in files:
            relative = path.relative_to(root)
            if len(relative.parts) < 2:
                raise UsageError(
                    f"{path} lies in no subfolder, so nobody is named",
                    "use one subfolder a person, or a CSV with an 'identity' column",
                )
            name, person = utf8(str(relative)), relative.parts[0]
            consent = consents.of_folder(root / person, person)
            if consent is not None:
                stated = _fields(
                    id=source_id(name), identity=person, domain=root.name or "root", consent=consent
                )
                found.append(Found(name, stated))
        return self._opened(root, found, consents.note())

    def from_csv(self, path: Path, where: dict[str, str]) -> Source[Photo]:
        def check(columns: set[str]) -> None:
            if "path" not in columns or not columns & set(_PERSON):
                missing = "path" if "path" not in columns else "identity"
                raise UsageError(
                    f"{path} has no column {missing!r} ({columns_found(columns)})",
                    f"comma-separated columns read: {_COLUMNS}",
                )

        table = read_table(path, where, check)
        consents = Consents()
        found = [_from_row(path, number, row, consents) for number, row in table.rows]
        allowed = [one for one in found if one is not None]
        return self._opened(path.resolve().parent, allowed, [*table.notes, *consents.note()])

    def from_shards(self, root: Path, tars: list[Path]) -> Source[Photo]:
        base = root.parent if root.is_file() else root
        notes: list[str] = []
        consents = Consents()
        found = []
        for sample in read_samples(tars, self.extensions, notes):
            place, fields = str(sample.tar.relative_to(base)), sample.fields
            params = fields.get("params")
            told: dict[str, Any] = fields | (params if isinstance(params, dict) else {})
            if told.get("role") == "lookalike":  # the same photo again, under another's name
                continue
            person = text_field(told, "shows", *_PERSON, "group")
            if person is None:
                raise UsageError(
                    f"{sample.where}: nobody is named", "give each sample a json with an 'identity'"
                )
            consent = consents.of_row(
                text_field(told, "consent"), text_field(told, "consent_expires"), sample.where
            )
            if consent is None:
                continue
            stated = _fields(
                id=text_field(fields, "source_id") or source_id(place, sample.key),
                identity=person,
                domain=text_field(fields, "domain") or sample.tar.stem,
                licence=text_field(fields, "licence", "license"),
                split=checked_split(fields.get("split"), sample.where),
                consent=consent,
            )
            found.append(Found(place, stated, (sample.media.offset, len(sample.media.data))))
        return self._opened(base.resolve(), found, [*notes, *consents.note()])

    def _opened(self, root: Path, found: list[Found], notes: list[str]) -> Source[Photo]:
        """Open, hash and look for faces, on every core; join and dedupe."""
        self.refuse_repeats((one.fields["id"], one.path) for one in found)
        tools = _Tools(self.faces)
        known: list[Opened] = []
        with (
            ThreadPoolExecutor(os.cpu_count()) as pool,
            Progress(len(found), "looking for faces", "photos") as progress,
        ):
            for one in pool.map(lambda one: opened(root, one, self.photos, tools.opened), found):
                known.append(one)
                progress.advance()
        known.sort(key=lambda one: one.photo.id)
        self.embeddings = {
            one.photo.id: one.embedding for one in known if one.embedding is not None
        }
        seen = [Seen(one.photo, one.signature) for one in known]
        seen = joined_groups(seen, self.photos.join_bits, "people", notes)
        if self.photos.dedupe:
            seen = deduped(seen, "photos", notes)
        return Source(root, [one.item for one in seen], notes)


def _from_row(path: Path, number: int, row: dict[str, str], consents: Consents) -> Found | None:
    """None where the photo may not be used."""
    where = f"{path}, row {number}"
    relative = os.path.normpath(row["path"]) if row.get("path") else ""
    if not relative or "\0" in relative:
        raise UsageError(f"{where}: no path", "mend the row")
    person = next((row[name] for name in _PERSON if row.get(name)), None)
    if person is None:
        raise UsageError(f"{where}: nobody is named", "fill in its identity")
    consent = consents.of_row(row.get("consent"), row.get("consent_expires"), where)
    if consent is None:
        return None
    stated = _fields(
        id=source_id(relative),
        identity=person,
        domain=row.get("domain") or row.get("corpus") or path.stem,
        licence=row.get("licence") or row.get("license") or None,
        split=checked_split(row.get("split"), where),
        consent=consent,
    )
    return Found(relative, stated)


def _fields(*, identity: str, **others: Any) -> dict[str, Any]:
    """Of a `Photo`; its group is its person until shared photos say otherwise."""
    return {"identity": identity, "group": identity, **others}
