"""One labelled picture, whatever format listed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from forensics.corpus.item import checked_split
from forensics.errors import UsageError
from forensics.labels import ItemLabel, read_label
from forensics.shards.format import Split

Mode = Literal["composite", "regenerated"]

_GROUPS = ("group", "scene", "camera", "source_id")
_MASKS = ("mask", "mask_path", "mask_file_name")


@dataclass(frozen=True)
class LabelledImage:
    """A picture file and what a list says of it.

    Attributes:
        path: of the picture, which exists.
        label: bona fide or spoof.
        mask: of a spoof, white where it was manipulated; None where the list has none. A pristine
            picture never has one.
        group: what a split never crosses (scene, camera); the file's stem where nothing is said.
        system: what forged it; kind: in which manner; mode: pasted back or wholly regenerated.
        split, licence: as the list says, else None.
    """

    path: Path
    label: ItemLabel
    mask: Path | None
    group: str
    system: str | None = None
    kind: str | None = None
    mode: Mode | None = None
    split: Split | None = None
    licence: str | None = None


def labelled(
    where: str,
    root: Path,
    path: str | Path,
    mask: str | Path | None,
    label: str | None,
    fields: Mapping[str, Any] | None = None,
) -> LabelledImage:
    """A checked record; both files are looked for, relative to `root`.

    Args:
        where: file and line, for messages.
        label: in any of the words of `forensics.labels`.
        fields: of the list, by name: group or scene or camera or source_id, system, kind, mode,
            split, licence or license. Others are not looked at.

    Raises:
        UsageError: a file is missing, a word has no meaning here.
    """
    fields = fields or {}
    known = read_label(label or "")
    if known is None:
        raise UsageError(
            f"{where}: the label {label!r} is not known",
            "use 'bonafide' or 'spoof'",
        )
    mode = _text(fields, "mode")
    if mode not in (None, "composite", "regenerated"):
        raise UsageError(f"{where}: mode {mode!r}", "use composite, regenerated or leave it empty")
    picture = existing(where, root, path, "image")
    mask_file = existing(where, root, mask, "mask") if mask else None
    return LabelledImage(
        path=picture,
        label=known,
        mask=mask_file if known == "spoof" else None,
        group=_text(fields, *_GROUPS) or picture.stem,
        system=_text(fields, "system"),
        kind=_text(fields, "kind"),
        mode=mode,
        split=checked_split(fields.get("split"), where),
        licence=_text(fields, "licence", "license"),
    )


def named_mask(fields: Mapping[str, Any]) -> str | None:
    """The mask that a row names under one of the usual names."""
    return _text(fields, *_MASKS)


def existing(where: str, root: Path, path: str | Path, what: str) -> Path:
    """`path`, relative to `root` unless absolute.

    Raises:
        UsageError: no such file.
    """
    found = root / path
    try:
        there = found.is_file()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        raise UsageError(f"{where}: there is no {what} {found}", "check the path")
    return found


def _text(fields: Mapping[str, Any], *names: str) -> str | None:
    """The first of these that is stated, as text."""
    stated = (fields.get(name) for name in names)
    return next((str(v).strip() for v in stated if v is not None and str(v).strip()), None)
