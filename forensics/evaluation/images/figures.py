"""Figures of pixels with intervals: means over pictures, resampled by whole groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forensics.errors import UsageError
from forensics.evaluation.clips import Clip
from forensics.evaluation.figures import FEW, NOT_STATED, with_interval
from forensics.evaluation.images.pixels import (
    BINS,
    FIGURES,
    SIZES,
    aucs_of,
    size_of,
    unpacked,
)
from forensics.evaluation.images.report import PixelRow, PixelSummary
from forensics.evaluation.images.scoring import COLUMNS, Judged
from forensics.evaluation.intervals import group_sums, resampled_means
from forensics.evaluation.report import Estimate

_NO_MASKS = "no forged pictures with masks and heatmaps"


@dataclass(frozen=True)
class Table:
    """One row a forged picture with mask and heatmap, and the authentic ones apart.

    Attributes:
        figures: float64 (N, 4), the columns of `FIGURES`; counts: packed, of the clean pictures.
        system, kind, mode, size, group: str (N,).
        pristine_area: float64 (P,); pristine_group: str (P,).
    """

    figures: np.ndarray
    counts: list[str]
    system: np.ndarray
    kind: np.ndarray
    mode: np.ndarray
    size: np.ndarray
    group: np.ndarray
    pristine_area: np.ndarray
    pristine_group: np.ndarray


@dataclass(frozen=True)
class Draw:
    """How intervals are made."""

    replicates: int
    seed: int


def table_of(clips: Sequence[Clip], judged: Judged, area: np.ndarray, chosen: np.ndarray) -> Table:
    """Of the pictures that `chosen` (bool (N,)) marks."""
    real = np.array([clip.is_bonafide for clip in clips])
    drawn = chosen & np.isfinite(judged.figures[:, COLUMNS.index("area")])
    marked = drawn & ~real & (np.nan_to_num(area) > 0)
    rows = np.flatnonzero(marked)
    columns = [COLUMNS.index(name) for name in FIGURES]

    def text(of: Callable[[Clip], str], places: np.ndarray) -> np.ndarray:
        return np.array([of(clips[place]) for place in places], dtype=str)

    pristine = np.flatnonzero(drawn & real)
    return Table(
        figures=judged.figures[rows][:, columns],
        counts=[judged.counts[place] or "" for place in rows],
        system=text(lambda clip: clip.system or NOT_STATED, rows),
        kind=text(lambda clip: clip.kind or NOT_STATED, rows),
        mode=text(lambda clip: clip.mode or NOT_STATED, rows),
        size=np.array([size_of(float(area[place])) for place in rows], dtype=str),
        group=text(lambda clip: clip.group, rows),
        pristine_area=judged.figures[pristine, COLUMNS.index("area")],
        pristine_group=text(lambda clip: clip.group, pristine),
    )


def row_of(name: str, figures: np.ndarray, groups: np.ndarray, draw: Draw) -> PixelRow:
    """Means of (N, 4) figures."""
    found = {
        figure: mean_of(figures[:, column], groups, draw) for column, figure in enumerate(FIGURES)
    }
    count = len(figures)
    remark = _NO_MASKS if count == 0 else f"few: {count}" if count < FEW else None
    return PixelRow(name=name, pictures=count, remark=remark, **found)


def mean_of(values: np.ndarray, groups: np.ndarray, draw: Draw) -> Estimate:
    """A mean with its interval; NaN has no part in it (an AUC where all is manipulated)."""
    known = np.isfinite(values)
    if not known.any():
        return Estimate(note=_NO_MASKS)
    value = float(values[known].mean())
    if known.sum() < FEW:
        return Estimate(value=value, note=f"few: {int(known.sum())}")
    try:
        samples = resampled_means(values, groups, draw.replicates, draw.seed)
    except UsageError as error:
        return Estimate(value=value, note=error.what)
    return with_interval(value, samples, None)


def summary_of(table: Table, draw: Draw) -> PixelSummary | None:
    """All figures of pixels; None when there are no forged pictures with masks and heatmaps."""
    if len(table.figures) == 0:
        return None
    return PixelSummary(
        overall=row_of("all", table.figures, table.group, draw),
        auc_pooled=_pooled(table, draw),
        size_invariant=_size_invariant(table, draw),
        sizes=_rows(table, table.size, SIZES, draw),
        systems=_rows(table, table.system, _stated(table.system), draw),
        kinds=_rows(table, table.kind, _stated(table.kind), draw),
        modes=_rows(table, table.mode, _stated(table.mode), draw),
        pristine=len(table.pristine_area),
        pristine_area=_area(table, draw),
    )


def differences(
    one: Judged, other: Judged, clips: Sequence[Clip], chosen: np.ndarray, draw: Draw
) -> dict[str, Estimate]:
    """`one` minus `other`, picture by picture, in every figure of pixels."""
    groups = np.array([clip.group for clip in clips], dtype=str)[chosen]
    return {
        figure: mean_of(
            (one.figures[chosen] - other.figures[chosen])[:, COLUMNS.index(figure)], groups, draw
        )
        for figure in FIGURES
    }


def _stated(column: np.ndarray) -> list[str]:
    """The names of a column; none where nothing is stated."""
    names = sorted(set(column.tolist()))
    return [] if names == [NOT_STATED] else names


def _rows(
    table: Table, column: np.ndarray, names: Sequence[str], draw: Draw
) -> tuple[PixelRow, ...]:
    return tuple(
        row_of(name, table.figures[column == name], table.group[column == name], draw)
        for name in names
        if (column == name).any()
    )


def _pooled(table: Table, draw: Draw) -> Estimate:
    counts = np.stack([unpacked(text) for text in table.counts])
    value = float(aucs_of(counts.sum(axis=0, dtype=np.float64)[None])[0])
    if not np.isfinite(value):
        return Estimate(note="all pixels are manipulated")
    if len(counts) < FEW:
        return Estimate(value=value, note=f"few: {len(counts)}")
    try:
        sums, times = group_sums(counts, table.group, draw.replicates, draw.seed)
    except UsageError as error:
        return Estimate(value=value, note=error.what)
    drawn = (times @ sums.reshape(len(sums), -1)).reshape(-1, 2, BINS)
    return with_interval(value, aucs_of(drawn), None)


def _size_invariant(table: Table, draw: Draw) -> dict[str, Estimate]:
    """Each size bin counts once, so that few large regions do not speak for many small ones."""
    present = [name for name in SIZES if (table.size == name).any()]
    bins = np.stack(
        [np.where((table.size == name)[:, None], table.figures, np.nan) for name in present]
    )
    samples = None
    note = None
    if len(table.figures) < FEW:
        note = f"few: {len(table.figures)}"
    else:
        try:
            drawn = [resampled_means(one, table.group, draw.replicates, draw.seed) for one in bins]
            samples = _nanmean(np.stack(drawn))
        except UsageError as error:
            note = error.what
    values = _nanmean(np.stack([_nanmean(one) for one in bins]))
    found = {}
    for column, figure in enumerate(FIGURES):
        value = float(values[column])
        mine = None if samples is None else samples[:, column]
        known = np.isfinite(value)
        found[figure] = with_interval(value, mine, note) if known else Estimate(note=_NO_MASKS)
    return found


def _area(table: Table, draw: Draw) -> Estimate:
    if len(table.pristine_area) == 0:
        return Estimate(note="no authentic pictures")
    return mean_of(table.pristine_area, table.pristine_group, draw)


def _nanmean(values: np.ndarray) -> np.ndarray:
    """Over the first axis; NaN where nothing is known."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)
