"""Shards, ours beside webdataset's and bare tarfile's: items per second, in one run.

    python benchmarks/shards.py [--quick] [--json]

Writing: 100 KB of media and its metadata per item. Ours hashes the tar, syncs files and folder and
publishes atomically with a sidecar; hashing each item's media is the caller's and not measured.
ShardWriter and tarfile are measured as they are, without any of it, and ShardWriter again with the
tar hashed and synced after it.
Reading: the same shards on both sides, warm in the page cache, up to media bytes and parsed
metadata (ours validates it besides). Repeats are interleaved, medians reported.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader
from webdataset import filters, shardlists, tariterators
from webdataset.pipeline import DataPipeline
from webdataset.writer import ShardWriter

from forensics import shards
from forensics.shards.format import Item, ItemMeta, canonical_json

MEDIA_BYTES = 100_000


@dataclass(frozen=True)
class Row:
    """One measured contestant; seconds per repeat."""

    task: str
    who: str
    items: int
    seconds: list[float]

    @property
    def rate(self) -> float:
        return self.items / statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        return self.items / max(self.seconds), self.items / min(self.seconds)


def make_items(count: int, shard: int = 0) -> list[Item]:
    rng = np.random.default_rng(shard)
    items = []
    for number in range(count):
        media = rng.bytes(MEDIA_BYTES)
        meta = ItemMeta(
            label="spoof" if number % 2 else "bonafide",
            modality="speech",
            system="griffinlim",
            system_version="1",
            kind="vocoder",
            source_id=f"speaker-{number % 7}/utterance-{number}",
            group=f"speaker-{number % 7}",
            domain="read",
            split="train",
            seed=number,
            params={"iterations": 32, "momentum": 0.99},
            conditions=({"name": "loudness", "lufs": -23.0},),
            licence="CC-BY-4.0",
            parent=hashlib.sha256(b"%d" % number).hexdigest(),
            sha256=hashlib.sha256(media).hexdigest(),
            language="en",
            text="the quick brown fox jumps over the lazy dog",
            duration_s=3.1,
            sampling_rate=16_000,
        )
        items.append(Item(f"s{shard:03d}-{number:06d}", "flac", media, meta))
    return items


def write_ours(folder: Path, items: list[Item]) -> None:
    shards.write_shard(folder, "x-000000", items, split="train", plan="benchmark")


def write_webdataset(folder: Path, items: list[Item]) -> None:
    pattern = str(folder / "x-%06d.tar")
    with ShardWriter(pattern, maxcount=len(items) + 1, mtime=0, verbose=0) as sink:
        for item in items:
            meta = item.meta.model_dump(mode="json", exclude_none=True)
            sink.write({"__key__": item.key, item.extension: item.media, "json": meta})


def write_webdataset_safely(folder: Path, items: list[Item]) -> None:
    write_webdataset(folder, items)
    with (folder / "x-000000.tar").open("rb") as file:
        hashlib.file_digest(file, "sha256")
        os.fsync(file.fileno())


def write_tarfile(folder: Path, items: list[Item]) -> None:
    with tarfile.open(folder / "x-000000.tar", "w", format=tarfile.USTAR_FORMAT) as sink:
        for item in items:
            for suffix, data in ((item.extension, item.media), ("json", canonical_json(item.meta))):
                info = tarfile.TarInfo(f"{item.key}.{suffix}")
                info.size = len(data)
                sink.addfile(info, io.BytesIO(data))


def load_ours(corpus: Path, workers: int) -> Callable[[], int]:
    dataset = shards.open(corpus, shuffle=False)
    loader = DataLoader(dataset, batch_size=16, num_workers=workers, collate_fn=list)
    return lambda: sum(len(item.media) for batch in loader for item in batch)


def load_webdataset(corpus: Path, workers: int) -> Callable[[], int]:
    urls = sorted(str(path) for path in (corpus / "shards").glob("*.tar"))
    dataset = DataPipeline(
        shardlists.SimpleShardList(urls),
        shardlists.split_by_worker,
        tariterators.tarfile_to_samples(),
        filters.map(parse_metadata),
    )
    loader = DataLoader(
        dataset,  # pyright: ignore[reportArgumentType]
        batch_size=16,
        num_workers=workers,
        collate_fn=list,
    )
    return lambda: sum(len(sample["flac"]) for batch in loader for sample in batch)


def parse_metadata(sample: dict) -> dict:
    sample["json"] = json.loads(sample["json"])
    return sample


def measure(
    task: str, items: int, repeats: int, contestants: Mapping[str, Callable[[], object]]
) -> list[Row]:
    """Run all contestants in turn, `repeats` times over, after one round that is not counted."""
    seconds: dict[str, list[float]] = {who: [] for who in contestants}
    for repeat in range(repeats + 1):
        for who, run in contestants.items():
            start = time.perf_counter()
            run()
            if repeat:
                seconds[who].append(time.perf_counter() - start)
    return [Row(task, who, items, spent) for who, spent in seconds.items()]


def measure_all(count: int, shard_count: int, repeats: int, scratch: Path) -> Iterator[Row]:
    items = make_items(count)
    writers = {
        "forensics": write_ours,
        "webdataset.ShardWriter": write_webdataset,
        "ShardWriter, sha256, fsync": write_webdataset_safely,
        "tarfile": write_tarfile,
    }
    folders = {who: scratch / str(number) for number, who in enumerate(writers)}
    for folder in folders.values():
        folder.mkdir()
    yield from measure(
        "write", count, repeats, {w: lambda w=w: writers[w](folders[w], items) for w in writers}
    )
    corpus = scratch / "corpus"
    for shard in range(shard_count):
        name = f"x-{shard:06d}"
        shards.write_shard(
            corpus / "shards", name, make_items(count, shard), split="train", plan="benchmark"
        )
    total = count * shard_count
    for workers in (0, 2):
        contestants = {
            "forensics": load_ours(corpus, workers),
            "webdataset": load_webdataset(corpus, workers),
        }
        if len({read() for read in contestants.values()}) != 1:
            raise SystemExit("the readers disagree on the bytes")
        yield from measure(f"read, {workers} workers", total, repeats, contestants)


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.split(": ")[1] for x in lines if x.startswith("model name")), model)
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, webdataset {version('webdataset')}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="about 15 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--folder", type=Path, help="measure on this folder's disk")
    arguments = parser.parse_args()
    count, shard_count, repeats = (300, 4, 3) if arguments.quick else (1000, 4, 7)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        rows = list(measure_all(count, shard_count, repeats, Path(scratch)))
    best = {row.task: row.rate for row in rows if row.who.startswith("webdataset")}
    if arguments.json:
        value = [
            {"task": r.task, "who": r.who, "items_per_s": r.rate, "seconds": r.seconds}
            for r in rows
        ]
        json.dump({"machine": machine(), "media_bytes": MEDIA_BYTES, "rows": value}, sys.stdout)
        print()
        return
    print(machine())
    print(f"items of {MEDIA_BYTES} bytes; median of {repeats} interleaved repeats (min to max)")
    head = "webdataset = 1"
    print(f"{'task':<16} {'who':<27} {'items/s':>8} {'(range)':>15} {'MB/s':>7} {head:>15}")
    for r in rows:
        low, high = r.spread
        print(
            f"{r.task:<16} {r.who:<27} {r.rate:8.0f} {f'({low:.0f} to {high:.0f})':>15} "
            f"{r.rate * MEDIA_BYTES / 1e6:7.0f} {r.rate / best[r.task]:15.2f}"
        )


if __name__ == "__main__":
    main()
