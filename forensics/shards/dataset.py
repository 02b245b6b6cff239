"""Shards as a torch dataset: every sample once per epoch, however many workers and ranks.

The sidecars say how many samples each shard holds, so an epoch is a numbered row of samples: the
shards in this epoch's order, one behind the other. Ranks, and workers within a rank, take
contiguous parts of that row. Parts begin and end inside shards, so they are equal to the sample
and more workers than shards are fine. webdataset's own splitting works on whole shards, and its
shuffles repeat one order every epoch; from it comes the shuffle buffer, with a generator of ours.
Its URL opening (`pipe:` runs a shell) and `decode()` (unpickles) are not used at all; switching on
its `enforce_security` here would forbid local files to every other user of it in the process.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed
import webdataset.filters
from torch.utils.data import IterableDataset, get_worker_info

from forensics.errors import CorpusError, MediaError, UsageError
from forensics.media.audio import Limits, read_audio
from forensics.shards import storage
from forensics.shards.format import Item, ItemMeta, Split
from forensics.shards.reader import read_items, read_sidecar
from forensics.shards.verify import check_shard, present_shards, read_listing

log = logging.getLogger(__name__)

ITEM_LIMITS = Limits(max_bytes=256 << 20, max_seconds=600.0, max_channels=2, max_rate=96_000)


@dataclass(frozen=True)
class _Shard:
    """A shard's place, its number of items, and the ascending numbers of those to give."""

    url: str
    count: int
    chosen: Sequence[int]


class ShardDataset(IterableDataset[Item]):
    """What `forensics.shards.open` returns; its arguments are described there.

    With a `DataLoader`, pass a `collate_fn`: it runs in the workers, the place for `decode`.
    `len()` is the number of samples of this rank in one epoch.
    """

    def __init__(
        self,
        corpus: storage.Url,
        split: Split | None,
        *,
        seed: int,
        shuffle_buffer: int,
        rank: int | None,
        world_size: int | None,
        remainder: Literal["drop", "wrap"],
        where: Mapping[str, Any],
        strict: bool,
    ):
        self.rank, self.world_size = _place(rank, world_size)
        self.seed, self.shuffle_buffer = seed, shuffle_buffer
        self._shards = _index(corpus, split, _Filter(where), strict)
        self.total = sum(len(shard.chosen) for shard in self._shards)
        if self.total == 0:
            raise UsageError(
                f"{os.fspath(corpus)}: no sample with split {split!r} and where {dict(where)}",
                "loosen the filter",
            )
        extra = self.world_size - 1 if remainder == "wrap" else 0
        self._length = (self.total + extra) // self.world_size
        if self._length == 0:
            raise UsageError(
                f"{self.total} samples cannot be shared by {self.world_size} ranks",
                "use fewer ranks, or remainder='wrap'",
            )
        # Epoch, batches done and batch size lie in shared memory: workers that outlive an epoch
        # (persistent_workers) see what `set_epoch` changes in the main process.
        self._state = torch.zeros(3, dtype=torch.int64).share_memory_()
        self.set_epoch(0)

    def __len__(self) -> int:
        return self._length

    def set_epoch(self, epoch: int, batches_done: int = 0, batch_size: int = 1) -> None:
        """Choose the epoch that the next iteration gives; call it before each.

        To go on inside an epoch, name how many batches of what size a `DataLoader` with the same
        number of workers (and without `drop_last`) had given: the next iteration gives the rest.
        Until `set_epoch` is called again each iteration does.

        Args:
            epoch: from 0; each has its own order.
        """
        self._state.copy_(torch.tensor([epoch, batches_done, batch_size]))

    def __iter__(self) -> Iterator[Item]:
        info = get_worker_info()
        return self._share(info.id, info.num_workers) if info else self.whole()

    def whole(self) -> Iterator[Item]:
        """The epoch of this rank, undivided, in a loader's worker too.

        For data sets that are built on this one and divide the work themselves.
        """
        return self._share(0, 1)

    def _share(self, worker: int, workers: int) -> Iterator[Item]:
        epoch, batches_done, batch_size = self._state.tolist()
        start, stop = _part(self._length, worker, workers)
        first = self.rank * self._length
        items = self._read(epoch, first + start, first + stop)
        if self.shuffle_buffer > 1:
            rng = random.Random(f"{self.seed}:{epoch}:{self.rank}:{worker}")
            size = self.shuffle_buffer
            items = webdataset.filters.shuffle(size, initial=size, rng=rng)(items)
        # The loader asks its workers in turn, so each had its share of the batches.
        done = (batches_done - worker + workers - 1) // workers * batch_size
        return islice(items, done, None)

    def _read(self, epoch: int, start: int, stop: int) -> Iterator[Item]:
        for shard, ordinals in self._slices(self._order(epoch), start, stop):
            with storage.open_read(shard.url) as stream:
                yield from read_items(stream, shard.url, shard.count, ordinals)

    def _order(self, epoch: int) -> list[_Shard]:
        shards = list(self._shards)
        if self.shuffle_buffer:
            random.Random(f"{self.seed}:{epoch}").shuffle(shards)
        return shards

    def _slices(
        self, shards: list[_Shard], start: int, stop: int
    ) -> Iterator[tuple[_Shard, Sequence[int]]]:
        """What samples `start` to `stop` of the row are, shard by shard; the row is a ring."""
        lap = 0
        while lap < stop:
            at = lap
            for shard in shards:
                low, high = max(start - at, 0), min(stop - at, len(shard.chosen))
                if low < high:
                    yield shard, shard.chosen[low:high]
                at += len(shard.chosen)
            lap += self.total


def decode(item: Item, limits: Limits = ITEM_LIMITS) -> tuple[np.ndarray, int, int]:
    """(float32 mono samples (T,), sampling rate in Hz, label: 1 bona fide, 0 spoof).

    Raises:
        MediaError: the item is no speech, cannot be decoded, or costs more than `limits`, by
            default 10 minutes at 96 kHz stereo.
    """
    if item.meta.modality != "speech":
        raise MediaError("no_audio", f"item {item.key!r} is {item.meta.modality}", "filter it out")
    try:
        wave = read_audio(item.media, limits=limits)
    except MediaError as error:
        raise MediaError(error.reason, f"item {item.key!r}: {error.what}", error.fix) from error
    return wave.samples, wave.sampling_rate, int(item.meta.label == "bonafide")


class _Filter:
    """`where`, checked once: field → accepted values."""

    def __init__(self, where: Mapping[str, Any]):
        unknown = sorted(where.keys() - ItemMeta.model_fields.keys())
        if unknown:
            known = ", ".join(ItemMeta.model_fields)
            raise UsageError(f"where: no field {unknown[0]!r} in an item's metadata", known)
        self._accepted = {
            field: value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
            for field, value in where.items()
        }

    def choose(self, metas: Collection[ItemMeta]) -> Sequence[int]:
        if not self._accepted:
            return range(len(metas))
        return [number for number, meta in enumerate(metas) if self._keeps(meta)]

    def _keeps(self, meta: ItemMeta) -> bool:
        return all(getattr(meta, field) in values for field, values in self._accepted.items())


def _index(corpus: storage.Url, split: Split | None, chosen: _Filter, strict: bool) -> list[_Shard]:
    folder = storage.join(corpus, "shards")
    listing = read_listing(corpus)
    names = listing.shards if listing else dict.fromkeys(present_shards(corpus))
    if not names:
        raise CorpusError(f"{os.fspath(corpus)}: no corpus is here", "name the folder it is in")
    shards: list[_Shard] = []
    for name in sorted(names):
        if split is not None and names[name] not in (None, split):
            continue
        damage = check_shard(folder, name, deep=False)
        if damage is not None:
            if strict:
                raise CorpusError(
                    f"shard {damage}", "finish the build, or take what is whole: strict=False"
                )
            log.warning("left out: shard %s", damage)
            continue
        sidecar = read_sidecar(folder, name)
        if split in (None, sidecar.split):
            url = storage.tar_url(folder, name)
            shards.append(_Shard(url, sidecar.count, chosen.choose(sidecar.items.values())))
    return shards


def _place(rank: int | None, world_size: int | None) -> tuple[int, int]:
    if (rank is None) != (world_size is None):
        raise UsageError("only one of rank and world_size is given", "give both or neither")
    if rank is None or world_size is None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        else:
            rank = int(os.environ.get("RANK", "0"))
            world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if not 0 <= rank < world_size:
        raise UsageError(f"rank {rank} of {world_size} ranks", "ranks count from 0")
    return rank, world_size


def _part(length: int, worker: int, workers: int) -> tuple[int, int]:
    """Start and stop of one worker's share; the first ones take one more if it does not divide."""
    share, extra = divmod(length, workers)
    start = worker * share + min(worker, extra)
    return start, start + share + (worker < extra)
