"""Detection metrics on saved scores: EER, DCFs, Cllr, AUC. numpy only.

Scores are higher = bona fide. At a threshold t a bona fide item with s < t is a miss (its share is
`frr`), a spoof with s >= t a false acceptance (`far`). Definitions and tie rules are those of the
ASVspoof 5 evaluation plan (Wang et al., 2024); see `tandem` for metrics that need ASV scores.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forensics.errors import UsageError


class Operating(NamedTuple):
    """A metric's value, and the threshold at which it is reached."""

    value: float
    threshold: float


class ErrorCurve(NamedTuple):
    """`frr` and `far`, float64 (N + 1,), at `thresholds` in rising order."""

    frr: np.ndarray
    far: np.ndarray
    thresholds: np.ndarray


def checked_scores(bonafide: np.ndarray, spoof: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 (N,).

    Raises:
        UsageError: a class is absent, an array is not one-dimensional, a score is not finite.
    """
    return checked_class(bonafide, "bona fide"), checked_class(spoof, "spoof")


def checked_class(scores: np.ndarray, sort: str) -> np.ndarray:
    """One class's scores as float64 (N,); see `checked_scores`."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or len(scores) == 0:
        raise UsageError(
            f"there are no {sort} scores (shape {scores.shape})",
            "a metric needs scores of both classes",
        )
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise UsageError(f"{bad} {sort} scores are NaN or infinite", "score those items again")
    return scores


def split_by_label(scores: np.ndarray, is_bonafide: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N,) and bool (N,) → (bonafide, spoof), checked as in `checked_scores`."""
    scores, is_bonafide = np.asarray(scores, np.float64), np.asarray(is_bonafide, bool)
    if scores.shape != is_bonafide.shape:
        raise UsageError(f"{scores.size} scores but {is_bonafide.size} labels", "pass one per item")
    return checked_scores(scores[is_bonafide], scores[~is_bonafide])


def error_curve(bonafide: np.ndarray, spoof: np.ndarray) -> ErrorCurve:
    """Error rates at every score, and just below the least.

    An entry's threshold is the highest score that it rejects. Among equal scores bona fide ones are
    rejected first, so ties count against the detector.
    """
    bonafide, spoof = checked_scores(bonafide, spoof)
    scores = np.concatenate([bonafide, spoof])
    order = np.argsort(scores, kind="stable")
    is_bonafide = order < len(bonafide)
    frr = np.concatenate([[0.0], np.cumsum(is_bonafide) / len(bonafide)])
    far = np.concatenate([[1.0], 1.0 - np.cumsum(~is_bonafide) / len(spoof)])
    thresholds = np.concatenate([[scores[order[0]] - 0.001], scores[order]])
    return ErrorCurve(frr, far, thresholds)


def eer(bonafide: np.ndarray, spoof: np.ndarray) -> Operating:
    """Equal error rate in [0, 1]: mean of frr and far where they lie nearest (the first such).

    Neither interpolated nor of the convex hull, as in ASVspoof.
    """
    return eer_of(error_curve(bonafide, spoof))


def eer_of(curve: ErrorCurve) -> Operating:
    """`eer` from a curve that is already there."""
    nearest = int(np.argmin(np.abs(curve.frr - curve.far)))
    value = (curve.frr[nearest] + curve.far[nearest]) / 2
    return Operating(float(value), float(curve.thresholds[nearest]))


def min_dcf(
    bonafide: np.ndarray,
    spoof: np.ndarray,
    p_spoof: float = 0.05,
    c_miss: float = 1.0,
    c_fa: float = 10.0,
) -> Operating:
    """Least normalised detection cost over all thresholds; 1 = no better than a constant answer."""
    return min_dcf_of(error_curve(bonafide, spoof), p_spoof, c_miss, c_fa)


def min_dcf_of(
    curve: ErrorCurve, p_spoof: float = 0.05, c_miss: float = 1.0, c_fa: float = 10.0
) -> Operating:
    """`min_dcf` from a curve that is already there."""
    return least(_dcf(curve.frr, curve.far, p_spoof, c_miss, c_fa), curve.thresholds)


def act_dcf(
    bonafide: np.ndarray,
    spoof: np.ndarray,
    p_spoof: float = 0.05,
    c_miss: float = 1.0,
    c_fa: float = 10.0,
) -> float:
    """Normalised detection cost at the Bayes threshold: scores must be LLRs; may exceed 1."""
    bonafide, spoof = checked_scores(bonafide, spoof)
    threshold = math.log(c_fa * p_spoof / (c_miss * (1 - p_spoof)))
    frr, far = (bonafide < threshold).mean(keepdims=True), (spoof >= threshold).mean(keepdims=True)
    return float(_dcf(frr, far, p_spoof, c_miss, c_fa)[0])


def cllr(bonafide: np.ndarray, spoof: np.ndarray) -> float:
    """Cost of log-likelihood ratios, in bits; 1 = uninformative (Brümmer and du Preez, 2006)."""
    bonafide, spoof = checked_scores(bonafide, spoof)
    nats = np.logaddexp(0.0, -bonafide).mean() + np.logaddexp(0.0, spoof).mean()
    return float(nats / (2 * math.log(2)))


def auc(bonafide: np.ndarray, spoof: np.ndarray) -> float:
    """Probability that a bona fide item scores above a spoof one; ties count half."""
    bonafide, spoof = checked_scores(bonafide, spoof)
    ordered = np.sort(spoof)
    below = np.searchsorted(ordered, bonafide, "left")
    upto = np.searchsorted(ordered, bonafide, "right")
    return float((below + upto).mean() / (2 * len(spoof)))


def least(costs: np.ndarray, thresholds: np.ndarray) -> Operating:
    """The first least cost and its threshold."""
    at = int(np.argmin(costs))
    return Operating(float(costs[at]), float(thresholds[at]))


def _dcf(
    frr: np.ndarray, far: np.ndarray, p_spoof: float, c_miss: float, c_fa: float
) -> np.ndarray:
    miss, accept = c_miss * (1 - p_spoof), c_fa * p_spoof
    return (miss * frr + accept * far) / min(miss, accept)
