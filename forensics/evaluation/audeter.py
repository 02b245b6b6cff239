"""AUDETER's folders of WebDataset tars → labelled clips.

`<domain>/<tts|vocoders>/<system>/<split>/*.tar`, members `<split>/<speaker>_..._<n>.wav` without
metadata (second hand: the layout is from descriptions of Wang et al., arXiv 2509.04345). What lies
in a split named `bona-fide` is real.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from forensics.errors import UsageError
from forensics.evaluation.clips import BONAFIDE, Clip, ClipSet, Media, clip_set, within
from forensics.progress import Progress
from forensics.shards.reader import ForeignMember, read_foreign_shard

_KINDS = {"tts": "tts", "vocoders": "vocoder"}
_REAL = "bona-fide"
_TEXT = ("json", "txt", "cls")


def is_audeter(folder: Path) -> bool:
    """Whether the folder, a domain of it or all of it, is laid out in this way."""
    return any(_place(tar) for tar in folder.rglob("*.tar"))


def read_audeter(folder: Path) -> ClipSet:
    """All clips below a folder: the whole data set, or any part of it.

    Every tar is read once to list and hash its members. The real clips are stored once for each
    system; the same bytes count once.

    Raises:
        UsageError: no tars, or one that lies elsewhere in the layout.
        CorpusError: a tar that is damaged or hostile.
    """
    tars = sorted(folder.rglob("*.tar"))
    clips: list[Clip] = []
    shards: list[tuple[Path, int, dict[str, int]]] = []  # tar, first clip, member → place
    real: set[str] = set()
    repeated = 0
    with Progress(len(tars), "listing", "tars") as progress:
        for tar in tars:
            places: dict[str, int] = {}
            first = len(clips)
            for key, member in _recordings(tar):
                clip = _clip(tar, key, member)
                if clip.is_bonafide and clip.sha256 in real:
                    repeated += 1
                    continue
                if clip.is_bonafide and clip.sha256:
                    real.add(clip.sha256)
                places[key] = len(clips)
                clips.append(clip)
            shards.append((tar, first, places))
            progress.advance()

    def read(wanted: Sequence[int]) -> Iterator[tuple[int, Media]]:
        for tar, first, places in shards:
            mine = set(within(wanted, first, len(places)))
            if mine:
                for key, member in _recordings(tar):
                    if places.get(key) in mine:
                        yield places[key], member.data

    notes = [f"{repeated} real clips are stored more than once and count once"] if repeated else []
    return clip_set(str(folder), clips, read, notes)


def _recordings(tar: Path) -> Iterator[tuple[str, ForeignMember]]:
    for key, fields in read_foreign_shard(tar):
        for extension, member in fields.items():
            if extension not in _TEXT:
                yield key, member
                break


def _clip(tar: Path, key: str, member: ForeignMember) -> Clip:
    place = _place(tar)
    if place is None:
        raise UsageError(
            f"{tar} does not lie in <domain>/<tts|vocoders>/<system>/<split>/",
            "name the folder of AUDETER, or another --format",
        )
    domain, family, system, split = place
    name = key.rpartition("/")[2]
    real = split == _REAL
    return Clip(
        key=f"{domain}/{family}/{system}/{split}/{tar.stem}/{name}",
        is_bonafide=real,
        system=BONAFIDE if real else system,
        kind=BONAFIDE if real else _KINDS[family],
        source=domain,
        group=f"{domain}:{name.partition('_')[0]}",
        split=None if real else split,
        sha256=hashlib.sha256(member.data).hexdigest(),
    )


def _place(tar: Path) -> tuple[str, str, str, str] | None:
    parts = tar.absolute().parts[-5:-1]
    if len(parts) != 4 or parts[1] not in _KINDS:
        return None
    return parts[0], parts[1], parts[2], parts[3]
