"""What a detector's raw scores mean: the map to log-likelihood ratios, and where labels are cut.

Scores and LLRs are natural-log and higher = bona fide. `forensics/evaluation/calibration.py` fits
both.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Calibration(_Frozen):
    """`llr = scale * raw + offset`, and what that was fitted on.

    Attributes:
        scale: positive: a calibration never turns a detector round.
        fitted_on: the scores it was fitted on, in words: data set, split, unit (window or file).
    """

    scale: float = Field(gt=0)
    offset: float
    n_bonafide: int = Field(gt=0)
    n_spoof: int = Field(gt=0)
    fitted_on: str

    def llr(self, raw: np.ndarray) -> np.ndarray:
        """Raw scores (any shape) → log-likelihood ratios, float64 of that shape."""
        return self.scale * np.asarray(raw, np.float64) + self.offset

    def __str__(self) -> str:
        return (
            f"llr = {self.scale:.4g} * raw {self.offset:+.4g}, fitted on {self.fitted_on} "
            f"({self.n_bonafide} bona fide, {self.n_spoof} spoof)"
        )


class Threshold(_Frozen):
    """Where the labels are cut, and how that was found.

    `manipulated_above` and `bonafide_below` bound `p_manipulated`; between them is `uncertain`.
    `bonafide_below` None: the detector was not shown to find forgeries it never heard, so it may
    raise an alarm but not vouch for a recording.
    """

    bonafide_below: float | None = Field(ge=0, le=1)
    manipulated_above: float = Field(ge=0, le=1)
    target_fpr: float = Field(gt=0, lt=1, description="share of bona fide called manipulated")
    target_fnr: float = Field(gt=0, lt=1, description="share of spoof called bona fide")
    n_bonafide: int
    n_spoof: int
    measured_fpr: float
    measured_fpr_interval: tuple[float, float]
    origin: str


def p_manipulated(llr: np.ndarray) -> np.ndarray:
    """LLRs → probability of manipulation in [0, 1] for equal priors: `1 / (1 + e^llr)`."""
    return np.exp(-np.logaddexp(0.0, np.asarray(llr, np.float64)))
