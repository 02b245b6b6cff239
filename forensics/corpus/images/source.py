"""Frames out of folders of images and videos, a CSV, or WebDataset shards."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from forensics.corpus.images.frame import VIDEOS, Found, Frame, opened
from forensics.corpus.images.recipe import Frames
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
from forensics.progress import Progress

EXTENSIONS = VIDEOS | {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_CAMERA = ("scene", "camera", "group")
_COLUMNS = "path; scene, camera or group, domain or corpus, licence, split, label"


def load_source(
    path: str | os.PathLike[str], where: dict[str, str] | None, frames: Frames
) -> Source[Frame]:
    """Frames of a folder, a CSV or shards; see `SourceReader.load`.

    Near-duplicate frames join their cameras into one group; of duplicates within a group one is
    kept, where `frames.dedupe` says so. The source's notes count both.
    """
    return _Reader(frames).load(path, where)


class _Reader(SourceReader[Frame]):
    extensions = EXTENSIONS
    things = "images or videos"

    def __init__(self, frames: Frames):
        self.frames = frames

    def from_folder(self, root: Path, files: list[Path]) -> Source[Frame]:
        notes = []
        if files and all(path.parent == root for path in files):
            notes.append(
                "the folder has no subfolders, so every image counts as its own camera; use one "
                "subfolder a camera, or a CSV with a 'camera' column"
            )
        return self._opened(root, [_from_file(root, path) for path in files], notes)

    def from_csv(self, path: Path, where: dict[str, str]) -> Source[Frame]:
        def check(columns: set[str]) -> None:
            if "path" not in columns:
                raise UsageError(
                    f"{path} has no column 'path' ({columns_found(columns)})",
                    f"comma-separated columns read: {_COLUMNS}",
                )

        table = read_table(path, where, check)
        if not table.columns & set(_CAMERA):
            table.notes.append(
                f"{path.name} has no column 'scene', 'camera' or 'group': every image counts as "
                "its own camera"
            )
        found = [_from_row(path, number, row) for number, row in table.rows]
        return self._opened(path.resolve().parent, found, table.notes)

    def from_shards(self, root: Path, tars: list[Path]) -> Source[Frame]:
        base = root.parent if root.is_file() else root
        notes: list[str] = []
        found, told = [], 0
        for sample in read_samples(tars, self.extensions, notes):
            place, fields = str(sample.tar.relative_to(base)), sample.fields
            camera = text_field(fields, "group", "camera", "scene")
            told += camera is not None
            stated = _fields(
                id=text_field(fields, "source_id") or source_id(place, sample.key),
                camera=camera or f"{place}/{sample.key}",
                domain=text_field(fields, "domain") or sample.tar.stem,
                licence=text_field(fields, "licence", "license"),
                split=checked_split(fields.get("split"), sample.where),
            )
            found.append(Found(place, stated, (sample.media.offset, len(sample.media.data))))
        if not told:
            notes.append("no sample states a camera: every one counts as its own")
        return self._opened(base.resolve(), found, notes)

    def _opened(self, root: Path, found: list[Found], notes: list[str]) -> Source[Frame]:
        """Open and hash all, on every core; join and dedupe."""
        self.refuse_repeats((one.fields["id"], one.path) for one in found)
        seen: list[Seen[Frame]] = []
        with (
            ThreadPoolExecutor(os.cpu_count()) as pool,
            Progress(len(found), "reading frames", "files") as progress,
        ):
            for frames in pool.map(lambda one: opened(root, one, self.frames), found):
                seen += [Seen(frame, signature) for frame, signature in frames]
                progress.advance()
        seen.sort(key=lambda one: one.item.id)
        seen = joined_groups(seen, self.frames.join_bits, "cameras", notes)
        if self.frames.dedupe:
            seen = deduped(seen, "frames", notes)
        return Source(root, [one.item for one in seen], notes)


def _from_file(root: Path, path: Path) -> Found:
    relative = path.relative_to(root)
    name = utf8(str(relative))
    camera = relative.parts[0] if len(relative.parts) > 1 else relative.stem
    return Found(name, _fields(id=source_id(name), camera=camera, domain=root.name or "root"))


def _from_row(path: Path, number: int, row: dict[str, str]) -> Found:
    where = f"{path}, row {number}"
    relative = os.path.normpath(row["path"]) if row.get("path") else ""
    if not relative or "\0" in relative:
        raise UsageError(f"{where}: no path", "mend the row")
    stated = _fields(
        id=source_id(relative),
        camera=_first(row, _CAMERA) or relative,
        domain=row.get("domain") or row.get("corpus") or path.stem,
        licence=row.get("licence") or row.get("license") or None,
        split=checked_split(row.get("split"), where),
    )
    return Found(relative, stated)


def _first(row: dict[str, str], names: Iterable[str]) -> str | None:
    return next((row[name] for name in names if row.get(name)), None)


def _fields(*, camera: str, **others: Any) -> dict[str, Any]:
    """Of a `Frame`; its group is its camera until near-duplicates say otherwise."""
    return {"camera": camera, "group": camera, **others}
