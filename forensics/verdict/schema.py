"""The verdict: one schema for Python, JSON and HTML."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from forensics.detectors.calibration import Threshold

Label = Literal["bonafide", "manipulated", "uncertain", "not_applicable"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Segment(_Frozen):
    """A stretch of the file, in seconds, with its own evidence."""

    start_s: float
    end_s: float
    llr: float
    p_manipulated: float


class DetectorEntry(_Frozen):
    """What one detector said. `raw` is its uncalibrated score (higher = bona fide)."""

    name: str
    version: str
    weights_sha256: str
    raw: float
    llr: float
    calibration: str


class Input(_Frozen):
    """The file that was judged; for audio `analysed_s` of `duration_s` were heard."""

    sha256: str | None = None
    size_bytes: int | None = None
    container: str | None = None
    codec: str | None = None
    sampling_rate: int | None = None
    channels: int | None = None
    duration_s: float | None = None
    analysed_s: float | None = None


class Verdict(_Frozen):
    """What is said of one input.

    Attributes:
        label: `uncertain` and `not_applicable` are answers too; `reason` says why.
        p_manipulated: in [0, 1], 1 = manipulated; None when not applicable.
        llr: natural-log likelihood ratio, higher = bona fide; None when not applicable.
        reason: stable code, e.g. `above_threshold`, `between_thresholds`, `too_short`, `not_media`.
        message: one line for people.
        provenance: what the file says of itself; never part of the score.
        not_run: what was not done, and why.
    """

    path: str
    label: Label
    p_manipulated: float | None = Field(default=None, ge=0, le=1)
    llr: float | None = None
    reason: str
    message: str
    modality: str | None = None
    threshold: Threshold | None = None
    detectors: tuple[DetectorEntry, ...] = ()
    segments: tuple[Segment, ...] = ()
    input: Input = Input()
    provenance: dict[str, Any] = {}
    not_run: tuple[str, ...] = ()
    timings_s: dict[str, float] = {}
    forensics_version: str
