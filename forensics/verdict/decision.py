"""From a calibrated score to a label. Only numbers decide; no text of a file ever does.

`p_manipulated = 1 / (1 + e^llr)` is the posterior for equal priors: of files of which half are
forged. Where forgeries are rarer, lower it: `llr + log((1 - prior) / prior)` in place of `llr`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.detectors.calibration import Calibration, Threshold
from forensics.detectors.calibration import p_manipulated as _p_manipulated
from forensics.verdict.schema import Label

_WORDS = {
    "speech": ("recordings", "heard"),
    "image": ("pictures", "saw"),
    "video": ("videos", "saw"),
}


@dataclass(frozen=True)
class Decision:
    """A label and why. `reason` is a stable code, `message` one line for people.

    `p_manipulated` is None when there is no calibration: a raw score is no probability.
    """

    label: Label
    p_manipulated: float | None
    reason: str
    message: str


def p_manipulated(llr: float) -> float:
    """LLR (higher = bona fide) → probability of manipulation in [0, 1]; never overflows."""
    return float(_p_manipulated(np.asarray(llr)))


def calibrated(raw: float, calibration: Calibration | None) -> float | None:
    """The LLR of a raw score; None without a calibration: raw scores only order."""
    return None if calibration is None else float(calibration.llr(np.asarray(raw)))


def decide(llr: float | None, threshold: Threshold | None, modality: str = "speech") -> Decision:
    """The label of one file.

    Args:
        llr: what `calibrated` gave, finite; None makes the answer `uncertain`.
        threshold: where labels are cut; None makes the answer `uncertain`.
        modality: for the words of the message.

    Returns:
        `manipulated` above `manipulated_above`, `bonafide` below `bonafide_below`, else
        `uncertain`. Reasons: above_threshold, below_threshold, between_thresholds, not_vouched (no
        alarm, from a detector that may not call anything bona fide), uncalibrated, no_threshold.
    """
    if llr is None:
        message = "the detector is not calibrated: its raw score orders files, no more"
        return Decision("uncertain", None, "uncalibrated", message)
    p = p_manipulated(llr)
    if threshold is None:
        message = "calibrated, but the detector has no threshold to decide by"
        return Decision("uncertain", p, "no_threshold", message)
    low, high = threshold.bonafide_below, threshold.manipulated_above
    if p > high:
        message = (
            f"above {high:.3g}, where {_percent(threshold.target_fpr)} of real files are expected"
        )
        return Decision("manipulated", p, "above_threshold", message)
    if low is None:
        what, perceived = _WORDS[modality]
        message = (
            f"no alarm (p is at most {high:.3g}), but this detector cannot vouch for {what}: "
            f"it misses kinds of forgery that it never {perceived}"
        )
        return Decision("uncertain", p, "not_vouched", message)
    if p < low:
        message = (
            f"below {low:.3g}, where {_percent(threshold.target_fnr)} of forged files are expected"
        )
        return Decision("bonafide", p, "below_threshold", message)
    message = f"p is between {low:.3g} and {high:.3g}: not enough evidence either way"
    return Decision("uncertain", p, "between_thresholds", message)


def in_percent(share: float) -> str:
    """A share that was measured, with two digits: 0.73 %, 6.2 %, 100 %."""
    return f"{float(f'{100 * share:.2g}'):g} %"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
