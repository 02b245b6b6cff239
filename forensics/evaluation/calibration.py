"""From raw scores to log-likelihood ratios, and from those to thresholds with known error rates.

Scores and LLRs are natural-log and higher = bona fide. Fit both steps on scores that the detector
was not trained on.
"""

from __future__ import annotations

import math

import numpy as np

from forensics.detectors.calibration import Calibration, Threshold, p_manipulated
from forensics.errors import UsageError
from forensics.evaluation.intervals import clopper_pearson
from forensics.evaluation.metrics import checked_scores


def fit_affine(bonafide: np.ndarray, spoof: np.ndarray, fitted_on: str) -> Calibration:
    """Fit scale and offset by logistic regression with both classes weighing the same.

    Targets are smoothed to (n + 1) / (n + 2) (Platt, 1999): classes that never overlap would
    otherwise drive the scale to infinity, and n scores cannot support an LLR far beyond ln(n).

    Args:
        bonafide: raw scores float (Nb,), spoof: (Ns,); held out from training.

    Raises:
        UsageError: a class is absent, a score is not finite, or the scores do not grow towards
            bona fide, so that no positive scale fits them.
    """
    bonafide, spoof = checked_scores(bonafide, spoof)
    scores = np.concatenate([bonafide, spoof])
    centre, spread = scores.mean(), scores.std()
    if spread == 0:
        raise UsageError("all scores are equal: nothing can be calibrated", "check the detector")
    design = np.stack([(scores - centre) / spread, np.ones_like(scores)], axis=1)
    counts = np.array([len(bonafide), len(spoof)])
    is_bonafide = np.arange(len(scores)) < len(bonafide)
    smoothed = (counts + 1) / (counts + 2)
    targets = np.where(is_bonafide, smoothed[0], 1 - smoothed[1])
    weights = np.where(is_bonafide, 0.5 / counts[0], 0.5 / counts[1])
    slope, intercept = _logistic_newton(design, targets, weights)
    if slope <= 0:
        raise UsageError(
            f"the scores do not separate the classes in the right direction (slope {slope:.3g})",
            "higher must mean bona fide; check the class order, or use a better detector",
        )
    return Calibration(
        scale=slope / spread,
        offset=intercept - slope * centre / spread,
        n_bonafide=len(bonafide),
        n_spoof=len(spoof),
        fitted_on=fitted_on,
    )


def _logistic_newton(
    design: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """Minimise the weighted cross-entropy of `sigmoid(design @ w)`: Newton with halved steps."""

    def loss(w: np.ndarray) -> float:
        z = design @ w
        return float(weights @ (np.logaddexp(0.0, z) - targets * z))

    w = np.zeros(design.shape[1])
    value = loss(w)
    for _ in range(100):
        q = 1 / (1 + np.exp(-np.clip(design @ w, -700, 700)))
        gradient = design.T @ (weights * (q - targets))
        if np.abs(gradient).max() < 1e-10:
            break
        curvature = (design * (weights * q * (1 - q))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(w)), gradient)
        size = 1.0
        while (tried := loss(w - size * step)) > value and size > 1e-10:
            size /= 2
        w, value = w - size * step, min(tried, value)
    return float(w[0]), float(w[1])


def fit_threshold(
    bonafide_llr: np.ndarray,
    spoof_llr: np.ndarray,
    target_fpr: float,
    target_fnr: float,
    origin: str,
) -> Threshold:
    """Cut `p_manipulated` where fresh scores of the same kind keep both error rates in expectation.

    `manipulated_above` is the k-th least of n bona fide LLRs, k = floor(target * (n + 1)): a fresh
    exchangeable score lies beyond it with a probability of at most k / (n + 1) (split conformal
    prediction, Vovk et al., 2005). `bonafide_below` is found likewise from the spoofs. When the
    classes lie so far apart that the two cuts cross, both move to their midpoint and nothing is
    uncertain.

    Args:
        bonafide_llr: calibrated scores (Nb,), spoof_llr: (Ns,), one per independent item.
        target_fpr: wanted share of bona fide called manipulated, in (0, 1).
        target_fnr: wanted share of spoof called bona fide, in (0, 1).
        origin: where the scores come from, in words.

    Returns:
        The threshold; `measured_fpr` is counted on these same scores, with its Clopper-Pearson
        95 % interval.

    Raises:
        UsageError: a class is absent, a score is not finite, a target is outside (0, 1), or there
            are too few scores for the target.
    """
    bonafide_llr, spoof_llr = checked_scores(bonafide_llr, spoof_llr)
    manipulated_cut = _tail_score(bonafide_llr, target_fpr, "bona fide")
    bonafide_cut = -_tail_score(-spoof_llr, target_fnr, "spoof")
    if bonafide_cut < manipulated_cut:
        bonafide_cut = manipulated_cut = (bonafide_cut + manipulated_cut) / 2
    above = float(p_manipulated(np.array(manipulated_cut)))
    false_alarms = int((p_manipulated(bonafide_llr) > above).sum())
    return Threshold(
        bonafide_below=float(p_manipulated(np.array(bonafide_cut))),
        manipulated_above=above,
        target_fpr=target_fpr,
        target_fnr=target_fnr,
        n_bonafide=len(bonafide_llr),
        n_spoof=len(spoof_llr),
        measured_fpr=false_alarms / len(bonafide_llr),
        measured_fpr_interval=clopper_pearson(false_alarms, len(bonafide_llr)),
        origin=origin,
    )


def fit_where_possible(
    bonafide: np.ndarray, spoof: np.ndarray, target_fpr: float, target_fnr: float, fitted_on: str
) -> tuple[Calibration | None, Threshold | None]:
    """Both of them from raw scores, (Nb,) and (Ns,), or None for what they do not allow: a
    calibration where a class is absent or they are no better than chance, a threshold where they
    are too few for such rates."""
    try:
        calibration = fit_affine(bonafide, spoof, fitted_on)
    except UsageError:
        return None, None
    llr = calibration.llr(bonafide), calibration.llr(spoof)
    try:
        return calibration, fit_threshold(*llr, target_fpr, target_fnr, fitted_on)
    except UsageError:
        return calibration, None


def _tail_score(scores: np.ndarray, target: float, sort: str) -> float:
    """The score below which a fresh one falls with a probability of at most `target`."""
    if not 0 < target < 1:
        raise UsageError(f"a target error rate of {target} is not between 0 and 1", "try 0.05")
    rank = math.floor(target * (len(scores) + 1) + 1e-9)
    if rank < 1:
        raise UsageError(
            f"{len(scores)} {sort} scores are too few for a target error rate of {target:g}",
            f"score at least {math.ceil(1 / target) - 1} {sort} items, or raise the target",
        )
    return float(np.partition(scores, rank - 1)[rank - 1])
