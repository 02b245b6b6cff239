"""Scores of claims → figures: pooled, by person, by role and by engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forensics.errors import UsageError
from forensics.evaluation.clips import Clip
from forensics.evaluation.faces.claims import ENROL, LOOKALIKE, REAL, Claim
from forensics.evaluation.faces.report import ClaimFigures, ClaimRow, FaceReport, Rates
from forensics.evaluation.faces.similarity import BASELINE, REFUSED, Similarities
from forensics.evaluation.intervals import resampled
from forensics.evaluation.metrics import auc, eer
from forensics.evaluation.report import Estimate

_RATES = ("accuracy", "precision", "recall", "f1", "auc", "eer")


@dataclass(frozen=True)
class Scored:
    """What one detector said of all pictures.

    Attributes:
        score: float64 (N,), higher = authentic; NaN where it did not judge.
        threshold: scores below are called not authentic; None: that of the equal error rate on
            these very pictures is taken.
        origin: of the threshold, in words.
    """

    label: str
    score: np.ndarray
    threshold: float | None = None
    origin: str = ""


@dataclass(frozen=True)
class _Table:
    """The pictures that all judged; look-alikes are neither `real` nor `forged`, bool (N,)."""

    claimed: np.ndarray
    role: np.ndarray
    system: np.ndarray
    real: np.ndarray
    forged: np.ndarray


def face_report(
    clips: Sequence[Clip],
    claims: Mapping[str, Claim],
    similar: Similarities,
    detectors: Sequence[Scored],
    replicates: int = 1000,
    seed: int = 0,
) -> FaceReport | None:
    """Figures over the pictures that everybody judged; None where no class is left.

    Args:
        clips: in the order of all scores.
    """
    made = [claims.get(clip.key) for clip in clips]
    probes = np.array([claim is not None and claim.use != ENROL for claim in made], bool)
    base = Scored(
        BASELINE,
        similar.score,
        similar.threshold,
        f"{100 * REFUSED:.0f} % of the enrolled photos, each compared with its person's others, "
        "lie below",
    )
    # A detector that judges nothing at all does not take everybody's pictures away.
    live = [one for one in (base, *detectors) if np.isfinite(one.score[probes]).any()]
    chosen = probes & np.all([np.isfinite(one.score) for one in live], axis=0)
    rows: list[int] = np.flatnonzero(chosen).tolist()
    table = _table([clips[place] for place in rows], [made[place] for place in rows])
    if base not in live or not table.real.any() or not table.forged.any():
        return None
    scores = {one.label: one.score[rows] for one in live}
    samples = {
        label: _auc_samples(table, score, replicates, seed) for label, score in scores.items()
    }
    found = [_figures(one, table, scores, samples) for one in live]
    return FaceReport(
        people=similar.people,
        enrolled=similar.enrolled,
        compared=len(rows),
        tools=similar.tools,
        baseline=found[0],
        detectors=tuple(found[1:]),
    )


def rates(score: np.ndarray, real: np.ndarray, threshold: float) -> Rates:
    """Of scores (N,), where `real` bool (N,) says which are authentic."""
    counts = {"real": int(real.sum()), "other": int((~real).sum())}
    if not all(counts.values()):
        return Rates(**counts)
    called = score < threshold
    hits = float((called & ~real).sum())
    precision = hits / max(1.0, float(called.sum()))
    recall = hits / counts["other"]
    return Rates(
        **counts,
        accuracy=float((called == ~real).mean()),
        precision=precision,
        recall=recall,
        f1=0.0 if hits == 0 else 2 * precision * recall / (precision + recall),
        auc=auc(score[real], score[~real]),
        eer=eer(score[real], score[~real]).value,
    )


def _table(clips: Sequence[Clip], claims: Sequence[Claim | None]) -> _Table:
    role = np.array([claim.role if claim else "" for claim in claims], dtype=str)
    return _Table(
        claimed=np.array([claim.claimed if claim else "" for claim in claims], dtype=str),
        role=role,
        system=np.array([clip.system for clip in clips], dtype=str),
        real=role == REAL,
        forged=np.array([not clip.is_bonafide for clip in clips], bool),
    )


def _figures(
    one: Scored,
    table: _Table,
    scores: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray | str],
) -> ClaimFigures:
    score = scores[one.label]
    headline = table.real | table.forged
    threshold, origin = one.threshold, one.origin
    if threshold is None:
        threshold = eer(score[table.real], score[table.forged]).threshold
        origin = "the equal error rate on these very pictures: too good by itself"
    people = _people(score, table, headline, threshold)
    over, beats = None, None
    if one.label != BASELINE:
        over = _difference(table, scores, samples, one.label)
        beats = None if over.low is None else over.low > 0
    own = samples[one.label]
    area = auc(score[table.real], score[table.forged])
    roles = sorted(
        set(table.role[~table.real].tolist()), key=lambda name: (name != LOOKALIKE, name)
    )
    return ClaimFigures(
        label=one.label,
        judged=len(score),
        threshold=float(threshold),
        threshold_origin=origin,
        pooled=rates(score[headline], table.real[headline], threshold),
        macro=_macro([row.rates for row in people]),
        auc=_estimate(area, own),
        over=over,
        beats=beats,
        roles=tuple(_against(name, score, table.role == name, table, threshold) for name in roles),
        systems=tuple(
            _against(name, score, table.forged & (table.system == name), table, threshold)
            for name in sorted(set(table.system[table.forged].tolist()))
        ),
        people=people,
    )


def _people(
    score: np.ndarray, table: _Table, headline: np.ndarray, threshold: float
) -> tuple[ClaimRow, ...]:
    rows = []
    for name in sorted(set(table.claimed.tolist())):
        own = headline & (table.claimed == name)
        other = own & table.forged
        refused = float((score[other] < threshold).mean()) if other.any() else None
        found = rates(score[own], table.real[own], threshold)
        rows.append(ClaimRow(name=name, rates=found, refused=refused))
    return tuple(rows)


def _against(
    name: str, score: np.ndarray, other: np.ndarray, table: _Table, threshold: float
) -> ClaimRow:
    chosen = table.real | other
    return ClaimRow(
        name=name,
        rates=rates(score[chosen], table.real[chosen], threshold),
        refused=float((score[other] < threshold).mean()),
    )


def _macro(found: Sequence[Rates]) -> Rates:
    whole = [one for one in found if one.auc is not None]
    means = {
        name: float(np.mean([getattr(one, name) for one in whole])) if whole else None
        for name in _RATES
    }
    return Rates(
        real=sum(one.real for one in whole), other=sum(one.other for one in whole), **means
    )


def _auc_samples(table: _Table, score: np.ndarray, replicates: int, seed: int) -> np.ndarray | str:
    """AUCs on resamples of whole people; in words why there are none."""
    headline = table.real | table.forged
    try:
        return resampled(
            lambda real, fake: (auc(real, fake),),
            score[headline],
            table.real[headline],
            table.claimed[headline],
            replicates,
            seed,
        )[:, 0]
    except UsageError as error:
        return error.what


def _difference(
    table: _Table,
    scores: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray | str],
    label: str,
) -> Estimate:
    areas = [
        auc(scores[name][table.real], scores[name][table.forged]) for name in (label, BASELINE)
    ]
    own, base = samples[label], samples[BASELINE]
    apart = own if isinstance(own, str) else base if isinstance(base, str) else own - base
    return _estimate(areas[0] - areas[1], apart)


def _estimate(value: float, samples: np.ndarray | str) -> Estimate:
    if isinstance(samples, str):
        return Estimate(value=value, note=samples)
    known = samples[np.isfinite(samples)]
    if len(known) < 0.9 * len(samples):
        return Estimate(value=value, note="too few people have both classes")
    low, high = np.quantile(known, (0.025, 0.975)).tolist()
    return Estimate(value=value, low=low, high=high)
