"""Labelled clips to evaluate on: what is known of each, and the way to its media."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from forensics.errors import CorpusError, UsageError
from forensics.shards import storage
from forensics.shards.format import Item, ItemMeta
from forensics.shards.reader import read_items, read_sidecar

BONAFIDE = "bonafide"

Media = Path | bytes
M = TypeVar("M")
Read = Callable[[Sequence[int]], Iterator[tuple[int, M]]]
"""Ascending places → (place, what is judged there), in that order."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip, without its media.

    Attributes:
        key: what score files call it; unique in its set.
        system: who forged; "bonafide" for real speech, "" when not stated.
        kind: tts, vocoder, codec, vc, …; "bonafide" for real speech, "" when not stated.
        source: corpus, page or channel within which figures are also given; "" when not stated.
        group: what intervals resample as a whole: the speaker, page or recording.
        split: None belongs to every split.
        sha256: of the media, where something vouches for it.
        mode: of a forged picture: "composite" or "regenerated"; "" when not stated.
    """

    key: str
    is_bonafide: bool
    system: str
    kind: str
    source: str
    group: str
    split: str | None = None
    sha256: str | None = None
    mode: str = ""


@dataclass(frozen=True)
class ClipSet(Generic[M]):
    """Clips in a fixed order.

    Attributes:
        read: gives the media of clips; of speech `Media`, of pictures their masks beside it.
        notes: what the user should know about how the input was read.
    """

    name: str
    clips: Sequence[Clip]
    read: Read[M]
    notes: tuple[str, ...] = ()

    def where(self, keep: Callable[[Clip], bool], what: str) -> ClipSet[M]:
        """The clips that `keep` wants.

        Raises:
            UsageError: none is left; `what` says in words what was asked for.
        """
        places = [place for place, clip in enumerate(self.clips) if keep(clip)]
        if not places:
            raise UsageError(f"{self.name} has no clips with {what}", _offer(self.clips))
        if len(places) == len(self.clips):
            return self

        def read(wanted: Sequence[int]) -> Iterator[tuple[int, M]]:
            own = {places[place]: place for place in wanted}
            return ((own[place], media) for place, media in self.read(list(own)))

        return ClipSet(self.name, [self.clips[place] for place in places], read, self.notes)

    def of_split(self, split: str) -> ClipSet[M]:
        """The clips of one split, and those that belong to every split."""
        return self.where(lambda clip: clip.split in (None, split), f"split {split!r}")


def clip_set(
    name: str,
    clips: Sequence[Clip],
    read: Read[M],
    notes: Sequence[str] = (),
) -> ClipSet[M]:
    """A set whose keys were found to be unique.

    Raises:
        UsageError: there are no clips, or two have one key.
    """
    if not clips:
        raise UsageError(f"{name} lists no clips", "name a corpus or a protocol that does")
    seen: set[str] = set()
    for clip in clips:
        if clip.key in seen:
            raise UsageError(f"{name} lists {clip.key!r} twice", "list it once")
        seen.add(clip.key)
    return ClipSet(name, clips, read, tuple(notes))


def within(wanted: Sequence[int], first: int, count: int) -> Sequence[int]:
    """Of ascending places those from `first` on, `count` at most: what one shard holds of them."""
    return wanted[bisect_left(wanted, first) : bisect_left(wanted, first + count)]


def from_shards(corpus: storage.Url, columns: Mapping[str, str] | None = None) -> ClipSet[Media]:
    """The speech of a corpus that `build-dataset` wrote; see `items_of_shards`."""
    return items_of_shards(corpus, "speech", lambda item: item.media, columns)


def items_of_shards(
    corpus: storage.Url,
    modality: Literal["speech", "image"],
    given: Callable[[Item], M],
    columns: Mapping[str, str] | None = None,
) -> ClipSet[M]:
    """One modality of a corpus: a folder or URL that holds `shards/`.

    Args:
        given: what is judged of an item.
        columns: role ("source", "group") → the field of an item's metadata that plays it; by
            default `domain` and `group`.

    Raises:
        UsageError: no finished shards, nothing of that modality, or an unknown field.
        CorpusError: a sidecar that is damaged; while reading, a shard that is.
    """
    roles = {"source": "domain", "group": "group", **(columns or {})}
    for name in sorted(set(roles.values()) - ItemMeta.model_fields.keys()):
        known = ", ".join(ItemMeta.model_fields)
        raise UsageError(f"an item's metadata has no field {name!r}", f"it has {known}")
    folder = storage.join(corpus, "shards")
    listed = storage.names(folder)
    names = [name.removesuffix(".tar") for name in listed if name.endswith(".tar")]
    done = [name for name in names if f"{name}.json" in listed]
    if not done:
        raise UsageError(f"{corpus} holds no finished shards", "name a corpus of build-dataset")
    clips: list[Clip] = []
    places: dict[str, tuple[int, int, list[int]]] = {}  # shard → first clip, count, ordinals
    for name in done:
        sidecar = read_sidecar(folder, name)
        chosen = [
            (number, key, meta)
            for number, (key, meta) in enumerate(sidecar.items.items())
            if meta.modality == modality
        ]
        places[name] = len(clips), sidecar.count, [number for number, _, _ in chosen]
        for _, key, meta in chosen:
            clips.append(
                Clip(
                    key=key,
                    is_bonafide=meta.label == BONAFIDE,
                    system=meta.system,
                    kind=meta.kind,
                    source=str(getattr(meta, roles["source"]) or ""),
                    group=str(getattr(meta, roles["group"]) or key),
                    split=meta.split,
                    sha256=meta.sha256,
                    mode=str(meta.params.get("mode") or ""),
                )
            )

    def read(wanted: Sequence[int]) -> Iterator[tuple[int, M]]:
        for name, (first, count, ordinals) in places.items():
            mine = within(wanted, first, len(ordinals))
            if not mine:
                continue
            url = storage.tar_url(folder, name)
            with storage.open_read(url) as stream:
                chosen = [ordinals[place - first] for place in mine]
                items = read_items(stream, url, count, chosen)
                for place, item in zip(mine, items, strict=True):
                    if item.key != clips[place].key:
                        raise CorpusError(
                            f"{url}: item {item.key!r} stands where the sidecar has "
                            f"{clips[place].key!r}",
                            "forensics verify says more",
                        )
                    yield place, given(item)

    left = len(names) - len(done)
    notes = [f"{left} shards without a sidecar were left out"] if left else []
    return clip_set(str(corpus), clips, read, notes)


def _offer(clips: Sequence[Clip]) -> str:
    splits = sorted({clip.split for clip in clips if clip.split})
    return f"its splits: {', '.join(splits)}" if splits else "it states no splits"
