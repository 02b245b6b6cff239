"""What the parts of a fusion say of a corpus: one row a picture, kept for the next run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from forensics import shards
from forensics.detectors.image.base import IMAGE_DETECTORS, ImageDetector
from forensics.detectors.image.fusion import figures
from forensics.errors import MachineError, MediaError, MissingRequirement
from forensics.media.image import read_image
from forensics.progress import Progress
from forensics.shards import storage
from forensics.shards.format import ItemMeta, Split

_ROWS = "scores.jsonl"
Figures = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Table:
    """N pictures of a corpus, as P parts see them.

    Attributes:
        found: float64 (N, P, 2): raw score and log10 area, NaN where a part says nothing.
        system: "bonafide" for real ones; mode: of an edit, "" for real ones.
    """

    found: np.ndarray
    system: np.ndarray
    group: np.ndarray
    mode: np.ndarray

    @property
    def is_bonafide(self) -> np.ndarray:
        return self.system == "bonafide"

    def where(self, chosen: np.ndarray) -> Table:
        return Table(self.found[chosen], self.system[chosen], self.group[chosen], self.mode[chosen])

    def systems(self) -> list[str]:
        return sorted(set(self.system[~self.is_bonafide].tolist()))

    def modes(self) -> list[str]:
        return sorted(set(self.mode.tolist()) - {""})


def load_parts(names: Iterable[str], weights: dict[str, str], device: str) -> list[ImageDetector]:
    """The parts, ready.

    Raises:
        MissingRequirement: one needs weights, and none are named or there.
        UsageError: there is no such detector.
    """
    parts = []
    for name in names:
        cls = IMAGE_DETECTORS.get(name)
        if cls.needs_weights and name not in weights:
            raise MissingRequirement(
                f"no weights are named for the part {name}",
                f"--set weights.{name}=FOLDER, or leave it out of --set 'parts=[…]'",
            )
        folder = Path(weights[name]) if cls.needs_weights else None
        parts.append(cls.from_folder(folder, device))
    return parts


def table_of(
    corpus: storage.Url,
    split: Split,
    parts: tuple[str, ...],
    weights: dict[str, str],
    folder: Path,
    device: str,
    workers: int,
) -> Table:
    """Let all parts judge a split; what an earlier run of `folder` found is not computed again.

    Raises:
        CorpusError: a damaged shard.
        MachineError: a worker died.
    """
    path = folder / f"{split}-{_ROWS}"
    known = _known(path)
    data = shards.open(corpus, split, shuffle=False, rank=0, world_size=1)
    metas: list[ItemMeta] = []

    def lacking() -> Iterator[tuple[str, bytes]]:
        for item in data:
            metas.append(item.meta)
            if item.meta.sha256 not in known:
                yield item.meta.sha256, item.media

    with Progress(data.total, f"scoring {split}", "pictures") as progress:
        progress.advance(len(known))
        for sha256, found in _examined(lacking(), parts, weights, device, workers):
            row = json.dumps({"sha256": sha256, "figures": [_jsonable(pair) for pair in found]})
            storage.append(str(path), row.encode() + b"\n")
            known[sha256] = found
            progress.advance()
    read = [meta for meta in metas if known[meta.sha256]]
    found = np.array([known[meta.sha256] for meta in read], float)
    return Table(
        found.reshape(len(read), len(parts), 2),
        np.array([_system(meta) for meta in read], str),
        np.array([meta.group for meta in read], str),
        np.array([_mode(meta) for meta in read], str),
    )


def _system(meta: ItemMeta) -> str:
    return "bonafide" if meta.label == "bonafide" else meta.system


def _mode(meta: ItemMeta) -> str:
    real = meta.label == "bonafide"
    return "" if real else str(meta.params.get("mode", "composite"))


def _examined(
    pictures: Iterator[tuple[str, bytes]],
    parts: tuple[str, ...],
    weights: dict[str, str],
    device: str,
    workers: int,
) -> Iterator[tuple[str, Figures]]:
    if workers == 1:
        loaded = load_parts(parts, weights, device)
        yield from ((key, _figures(loaded, media)) for key, media in pictures)
        return
    pool = ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(parts, weights, device),
    )
    try:
        while chunk := list(islice(pictures, 8 * workers)):
            names, media = zip(*chunk, strict=True)
            yield from zip(names, pool.map(_one, media), strict=True)
    except BrokenProcessPool as error:
        raise MachineError(
            "a worker died, most likely because memory ran out",
            "use fewer workers; the same command goes on where it was",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_parts: list[ImageDetector] = []  # of a worker process


def _start(parts: tuple[str, ...], weights: dict[str, str], device: str) -> None:
    import cv2

    cv2.setNumThreads(1)  # the workers share the cores
    _parts[:] = load_parts(parts, weights, device)


def _one(media: bytes) -> Figures:
    return _figures(_parts, media)


def _figures(parts: list[ImageDetector], media: bytes) -> Figures:
    """Of each part; () for a picture that cannot be read, whose verdict would be none."""
    try:
        picture = read_image(media)
    except MediaError:
        return ()
    return tuple(figures(part.examine(picture)) for part in parts)


def _known(path: Path) -> dict[str, Figures]:
    if not path.exists():
        return {}
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]  # a kill may cut a line
    rows = [json.loads(line) for line in whole.splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {
        row["sha256"]: tuple((_number(score), _number(area)) for score, area in row["figures"])
        for row in rows
    }


def _jsonable(pair: tuple[float, float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in pair]


def _number(value: float | None) -> float:
    return math.nan if value is None else value
