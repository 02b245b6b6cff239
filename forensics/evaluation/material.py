"""From what a user names (shards, a protocol, a folder of AUDETER) to the clips to evaluate on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from forensics.errors import UsageError
from forensics.evaluation.audeter import is_audeter, read_audeter
from forensics.evaluation.clips import ClipSet, from_shards
from forensics.evaluation.protocols import Format, read_protocol

ALL_SPLITS = "all"

PathLike = str | os.PathLike[str]


def open_clips(
    shards: PathLike | None,
    protocol: PathLike | None,
    audio: PathLike | None,
    layout: Format | None,
    columns: Mapping[str, str],
    where: Mapping[str, str],
    split: str | None,
) -> ClipSet:
    """The clips that `forensics.evaluate` was asked for; its arguments are described there.

    Raises:
        UsageError: neither or both of shards and protocol, options that do not go with what is
            named, a split that is not there, and what the readers raise.
        CorpusError: a shard that is damaged.
    """
    if (shards is None) == (protocol is None):
        raise UsageError("name one of shards and protocol", "--shards corpus/ or --protocol FILE")
    if shards is not None:
        if audio or layout or where:
            raise UsageError("shards need no audio, format or where", "they go with --protocol")
        clips, split = from_shards(os.fspath(shards), columns), split or "test"
    else:
        path = Path(os.fspath(protocol)) if protocol is not None else Path()
        if layout == "audeter" or (layout is None and path.is_dir() and is_audeter(path)):
            if columns or where or audio:
                raise UsageError("AUDETER's folders have no columns", "leave those options out")
            clips = read_audeter(path)
        elif path.is_dir():
            raise UsageError(f"{path} is a folder, not a protocol", "name the file in it")
        else:
            clips = read_protocol(
                path, None if audio is None else Path(os.fspath(audio)), layout, columns, where
            )
    if split is None or split == ALL_SPLITS:
        return clips
    if all(clip.split is None for clip in clips.clips):
        raise UsageError(f"{clips.name} states no splits", "leave --split out")
    return clips.of_split(split)
