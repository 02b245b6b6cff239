"""Statistics of a corpus's pictures: a row for each picture, and for copies of those that train."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from forensics import shards
from forensics.detectors.image.regeneration import LEAST_SIDE
from forensics.errors import MediaError, UsageError
from forensics.media.image import Picture, encode_image, read_image
from forensics.networks.localiser.traces import Traces
from forensics.networks.regeneration import picture_planes, statistics
from forensics.progress import Progress
from forensics.shards import storage
from forensics.shards.format import Item, ItemMeta, Split
from forensics.training.localiser.crops import SUBSAMPLINGS, luma_table
from forensics.training.regeneration.config import Copies

log = logging.getLogger(__name__)

_LEAST_COPY = 64  # pixels a side of a copy that was scaled down
PRISTINE, PASTED, ANEW = "pristine", "composite", "regenerated"


@dataclass(frozen=True)
class Rows:
    """N rows.

    Attributes:
        values: float32 (N, F), as `statistics` gives them.
        plain: bool (N,): of a picture, or a part of it, as the corpus holds it.
        made: what each picture is: `PRISTINE`, `PASTED` or `ANEW`.
    """

    values: np.ndarray
    plain: np.ndarray
    made: np.ndarray
    system: np.ndarray
    group: np.ndarray

    def where(self, chosen: np.ndarray) -> Rows:
        return Rows(*(getattr(self, one.name)[chosen] for one in fields(self)))


def rows_of(
    corpus: storage.Url,
    split: Split,
    copies: Copies | None,
    seed: int,
    traces: Traces,
    device: torch.device,
    folder: Path,
) -> Rows:
    """The rows of a split; what an earlier run of `folder` found is read from there.

    Args:
        copies: None: each picture as it is only.

    Raises:
        UsageError: no corpus of pictures, or none of them can be used.
    """
    path = folder / f"{split}-statistics.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            return Rows(**kept)
    data = shards.open(corpus, split, shuffle=False, rank=0, world_size=1)
    found: list[tuple[np.ndarray, bool, str, str, str]] = []
    unusable: list[str] = []
    with Progress(data.total, f"measuring {split}", "pictures") as progress:
        for number, item in enumerate(data):
            progress.advance()
            try:
                picture = _usable(item)
            except MediaError as error:
                unusable.append(f"{item.key}: {error}")
                continue
            rng = np.random.default_rng((seed, number))
            for plain, values in _looks(picture, copies, rng, traces, device):
                found.append((values, plain, _made(item.meta), item.meta.system, item.meta.group))
    if unusable:
        log.warning("%d of the %s split left out, first %s", len(unusable), split, unusable[0])
    if not found:
        raise UsageError(
            f"no picture of the {split} split can be used",
            f"build the corpus of pictures of at least {LEAST_SIDE} pixels a side",
        )
    rows = Rows(*(np.array(column) for column in zip(*found, strict=True)))
    buffer = io.BytesIO()
    np.savez(buffer, **{one.name: getattr(rows, one.name) for one in fields(rows)})
    storage.publish(str(path), buffer.getvalue())
    return rows


def _usable(item: Item) -> Picture:
    """Raises:
    UsageError: it is no picture. MediaError: it is a damaged or too small one.
    """
    if item.meta.modality != "image":
        raise UsageError(
            f"item {item.key!r} is {item.meta.modality}", "regeneration is trained on pictures"
        )
    picture = read_image(item.media)
    if min(picture.height, picture.width) < LEAST_SIDE:
        size = f"{picture.width} x {picture.height} pixels"
        raise MediaError("too_small", f"{size}, {LEAST_SIDE} a side are needed")
    return picture


def _made(meta: ItemMeta) -> str:
    if meta.label == "bonafide":
        return PRISTINE
    return ANEW if meta.params.get("mode") == "regenerated" else PASTED


def _looks(
    picture: Picture,
    copies: Copies | None,
    rng: np.random.Generator,
    traces: Traces,
    device: torch.device,
) -> Iterator[tuple[bool, np.ndarray]]:
    """The picture's statistics, and where it trains those of its parts and of its copies."""
    table = luma_table(picture)
    planes = picture_planes(traces, picture.pixels, table, device)
    yield True, statistics(planes, table)
    if copies is None:
        return
    for _ in range(copies.parts):
        yield True, statistics([_part(one, copies, rng) for one in planes], table)
    for _ in range(copies.channels):
        copy = _sent(picture.pixels, copies, rng)
        if min(copy.height, copy.width) < _LEAST_COPY:
            continue
        table = luma_table(copy)
        yield False, statistics(picture_planes(traces, copy.pixels, table, device), table)


def _part(planes: torch.Tensor, copies: Copies, rng: np.random.Generator) -> torch.Tensor:
    spans = []
    for extent in planes.shape[1:]:
        length = max(1, int(extent * rng.uniform(*copies.share)))
        start = int(rng.integers(extent - length + 1))
        spans.append(slice(start, start + length))
    return planes[:, spans[0], spans[1]]


def _sent(pixels: np.ndarray, copies: Copies, rng: np.random.Generator) -> Picture:
    """A copy through a channel, saved as JPEG."""
    top, left = (
        int(rng.integers(min(copies.cropped, extent - LEAST_SIDE) + 1))
        for extent in pixels.shape[:2]
    )
    sent, _, _ = copies.augment.apply(
        np.ascontiguousarray(pixels[top:, left:]), None, int(rng.integers(2**62))
    )
    quality = int(rng.integers(copies.quality[0], copies.quality[1], endpoint=True))
    sampling = SUBSAMPLINGS[rng.integers(len(SUBSAMPLINGS))]
    return read_image(encode_image(sent, "jpeg", quality, sampling))  # pyright: ignore
