"""Labelled pictures to evaluate on, and the way to their media and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.corpus.exchange.read import read_labelled
from forensics.corpus.exchange.records import LabelledImage
from forensics.errors import UsageError
from forensics.evaluation.clips import BONAFIDE, Clip, ClipSet, Media, clip_set, items_of_shards
from forensics.evaluation.material import ALL_SPLITS, PathLike

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Marked:
    """A picture, and its mask where it has one: files or their bytes."""

    picture: Media
    mask: Media | None


PictureSet = ClipSet[Marked]


@dataclass(frozen=True)
class Material:
    """What is judged, and the pictures whose masks tell where forgeries usually lie.

    Attributes:
        train: the train split; None where there is none.
    """

    judged: PictureSet
    train: PictureSet | None


def open_pictures(
    shards: PathLike | None, protocol: PathLike | None, split: str | None
) -> Material:
    """The pictures of a corpus (by default its test split), or those that a list names.

    Raises:
        UsageError: neither or both are named, no such split, and what the readers raise.
        CorpusError: a shard that is damaged.
    """
    if (shards is None) == (protocol is None):
        raise UsageError("name one of shards and protocol", "--shards corpus/ or --protocol FILE")
    if shards is not None:
        found, split = _of_shards(str(shards)), split or TEST
    else:
        found = _listed(Path(str(protocol)))
    splits = {clip.split for clip in found.clips}
    train = None
    if TRAIN in splits:
        train = found.where(lambda clip: clip.split == TRAIN, f"split {TRAIN!r}")
    if split is None or split == ALL_SPLITS:
        return Material(found, train)
    if splits == {None}:
        raise UsageError(f"{found.name} states no splits", "leave --split out")
    return Material(found.of_split(split), train)


def _of_shards(corpus: str) -> PictureSet:
    return items_of_shards(corpus, "image", lambda item: Marked(item.media, item.mask))


def _listed(path: Path) -> PictureSet:
    """Any of the formats of `forensics.corpus.exchange`; a picture's key is its path."""
    images = read_labelled(path)
    root = path if path.is_dir() else path.parent

    def read(wanted: Sequence[int]) -> Iterator[tuple[int, Marked]]:
        return ((place, Marked(images[place].path, images[place].mask)) for place in wanted)

    lacking = sum(image.label != BONAFIDE and image.mask is None for image in images)
    notes = [f"{lacking} forged pictures have no mask: they are in no figure of pixels"]
    clips = [_clip(image, root) for image in images]
    return clip_set(str(path), clips, read, notes if lacking else ())


def _clip(image: LabelledImage, root: Path) -> Clip:
    inside = image.path.is_relative_to(root)
    real = image.label == BONAFIDE
    return Clip(
        key=str(image.path.relative_to(root) if inside else image.path),
        is_bonafide=real,
        system=BONAFIDE if real else image.system or "",
        kind=BONAFIDE if real else image.kind or "",
        source="",
        group=image.group,
        split=image.split,
        mode="" if real else image.mode or "",
    )
