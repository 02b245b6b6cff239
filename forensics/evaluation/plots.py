"""DET and ROC curves, score histograms, and the sweep as pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from forensics.evaluation.metrics import error_curve
from forensics.evaluation.report import DetectorFigures
from forensics.evaluation.scored import ScoredSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REAL, _FORGED = "#2f7d4f", "#b3261e"
_DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99)
_MAX_POINTS = 2000  # of a curve; more are not seen


def curves(scored: Mapping[str, ScoredSet]) -> bytes | None:
    """PNG of the DET and ROC curves of several detectors; None without clips of both labels."""
    drawn = {name: one for name, one in scored.items() if len(one.bonafide) and len(one.spoof)}
    if not drawn:
        return None
    from matplotlib.figure import Figure
    from scipy.special import ndtri

    figure = Figure(figsize=(9, 4.3), layout="constrained")
    det, roc = figure.subplots(1, 2)
    for name, one in drawn.items():
        curve = error_curve(one.bonafide, one.spoof)
        frr, far = _thinned(curve.frr), _thinned(curve.far)
        inside = (frr > 0) & (frr < 1) & (far > 0) & (far < 1)
        det.plot(ndtri(far[inside]), ndtri(frr[inside]), label=name)
        roc.plot(far, 1 - frr, label=name)
    ticks = ndtri(np.array(_DET_TICKS))
    names = [f"{100 * tick:g}" for tick in _DET_TICKS]
    det.set_xticks(ticks, names)
    det.set_yticks(ticks, names)
    det.set_xlim(ticks[0], ticks[-1])
    det.set_ylim(ticks[0], ticks[-1])
    det.axline((0, 0), slope=1, color="#999999", linewidth=0.8)
    det.set_title("DET; EER on the diagonal")
    det.set_xlabel("spoof accepted, %")
    det.set_ylabel("bona fide rejected, %")
    roc.axline((0, 0), slope=1, color="#999999", linewidth=0.8)
    roc.set_title("ROC")
    roc.set_xlabel("spoof accepted")
    roc.set_ylabel("bona fide accepted")
    roc.legend(loc="lower right", fontsize=8)
    return png(figure)


def histograms(scored: Mapping[str, ScoredSet], figures: Sequence[DetectorFigures]) -> bytes | None:
    """PNG: how scores of either label spread, one detector below the other."""
    drawn = [one for one in figures if len(scored[one.label])]
    if not drawn:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.2 * len(drawn) + 0.4), layout="constrained")
    rows = figure.subplots(len(drawn), 1, squeeze=False)[:, 0]
    for axes, one in zip(rows, drawn, strict=True):
        _histogram(axes, scored[one.label], one)
    return png(figure)


def _histogram(axes: Axes, scored: ScoredSet, detector: DetectorFigures) -> None:
    edges = np.histogram_bin_edges(scored.score, bins=50).tolist()
    for part, name, colour in (
        (scored.bonafide, "bona fide", _REAL),
        (scored.spoof, "spoof", _FORGED),
    ):
        if len(part):
            weights = np.full(len(part), 1 / len(part))
            axes.hist(part, edges, weights=weights, color=colour, alpha=0.55, label=name)
    if detector.threshold is not None:
        cuts = (detector.threshold.manipulated_above, detector.threshold.bonafide_below)
        for cut in cuts:
            if cut is not None and 0 < cut < 1:
                axes.axvline(np.log((1 - cut) / cut), color="black", linewidth=1)
    axes.set_title(detector.label)
    axes.set_xlabel("LLR" if detector.calibration else "score (uncalibrated)")
    axes.set_ylabel("share of clips")
    axes.legend(fontsize=8)


def sweep(figures: Sequence[DetectorFigures]) -> bytes | None:
    """PNG: EER by condition with intervals; None where there was no sweep."""
    if not figures or len(figures[0].conditions) < 2:
        return None
    from matplotlib.figure import Figure

    names = [row.condition for row in figures[0].conditions]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(figures)
    for number, one in enumerate(figures):
        rows = [(place, row.eer) for place, row in enumerate(one.conditions)]
        known = [(place, eer) for place, eer in rows if eer.value is not None]
        at = [place + (number - (len(figures) - 1) / 2) * width for place, _ in known]
        axes.bar(at, [100 * (eer.value or 0) for _, eer in known], width * 0.9, label=one.label)
        for x, (_, eer) in zip(at, known, strict=True):
            if eer.low is not None and eer.high is not None:
                axes.plot([x, x], [100 * eer.low, 100 * eer.high], color="black", linewidth=1)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("EER, %")
    axes.legend(fontsize=8)
    return png(figure)


def _thinned(values: np.ndarray) -> np.ndarray:
    if len(values) <= _MAX_POINTS:
        return values
    return values[np.linspace(0, len(values) - 1, _MAX_POINTS).round().astype(int)]


def png(figure: Figure) -> bytes:
    """A drawn figure as a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
