"""Figures by claim as plain lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.evaluation.faces.report import ClaimFigures, ClaimRow, FaceReport, Rates
from forensics.evaluation.text import estimate, visible

_COLUMNS = ("accuracy", "precision", "recall", "f1", "auc", "eer")
_HEAD = f"{'':34}" + "".join(f"{name:>10}" for name in ("ACC", "P", "R", "F1", "AUC", "EER"))


def face_lines(report: FaceReport) -> list[str]:
    """The baseline first; what does not beat it is said."""
    lines = [
        f"claims: {report.compared} pictures that all judged, {report.people} people known from "
        f"{report.enrolled} other photos; positive = no authentic photo of the claimed person",
        _HEAD,
    ]
    for one in (report.baseline, *report.detectors):
        lines.append(_line(f"{one.label}, pooled", one.pooled))
        lines.append(_line(f"{one.label}, mean of people", one.macro))
    for one in (report.baseline, *report.detectors):
        lines += ["", *_detail(one)]
    return [*lines, *(f"note: {remark}" for remark in report.remarks())]


def _detail(one: ClaimFigures) -> list[str]:
    lines = [
        f"{one.label}: AUC {estimate('auc', one.auc)}; below {one.threshold:.4g}: "
        f"{one.threshold_origin}"
    ]
    if one.over is not None:
        verdict = {True: "beats it", False: "does not beat it", None: "no interval"}[one.beats]
        lines.append(f"  AUC less the baseline's: {estimate('auc', one.over)}; {verdict}")
    return [*lines, *_rows("role", one.roles), *_rows("engine", one.systems)]


def _rows(what: str, rows: Sequence[ClaimRow]) -> list[str]:
    width = max((len(row.name) for row in rows), default=0)
    return [
        f"  {what} {visible(row.name):{width}}  {row.rates.other:5} pictures  "
        f"AUC {_number(row.rates.auc)}  EER {_number(row.rates.eer)}  "
        f"refused {_number(row.refused)}"
        for row in rows
    ]


def _line(name: str, found: Rates) -> str:
    return f"{name:34}" + "".join(f"{_number(getattr(found, key)):>10}" for key in _COLUMNS)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
