"""One bona fide thing of a source (a recording, a frame), whatever its modality."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from forensics.errors import MediaError, UsageError
from forensics.labels import read_label
from forensics.media.files import read_bytes
from forensics.shards.format import Split


class SourceItem(BaseModel):
    """What all of them have.

    Attributes:
        id: unique in the source; part of the plan, never of a key.
        path: relative to the source's root.
        span: (offset, bytes) of the media inside `path` when that is a shard.
        sha256: of the media's bytes; None when it is broken.
        group: what splits never cross: speaker, camera.
        split: fixed by the source, or None to let the plan decide.
        broken: why it cannot be used; such items are planned and listed as failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    path: str
    span: tuple[int, int] | None = None
    sha256: str | None
    group: str
    domain: str
    licence: str | None = None
    split: Split | None = None
    broken: str | None = None


I = TypeVar("I", bound=SourceItem)  # noqa: E741


@dataclass
class Source(Generic[I]):
    """Items sorted by id, and the folder that their paths are relative to."""

    root: Path
    items: list[I]
    notes: list[str] = field(default_factory=list)


def read_item(root: Path, item: SourceItem) -> bytes:
    """The media of an item, as it was when it was planned.

    Raises:
        MediaError: it cannot be read, or is another one by now.
    """
    data = read_bytes(root / item.path, item.span)
    if hashlib.sha256(data).hexdigest() != item.sha256:
        raise changed(item)
    return data


def changed(item: SourceItem) -> MediaError:
    """The error of an item that is not what it was."""
    return MediaError("changed since it was planned", f"{item.path} changed since it was planned")


def is_bonafide(label: Any, where: str) -> bool:
    """Read a label that a source states; none stated counts as bona fide.

    Raises:
        UsageError: a label that is not plainly one or the other, e.g. 0 or 1.
    """
    text = "" if label is None else str(label).strip()
    found = read_label(text) if text else "bonafide"
    if found is not None:
        return found == "bonafide"
    raise UsageError(f"{where}: the label {label!r} is not known", "use 'bonafide' or 'spoof'")


def checked_split(split: Any, where: str) -> Split | None:
    """Read a split that a source states.

    Raises:
        UsageError: another name.
    """
    text = "" if split is None else str(split).strip()
    if text in ("train", "dev", "test"):
        return text
    if text:
        raise UsageError(f"{where}: split {text!r}", "use train, dev, test or leave it empty")
    return None
