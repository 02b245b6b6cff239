"""From shards to the formats of the field: what `forensics export` runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.corpus.exchange.layouts import LAYOUTS, ExportFormat, Layout
from forensics.errors import CorpusError, MachineError, UsageError
from forensics.progress import Progress
from forensics.shards import storage
from forensics.shards.format import Item, Sidecar, Split
from forensics.shards.reader import read_shard, read_sidecar
from forensics.shards.verify import present_shards, read_listing


@dataclass(frozen=True)
class Exported:
    """Counts: items written by split, and spoofs left out because they have no mask."""

    written: dict[str, int]
    left_out: int


def export_corpus(
    corpus: storage.Url, format: ExportFormat, out: Path, split: Split | None = None
) -> Exported:
    """Write the images of a corpus into `out/<split>`, one folder of the format each.

    Raises:
        UsageError: `out` is not empty, no image is in the corpus or the split, or it holds speech.
        CorpusError: there is no corpus, or a shard is missing, cut or altered.
        MachineError: `out` cannot be written.
    """
    sidecars = [s for s in _sidecars(corpus) if split in (None, s.split)]
    total = sum(sidecar.count for sidecar in sidecars)
    if not total:
        which = f"the split {split!r}" if split else "it"
        raise UsageError(f"{corpus}: {which} holds no items", "name another split")
    _claim(out)
    layouts: dict[Split, Layout] = {}
    written: Counter[str] = Counter()
    try:
        with Progress(total, "exporting", "images") as progress:
            for sidecar in sidecars:
                for item in _images(corpus, sidecar):
                    if sidecar.split not in layouts:
                        layouts[sidecar.split] = LAYOUTS[format](out / sidecar.split)
                    written[sidecar.split] += layouts[sidecar.split].add(item)
                    progress.advance()
    except OSError as error:
        raise MachineError(f"{out}: {error.strerror}", "free the disk or name another") from error
    finally:
        for layout in layouts.values():
            layout.close()
    return Exported(dict(written), total - written.total())


def _sidecars(corpus: storage.Url) -> list[Sidecar]:
    listing = read_listing(corpus)
    names = sorted(listing.shards if listing else present_shards(corpus))
    if not names:
        raise CorpusError(f"{corpus}: no corpus is here", "name the folder it is in")
    return [read_sidecar(storage.join(corpus, "shards"), name) for name in names]


def _images(corpus: storage.Url, sidecar: Sidecar) -> Iterator[Item]:
    url = storage.tar_url(storage.join(corpus, "shards"), sidecar.shard)
    for item in read_shard(url, sidecar):
        if item.meta.modality != "image":
            raise UsageError(
                f"{corpus}: item {item.key} is {item.meta.modality}", "these formats hold images"
            )
        yield item


def _claim(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UsageError(f"{out} is not empty", "name a new folder, or empty it")
    except FileExistsError as error:
        raise UsageError(f"{out} is not a folder", "name a new folder") from error
    except OSError as error:
        raise MachineError(f"{out}: {error.strerror}", "name another folder") from error
