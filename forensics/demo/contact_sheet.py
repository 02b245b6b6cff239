"""A picture of a corpus: pristine frame, forged frame, its mask, and where a detector looks."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forensics.errors import UsageError

if TYPE_CHECKING:
    from forensics.detectors.image.base import ImageDetector
    from forensics.shards.format import Item, Split

Pair = tuple["Item", "Item"]
Row = tuple[str, Sequence[np.ndarray | None]]
_CELL = 2.6  # inches
_HEADS = ("pristine", "forged", "mask", "found")


def contact_sheet(
    corpus: str | Path,
    out: Path,
    detector: ImageDetector | None = None,
    *,
    rows: int = 8,
    split: Split = "test",
) -> int:
    """Write a PNG (or what `out`'s suffix says): one row an editor, then further ones of each.

    A corpus of faces has rows of every role instead; see `forensics.demo.identity_sheet`.

    Args:
        corpus: folder or URL of a corpus of images.
        detector: adds a column with its heatmap (1 = manipulated) over the forged frame.
        rows: how many forged frames at most.

    Returns:
        The number of rows.

    Raises:
        UsageError: the split holds no forged frame with a pristine sibling.
    """
    from forensics import shards
    from forensics.demo import identity_sheet

    items = shards.open(str(corpus), split, shuffle=False, rank=0, world_size=1)
    first = next(iter(items), None)
    columns = _HEADS if detector else _HEADS[:3]
    if first is not None and "claimed" in first.meta.params:
        columns = identity_sheet.HEADS if detector else identity_sheet.HEADS[:-1]
        labelled = identity_sheet.rows_of(items, rows, detector)
    else:
        chosen = _choose(list(_pairs(items)), rows)
        labelled = [(_label(forged), _row(real, forged, detector)) for real, forged in chosen]
    if not labelled:
        raise UsageError(
            f"{corpus} holds no forged frames beside pristine ones in its {split} split",
            "name an image corpus, or another --split",
        )
    _draw(out, columns, labelled)
    return len(labelled)


def _draw(out: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_CELL * len(columns), 0.72 * _CELL * len(rows)), dpi=100)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for cell, name in zip(axes[0], columns, strict=True):
        cell.set_title(name, fontsize=9)
    for cells, (label, pictures) in zip(axes, rows, strict=True):
        for cell, picture in zip(cells, pictures, strict=True):
            if picture is None:
                cell.set_frame_on(False)
            else:
                cell.imshow(picture, cmap="gray", vmin=0, vmax=255)
            cell.set_xticks([])
            cell.set_yticks([])
        cells[0].set_ylabel(label, fontsize=7)
    figure.tight_layout(pad=0.4)
    figure.savefig(out)


def _pairs(items: Iterable[Item]) -> Iterator[Pair]:
    """Forged items, each with the pristine item of its frame."""
    pristine: Item | None = None
    waiting: list[Item] = []
    for item in items:
        if waiting and waiting[-1].meta.source_id != item.meta.source_id:
            waiting = []
        if pristine is not None and pristine.meta.source_id != item.meta.source_id:
            pristine = None
        if item.meta.label == "bonafide":
            pristine = item
            yield from ((item, forged) for forged in waiting)
            waiting = []
        elif item.mask is not None and pristine is not None:
            yield pristine, item
        elif item.mask is not None:
            waiting.append(item)


def _choose(pairs: list[Pair], rows: int) -> list[Pair]:
    """One of each editor in turn, each time of another camera where there is one."""
    by_system: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_system.setdefault(pair[1].meta.system, []).append(pair)
    chosen: list[Pair] = []
    seen: set[str] = set()
    while len(chosen) < rows and any(by_system.values()):
        for name in sorted(by_system):
            left = by_system[name]
            if not left or len(chosen) == rows:
                continue
            fresh = next((p for p in left if p[1].meta.group not in seen), left[0])
            left.remove(fresh)
            seen.add(fresh[1].meta.group)
            chosen.append(fresh)
    return sorted(chosen, key=lambda pair: pair[1].meta.system)


def _row(pristine: Item, forged: Item, detector: ImageDetector | None) -> list[np.ndarray]:
    from forensics.media.image import read_image

    real = read_image(pristine.media)
    assert forged.mask is not None  # `_pairs` chose it for that
    return [real.pixels, *shown(forged, detector)]


def shown(item: Item, detector: ImageDetector | None) -> list[np.ndarray]:
    """The picture, its mask (black where it has none), and what a detector finds, with one."""
    from PIL import Image

    from forensics.media.image import read_image

    picture = read_image(item.media)
    mask = np.zeros(picture.pixels.shape[:2], np.uint8)
    if item.mask is not None:
        mask = np.asarray(Image.open(io.BytesIO(item.mask)).convert("L"))
    row = [picture.pixels, mask]
    if detector is not None:
        found = detector.examine(picture).heatmap
        row.append(picture.pixels if found is None else heated(picture.pixels, np.asarray(found)))
    return row


def heated(pixels: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) in grey, with float (H, W) in [0, 1] glowing over it."""
    from matplotlib import colormaps

    grey = pixels.mean(2, keepdims=True).repeat(3, 2)
    glow = np.asarray(colormaps["inferno"](heatmap))[..., :3] * 255
    share = 0.75 * heatmap[..., None]
    return np.round(grey * (1 - share) * 0.8 + glow * share).astype(np.uint8)


def _label(forged: Item) -> str:
    meta = forged.meta
    mode = str(meta.params.get("mode", ""))
    return f"{meta.system}\n{meta.params.get('edit', meta.kind)}" + f"\n{mode}" * bool(mode)
