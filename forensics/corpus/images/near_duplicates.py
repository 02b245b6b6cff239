"""Frames that show the same: perceptual hashes, pairs of near ones, groups that share them.

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

import numpy as np

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
