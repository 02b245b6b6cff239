"""Saved scores → figures with intervals. Nothing is left out: what cannot be had says why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.detectors.calibration import Calibration, Threshold
from forensics.errors import UsageError
from forensics.evaluation.clips import BONAFIDE
from forensics.evaluation.grouped import grouped_eer, resampled_within
from forensics.evaluation.intervals import clustered_share, percentiles, resampled
from forensics.evaluation.metrics import act_dcf, auc, cllr, eer_of, error_curve, min_dcf_of
from forensics.evaluation.report import Answers, ConditionFigures, Estimate, Part
from forensics.evaluation.scored import ScoredSet
from forensics.verdict.decision import decide

METRICS = ("eer", "min_dcf", "act_dcf", "cllr", "auc")
CALIBRATED = ("act_dcf", "cllr")
FEW = 10
"""A part with fewer clips of a label is marked, and gets no interval."""
NOT_STATED = "(not stated)"

_UNCALIBRATED = "uncalibrated: the scores are no log-likelihood ratios"


def summary(bonafide: np.ndarray, spoof: np.ndarray) -> tuple[float, ...]:
    """All of `METRICS`, in that order."""
    curve = error_curve(bonafide, spoof)
    return (
        eer_of(curve).value,
        min_dcf_of(curve).value,
        act_dcf(bonafide, spoof),
        cllr(bonafide, spoof),
        auc(bonafide, spoof),
    )


@dataclass(frozen=True)
class Draws:
    """Figures of one scored set and their resamples: what intervals and differences come from.

    Attributes:
        values: figure → value on all clips, for those that can be had.
        samples: figure → float64 (replicates,).
        notes: figure → why it, or its interval, cannot be had.
    """

    values: dict[str, float]
    samples: dict[str, np.ndarray]
    notes: dict[str, str]

    def estimate(self, figure: str) -> Estimate:
        if figure not in self.values:
            return Estimate(note=self.notes[figure])
        return with_interval(self.values[figure], self.samples.get(figure), self.notes.get(figure))

    def minus(self, other: Draws) -> dict[str, Estimate]:
        """Paired differences of the figures that both have."""
        return {
            figure: with_interval(
                value - other.values[figure],
                _both(self, other, figure, np.subtract),
                self.notes.get(figure) or other.notes.get(figure),
            )
            for figure, value in self.values.items()
            if figure in other.values
        }

    def ratio(self, clean: Draws) -> Estimate:
        """This EER divided by another, paired."""
        if "eer" not in self.values or "eer" not in clean.values:
            return Estimate(note=self.notes.get("eer") or clean.notes.get("eer"))
        if clean.values["eer"] == 0:
            return Estimate(note="the clean EER is 0")
        with np.errstate(divide="ignore", invalid="ignore"):
            samples = _both(self, clean, "eer", np.divide)
        if samples is not None:
            samples = np.where(np.isfinite(samples), samples, np.nan)
        return with_interval(self.values["eer"] / clean.values["eer"], samples, None)


def draw(scored: ScoredSet, is_llr: bool, replicates: int, seed: int) -> Draws:
    """Pooled figures and the mean within-source EER, with their resamples."""
    figures = (*METRICS, "eer_within_source")
    lacking = _lacking(scored)
    if lacking:
        return Draws({}, {}, dict.fromkeys(figures, lacking))
    found = summary(scored.bonafide, scored.spoof)
    values: dict[str, float] = dict(zip(METRICS, found, strict=True))
    samples: dict[str, np.ndarray] = {}
    notes: dict[str, str] = {}
    try:
        rows = resampled(summary, scored.score, scored.is_bonafide, scored.group, replicates, seed)
        samples = dict(zip(METRICS, rows.T, strict=True))
    except UsageError as error:
        notes = dict.fromkeys(METRICS, error.what)
    if not is_llr:
        for figure in CALIBRATED:
            del values[figure]
            notes[figure] = _UNCALIBRATED
    _draw_within(scored, values, samples, notes, replicates, seed)
    return Draws(values, samples, notes)


def condition_figures(
    condition: str,
    scored: ScoredSet,
    draws: Draws,
    clean: Draws | None,
    calibration: Calibration | None,
    threshold: Threshold | None,
) -> ConditionFigures:
    """One row of the robustness sweep. `clean`: None for the clean clips themselves."""
    labels = labels_of(scored.score, calibration, threshold)
    real, forged = answers_by_label(scored, labels)
    return ConditionFigures(
        condition=condition,
        **{figure: draws.estimate(figure) for figure in METRICS},
        eer_within_source=draws.estimate("eer_within_source"),
        eer_ratio=None if clean is None else draws.ratio(clean),
        real_answers=real,
        forged_answers=forged,
    )


def labels_of(
    llr: np.ndarray, calibration: Calibration | None, threshold: Threshold | None
) -> np.ndarray | None:
    """The labels that verdicts with these LLRs (N,) have; None without a shipped threshold."""
    if calibration is None or threshold is None:
        return None
    return np.array([decide(float(one), threshold).label for one in llr], dtype=str)


def answers_by_label(
    scored: ScoredSet, labels: np.ndarray | None
) -> tuple[Answers | None, Answers | None]:
    """Of the real clips and of the forged ones; None where there are none, or no labels."""
    if labels is None:
        return None, None
    return (
        _answers(labels, scored, scored.is_bonafide, "manipulated"),
        _answers(labels, scored, ~scored.is_bonafide, BONAFIDE),
    )


def _answers(
    labels: np.ndarray, scored: ScoredSet, chosen: np.ndarray, wrong: str
) -> Answers | None:
    if not chosen.any():
        return None
    given = labels[chosen]
    low, high = clustered_share(given == wrong, scored.group[chosen])
    return Answers(
        clips=len(given),
        manipulated=float((given == "manipulated").mean()),
        uncertain=float((given == "uncertain").mean()),
        bonafide=float((given == BONAFIDE).mean()),
        error=float((given == wrong).mean()),
        low=low,
        high=high,
    )


def parts(
    scored: ScoredSet, by: str, labels: np.ndarray | None, replicates: int, seed: int
) -> tuple[Part, ...]:
    """Every system, kind or source, sorted by name; `by` is the column.

    A system or kind stands against all bona fide clips, a source against its own.
    """
    column = getattr(scored, by)
    if by == "source":
        names = sorted(set(column.tolist()) - {""})
    else:
        names = sorted(set(column[~scored.is_bonafide].tolist()))
        if names == [""]:
            return ()
    made = []
    for name in names:
        mine = column == name
        if by != "source":
            mine = (mine & ~scored.is_bonafide) | scored.is_bonafide
        inside = None if labels is None else labels[mine]
        made.append(_part(name or NOT_STATED, scored.where(mine), by, inside, replicates, seed))
    return tuple(made)


def _part(
    name: str, mine: ScoredSet, by: str, labels: np.ndarray | None, replicates: int, seed: int
) -> Part:
    counts = {"bona fide": len(mine.bonafide), "spoof": len(mine.spoof)}
    few = [f"{count} {sort}" for sort, count in counts.items() if 0 < count < FEW]
    lacking = _lacking(mine)
    real, forged = answers_by_label(mine, labels)
    eer, area = Estimate(note=lacking), Estimate(note=lacking)
    if not lacking:
        eer, area = _eer_and_auc(mine, few, replicates, seed)
    return Part(
        name=name,
        bonafide=counts["bona fide"],
        spoof=counts["spoof"],
        eer=eer,
        auc=area,
        eer_within=None if by == "source" else _within(mine),
        real_answers=real if by == "source" else None,
        forged_answers=forged,
        remark=lacking or (f"few: {', '.join(few)}" if few else None),
    )


def _eer_and_auc(
    mine: ScoredSet, few: list[str], replicates: int, seed: int
) -> tuple[Estimate, Estimate]:
    def both(bonafide: np.ndarray, spoof: np.ndarray) -> tuple[float, float]:
        return eer_of(error_curve(bonafide, spoof)).value, auc(bonafide, spoof)

    samples, note = None, f"few clips: {', '.join(few)}" if few else None
    if not few:
        try:
            samples = resampled(both, mine.score, mine.is_bonafide, mine.group, replicates, seed)
        except UsageError as error:
            note = error.what
    eer, area = both(mine.bonafide, mine.spoof)
    if samples is None:
        return Estimate(value=eer, note=note), Estimate(value=area, note=note)
    return with_interval(eer, samples[:, 0], None), with_interval(area, samples[:, 1], None)


def _within(mine: ScoredSet) -> float | None:
    """The mean EER within the sources in which the forged clips occur."""
    if not (mine.source != "").any():
        return None
    try:
        found = grouped_eer(mine.score, mine.is_bonafide, mine.source)
    except UsageError:  # no source holds both
        return None
    return found.within


def _draw_within(
    scored: ScoredSet,
    values: dict[str, float],
    samples: dict[str, np.ndarray],
    notes: dict[str, str],
    replicates: int,
    seed: int,
) -> None:
    figure = "eer_within_source"
    stated = scored.where(scored.source != "")
    if len(stated) == 0:
        notes[figure] = "no sources are stated"
        return
    try:
        values[figure] = grouped_eer(stated.score, stated.is_bonafide, stated.source).within
        samples[figure] = resampled_within(
            stated.score, stated.is_bonafide, stated.source, stated.group, replicates, seed
        )
    except UsageError as error:
        notes[figure] = error.what


def _lacking(scored: ScoredSet) -> str | None:
    """Which label is absent, in words."""
    absent = [
        sort for sort, part in (("bona fide", scored.bonafide), ("spoof", scored.spoof))
        if len(part) == 0
    ]  # fmt: skip
    return f"no {' and no '.join(absent)} clips" if absent else None


def _both(one: Draws, other: Draws, figure: str, combine: np.ufunc) -> np.ndarray | None:
    if figure not in one.samples or figure not in other.samples:
        return None
    return combine(one.samples[figure], other.samples[figure])


def with_interval(value: float, samples: np.ndarray | None, note: str | None) -> Estimate:
    if samples is None:
        return Estimate(value=value, note=note)
    try:
        low, high = percentiles(samples)
    except UsageError as error:
        return Estimate(value=value, note=f"no interval: {error.what}")
    return Estimate(value=value, low=low, high=high)
