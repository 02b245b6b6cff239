"""F1 by size of the region, and by condition, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from forensics.evaluation.images.pixels import SIZES
from forensics.evaluation.images.report import PixelRow
from forensics.evaluation.plots import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def by_size(found: Mapping[str, Sequence[PixelRow]]) -> bytes | None:
    """PNG of F1 at 0.5 and of pixel AUC by size; detectors and baselines beside each other."""
    return _bars(found, SIZES)


def by_condition(found: Mapping[str, Sequence[PixelRow]]) -> bytes | None:
    """PNG of the same by condition; None where there was no sweep."""
    names = list(dict.fromkeys(row.name for rows in found.values() for row in rows))
    return _bars(found, names) if len(names) > 1 else None


def _bars(found: Mapping[str, Sequence[PixelRow]], names: Sequence[str]) -> bytes | None:
    drawn = {label: rows for label, rows in found.items() if any(row.pictures for row in rows)}
    if not drawn:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _group(left, drawn, names, "f1", "pixel F1 at 0.5")
    _group(right, drawn, names, "auc", "pixel AUC")
    right.axhline(0.5, color="#999999", linewidth=0.8)
    left.legend(fontsize=8)
    return png(figure)


def _group(
    axes: Axes,
    found: Mapping[str, Sequence[PixelRow]],
    names: Sequence[str],
    key: str,
    title: str,
) -> None:
    width = 0.8 / len(found)
    for number, (label, rows) in enumerate(found.items()):
        shift = (number - (len(found) - 1) / 2) * width
        known = [
            (names.index(row.name) + shift, getattr(row, key))
            for row in rows
            if getattr(row, key).value is not None
        ]
        axes.bar([at for at, _ in known], [one.value for _, one in known], width * 0.9, label=label)
        for at, one in known:
            if one.low is not None and one.high is not None:
                axes.plot([at, at], [one.low, one.high], color="black", linewidth=1)
    axes.set_xticks(range(len(names)), names, rotation=30 if len(names) > 5 else 0, fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_title(title)
