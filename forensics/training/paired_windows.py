"""Shards → an endless row of pairs of windows: bona fide, and a forgery of the same utterance.

A corpus built by a pipeline holds every utterance once as it is and once through every system.
Drawn in pairs, both classes and all systems weigh the same, and neither the voice nor the length
tells the classes apart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch.utils.data import IterableDataset

from forensics import shards
from forensics.conditions.draw import ConditionPolicy
from forensics.errors import UsageError
from forensics.media.audio import Waveform
from forensics.shards.dataset import decode
from forensics.shards.format import Item
from forensics.shards.storage import Url

log = logging.getLogger(__name__)

Keep = Callable[[str, str], bool]
"""(system, group) → whether training may hear this item."""


@dataclass(frozen=True)
class Family:
    """The copies of one utterance, int16 (T,) each: the bona fide ones and those of each system."""

    bonafide: list[np.ndarray]
    spoof: dict[str, list[np.ndarray]]


class PairedWindows(IterableDataset[torch.Tensor]):
    """Yields float32 (2, window): a bona fide and a spoof window, both in [-1, 1].

    Families are read shard by shard, in a new order each epoch, and kept in a pool of bounded size
    from which pairs are drawn; the same arguments give the same row.

    Args:
        corpus: folder or URL of a corpus.
        keep: items for which it is false are passed over.
        sampling_rate: that every item must have.
        window: samples.
        augment: drawn for each window by itself, blind to its label.
        pool: families held in memory; the oldest makes room.
        draws_per_family: pairs drawn for each family read.
    """

    def __init__(
        self,
        corpus: Url,
        keep: Keep,
        sampling_rate: int,
        window: int,
        augment: ConditionPolicy,
        pool: int,
        draws_per_family: int,
        seed: int,
    ):
        self.items = shards.open(corpus, "train", seed=seed, shuffle_buffer=1)
        self.keep, self.sampling_rate, self.window = keep, sampling_rate, window
        self.augment, self.pool = augment, pool
        self.draws_per_family, self.seed = draws_per_family, seed

    def __iter__(self) -> Iterator[torch.Tensor]:
        rng = np.random.default_rng(self.seed)
        pool: list[Family] = []
        epoch = 0
        while True:
            self.items.set_epoch(epoch)
            found = 0
            for family in families(self.items, self.keep, self.sampling_rate):
                found += 1
                pool = [*pool[-self.pool + 1 :], family]
                for _ in range(self.draws_per_family):
                    yield self._pair(pool[rng.integers(len(pool))], rng)
            if not found:
                raise UsageError(
                    "no utterance of the training split has both a bona fide and a forged copy",
                    "build a corpus with a pipeline such as audeter",
                )
            epoch += 1

    def _pair(self, family: Family, rng: np.random.Generator) -> torch.Tensor:
        systems = sorted(family.spoof)
        spoof = family.spoof[systems[rng.integers(len(systems))]]
        both = [self._cut(copies, rng) for copies in (family.bonafide, spoof)]
        return torch.from_numpy(np.stack(both))

    def _cut(self, copies: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """A random window of a random copy, through a random channel, at a random level."""
        clip = copies[rng.integers(len(copies))].astype(np.float32) / 32768
        if len(clip) < self.window:
            clip = np.resize(clip, self.window)  # repeated, as detection does
        start = rng.integers(len(clip) - self.window + 1)
        wave = Waveform(clip[start : start + self.window], self.sampling_rate)
        wave, _ = self.augment.apply(wave, int(rng.integers(2**63)))
        level = 10 ** (rng.uniform(-12, 6) / 20)
        return np.clip(wave.samples * level, -1, 1).astype(np.float32)


def families(items: Iterable[Item], keep: Keep, rate: int) -> Iterator[Family]:
    """Groups neighbours of one source utterance; only those with copies of both labels are given.

    Raises:
        UsageError: an item has another sampling rate.
    """
    for _, copies in groupby(items, key=lambda item: (item.meta.group, item.meta.source_id)):
        family = Family([], {})
        for item in copies:
            if not keep(item.meta.system, item.meta.group):
                continue
            samples = pcm(item, rate)
            if item.meta.label == "bonafide":
                family.bonafide.append(samples)
            else:
                family.spoof.setdefault(item.meta.system, []).append(samples)
        if family.bonafide and family.spoof:
            yield family


def pcm(item: Item, rate: int) -> np.ndarray:
    """int16 (T,): what a corpus stores, at half the memory of float32."""
    samples, sampling_rate, _ = decode(item)
    if sampling_rate != rate:
        raise UsageError(
            f"item {item.key!r} is at {sampling_rate} Hz, training wants {rate} Hz",
            "build the corpus at that rate",
        )
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
