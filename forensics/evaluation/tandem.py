"""Metrics of a detector that guards a speaker verifier (ASV): min t-DCF, a-DCF, t-EER. numpy only.

Scores are higher = accept. "cm" is the countermeasure, the detector under test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.errors import UsageError
from forensics.evaluation.metrics import Operating, checked_class, error_curve, least


@dataclass(frozen=True)
class AsvRates:
    """Error rates of the verifier at its fixed threshold; the defaults are ASVspoof 5's."""

    miss: float = 0.0188014
    fa_nontarget: float = 0.0188102
    fa_spoof: float = 0.4607083


@dataclass(frozen=True)
class Priors:
    """Shares of the three trial types and costs of errors; the defaults are ASVspoof's."""

    target: float = 0.9405
    nontarget: float = 0.0095
    spoof: float = 0.05
    c_miss: float = 1.0
    c_fa: float = 10.0
    c_fa_spoof: float = 10.0


ASVSPOOF_RATES = AsvRates()
ASVSPOOF_PRIORS = Priors()


def min_tdcf(
    bonafide: np.ndarray,
    spoof: np.ndarray,
    asv: AsvRates = ASVSPOOF_RATES,
    priors: Priors = ASVSPOOF_PRIORS,
) -> Operating:
    """Least normalised tandem detection cost with the verifier held fixed (ASVspoof 2021 form).

    A perfect detector does not reach 0: the verifier's own errors remain (Kinnunen et al., 2020).

    Args:
        bonafide: detector scores float (Nb,), spoof: (Ns,).

    Raises:
        UsageError: a class is absent, a score is not finite, or the verifier is so bad that
            rejecting everybody costs less than using it.
    """
    curve = error_curve(bonafide, spoof)
    floor = (
        priors.target * priors.c_miss * asv.miss + priors.nontarget * priors.c_fa * asv.fa_nontarget
    )
    per_miss = priors.target * priors.c_miss - floor
    per_fa = priors.spoof * priors.c_fa_spoof * asv.fa_spoof
    if per_miss < 0:
        raise UsageError(
            f"a verifier with miss {asv.miss} and false acceptance {asv.fa_nontarget} costs more "
            "than rejecting everybody",
            "pass the rates at the verifier's own threshold",
        )
    costs = (floor + per_miss * curve.frr + per_fa * curve.far) / (floor + min(per_miss, per_fa))
    return least(costs, curve.thresholds)


def a_dcf(
    target: np.ndarray,
    nontarget: np.ndarray,
    spoof: np.ndarray,
    priors: Priors = ASVSPOOF_PRIORS,
) -> Operating:
    """Least architecture-agnostic detection cost of one joint score (Shim et al., 2024).

    Args:
        target: scores of the claimed speaker's own speech float (Nt,), nontarget: of others (Nn,),
            spoof: (Ns,).

    Raises:
        UsageError: a class is absent or a score is not finite.
    """
    frr, far_nontarget, far_spoof, thresholds = _three_class_curve(target, nontarget, spoof)
    miss = priors.target * priors.c_miss
    nontarget_cost, spoof_cost = priors.nontarget * priors.c_fa, priors.spoof * priors.c_fa_spoof
    costs = miss * frr + nontarget_cost * far_nontarget + spoof_cost * far_spoof
    return least(costs / min(miss, nontarget_cost + spoof_cost), thresholds)


def t_eer(
    cm: tuple[np.ndarray, np.ndarray, np.ndarray],
    asv: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> float:
    """Concurrent tandem equal error rate in [0, 1] (Kinnunen et al., 2023).

    Along the pairs of detector and verifier thresholds at which the tandem's miss and false
    acceptance rates are equal (half of the impostors being spoofs), the pair at which the
    share of spoofs among them no longer matters.

    Args:
        cm: detector scores of (target, nontarget, spoof) trials, each float (N,).
        asv: verifier scores of the same three trial types.

    Raises:
        UsageError: a class is absent or a score is not finite.
    """
    bonafide = np.concatenate([checked_class(cm[0], "target"), checked_class(cm[1], "nontarget")])
    curve = error_curve(bonafide, cm[2])
    miss, fa_nontarget, fa_spoof, _ = _three_class_curve(*asv)
    # Never empty: a verifier that accepts everybody is usable.
    usable = (miss < 0.5 * fa_nontarget + 0.5 * fa_spoof) & (fa_spoof > 0)
    miss, fa_nontarget, fa_spoof = miss[usable], fa_nontarget[usable], fa_spoof[usable]

    def excess(at: np.ndarray) -> np.ndarray:
        """Tandem miss rate minus false acceptance rate; never falls as the threshold rises."""
        passed = 1 - curve.frr[at]
        false_accepts = 0.5 * passed * fa_nontarget + 0.5 * curve.far[at] * fa_spoof
        return curve.frr[at] + passed * miss - false_accepts

    # Bisect for the first entry with excess >= 0, for every verifier threshold at once.
    low = np.zeros(len(miss), int)
    high = np.full(len(miss), len(curve.frr) - 1)
    while (low < high).any():
        middle = (low + high) // 2
        reached = excess(middle) >= 0
        high = np.where(reached, middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    before = np.maximum(low - 1, 0)
    at = np.where(np.abs(excess(before)) <= np.abs(excess(low)), before, low)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.abs(fa_nontarget / fa_spoof - curve.far[at] / (1 - curve.frr[at]))
    best = int(np.nanargmin(gap))
    return float(fa_spoof[best] * curve.far[at[best]])


def _three_class_curve(
    target: np.ndarray, nontarget: np.ndarray, spoof: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(miss of targets, acceptance of nontargets, of spoofs, thresholds), (N + 1,) each."""
    sorts = ("target", "nontarget", "spoof")
    classes = [checked_class(s, n) for s, n in zip((target, nontarget, spoof), sorts, strict=True)]
    scores = np.concatenate(classes)
    order = np.argsort(scores, kind="stable")
    kinds = np.repeat(np.arange(3), [len(part) for part in classes])[order]
    rejected = [
        np.concatenate([[0.0], np.cumsum(kinds == kind) / len(part)])
        for kind, part in enumerate(classes)
    ]
    thresholds = np.concatenate([[scores[order[0]] - 0.001], scores[order]])
    return rejected[0], 1 - rejected[1], 1 - rejected[2], thresholds
