"""Shards: write them, read them safely, check them, feed them to training.

`open` is the way in for training; `write_shard`, `read_shard`, `read_foreign_shard` and
`check_shard` work on one shard; `forensics.shards.verify.verify` checks a whole corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from forensics.shards.format import Failure, Item, ItemMeta, Sidecar, Split
from forensics.shards.reader import read_foreign_shard, read_shard, read_sidecar
from forensics.shards.storage import Url
from forensics.shards.verify import Damage, check_shard
from forensics.shards.writer import write_shard

if TYPE_CHECKING:
    from forensics.shards.dataset import ShardDataset

__all__ = [
    "Damage",
    "Failure",
    "Item",
    "ItemMeta",
    "Sidecar",
    "check_shard",
    "open",
    "read_foreign_shard",
    "read_shard",
    "read_sidecar",
    "write_shard",
]


def open(
    corpus: Url,
    split: Split | None = None,
    *,
    seed: int = 0,
    shuffle: bool = True,
    shuffle_buffer: int = 1000,
    rank: int | None = None,
    world_size: int | None = None,
    remainder: Literal["drop", "wrap"] = "drop",
    where: Mapping[str, Any] | None = None,
    strict: bool = True,
) -> ShardDataset:
    """A corpus as a torch `IterableDataset` of `Item`: one pass is one epoch of this rank.

    Args:
        corpus: folder or fsspec URL that holds `shards/`.
        split: only this one; None for all.
        seed: drives every order. The same seed, epoch, rank and number of workers give the same
            order.
        shuffle: shuffle the shards, and the samples in a buffer of `shuffle_buffer`.
        rank, world_size: which share of how many; by default torch.distributed's, else the
            environment's RANK and WORLD_SIZE, else the whole.
        remainder: all ranks get the same number of samples. What does not divide is left out of
            this epoch ("drop"; other samples in other epochs), or the first samples of the epoch
            are given again ("wrap": every sample at least once).
        where: fields of `ItemMeta` → the value, or the values (list, tuple, set), to keep, e.g.
            `{"label": "spoof", "system": ["griffinlim", "world"]}`.
        strict: every shard that the corpus names must be complete; False takes those that are.

    Raises:
        CorpusError: no corpus there; with `strict`, a shard is missing or cut.
        UsageError: an unknown field in `where`, no sample left, fewer samples than ranks.
    """
    from forensics.shards.dataset import ShardDataset

    return ShardDataset(
        corpus,
        split,
        seed=seed,
        shuffle_buffer=shuffle_buffer if shuffle else 0,
        rank=rank,
        world_size=world_size,
        remainder=remainder,
        where=where or {},
        strict=strict,
    )
