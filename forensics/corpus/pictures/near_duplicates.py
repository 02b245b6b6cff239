"""Pictures that show the same: perceptual hashes, pairs of near ones, groups that share them.

The hash is the sign pattern of the 8x8 lowest DCT coefficients of a 32x32 grey thumbnail against
their median. Frames of different fixed cameras differ in about half of the 64 bits and seldom in
fewer than 16; frames of one camera often in none, though somebody walks through them. So near
hashes join cameras, and never drop a frame by themselves: a duplicate must also be the same in
every spot of a thumbnail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np

from forensics.corpus.item import SourceItem

I = TypeVar("I", bound=SourceItem)  # noqa: E741

_SIDE, _KEPT = 32, 8
_THUMBNAIL = 64
_DUPLICATE_BITS = 4
# Grey levels by which a spot of two duplicates may differ: noise and recompression, nothing moved.
_DUPLICATE_LEVELS = 6


@dataclass(frozen=True)
class Signature:
    """What is kept of a frame to tell whether another shows the same.

    Attributes:
        bits: the perceptual hash, 64 bits.
        thumbnail: uint8 (64, 64), grey.
    """

    bits: int
    thumbnail: np.ndarray

    def same(self, other: Signature) -> bool:
        """Whether nothing that an eye could see differs."""
        if (self.bits ^ other.bits).bit_count() > _DUPLICATE_BITS:
            return False
        difference = np.abs(self.thumbnail.astype(np.int16) - other.thumbnail)
        return int(difference.max()) <= _DUPLICATE_LEVELS


def signature(pixels: np.ndarray) -> Signature:
    """Of uint8 (H, W, 3)."""
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    thumbnail = cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    basis = _dct_basis()
    coefficients = (basis @ small @ basis.T).ravel()
    above = coefficients > np.median(coefficients[1:])
    above[0] = False  # the mean says how bright it is, not what is there
    return Signature(int.from_bytes(np.packbits(above).tobytes(), "big"), np.asarray(thumbnail))


@lru_cache(maxsize=1)
def _dct_basis() -> np.ndarray:
    place = np.arange(_SIDE)
    return np.cos(np.pi * (2 * place + 1) * place[:_KEPT, None] / (2 * _SIDE))


def near_pairs(hashes: Sequence[int], bits: int) -> Iterator[tuple[int, int]]:
    """(i, j), i < j, of hashes that differ in `bits` bits at most."""
    codes = np.array(hashes, dtype=np.uint64)
    for i in range(len(codes) - 1):
        distances = np.bitwise_count(codes[i + 1 :] ^ codes[i])
        for j in np.flatnonzero(distances <= bits):
            yield i, i + 1 + int(j)


def joined(groups: Sequence[str], hashes: Sequence[int], bits: int) -> dict[str, str]:
    """group → the first (by name) of all groups that it is joined with."""
    leader = {group: group for group in groups}

    def find(group: str) -> str:
        while leader[group] != group:
            leader[group] = leader[leader[group]]
            group = leader[group]
        return group

    for i, j in near_pairs(hashes, bits):
        one, other = sorted((find(groups[i]), find(groups[j])))
        leader[other] = one
    return {group: find(group) for group in leader}


@dataclass(frozen=True)
class Seen(Generic[I]):
    """An item of a source and what it shows; a broken one shows nothing."""

    item: I
    signature: Signature | None


def joined_groups(
    seen: Sequence[Seen[I]], bits: int, things: str, notes: list[str]
) -> list[Seen[I]]:
    """Groups that share near-duplicate pictures become one.

    Args:
        bits: by which two perceptual hashes may differ.
        things: what a group is called ("cameras"), for the note.
    """
    known = [(one.item.group, one.signature.bits) for one in seen if one.signature]
    leaders = joined([group for group, _ in known], [code for _, code in known], bits)
    moved = sum(1 for group, leader in leaders.items() if group != leader)
    if moved:
        groups = len(set(leaders.values()))
        notes.append(
            f"{len(leaders)} {things} are {groups} groups: {moved} share near-duplicate pictures "
            "with another one"
        )

    def moved_item(item: I) -> I:
        return item.model_copy(update={"group": leaders.get(item.group, item.group)})

    return [Seen(moved_item(one.item), one.signature) for one in seen]


def deduped(seen: Sequence[Seen[I]], things: str, notes: list[str]) -> list[Seen[I]]:
    """The first of all pictures of a group that show the same; broken ones stay, to be listed."""
    kept: list[Seen[I]] = []
    by_group: dict[str, list[Signature]] = {}
    for one in seen:
        if one.signature is not None:
            before = by_group.setdefault(one.item.group, [])
            if any(one.signature.same(other) for other in before):
                continue
            before.append(one.signature)
        kept.append(one)
    if len(kept) < len(seen):
        notes.append(f"{len(seen) - len(kept)} {things} show what another one shows: left out")
    return kept
