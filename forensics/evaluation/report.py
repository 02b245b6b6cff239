"""What an evaluation found: the schema for Python, JSON and HTML."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from forensics.detectors.calibration import Threshold


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(Frozen):
    """A figure with its 95 % interval.

    Attributes:
        value: None when it cannot be had.
        low, high: None when there is no interval.
        note: why one of them is missing.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str | None = None


class Answers(Frozen):
    """What the shipped threshold makes of clips of one label: shares in [0, 1].

    Attributes:
        error: `manipulated` of real clips (false alarms), `bonafide` of forged ones (misses).
        low, high: the 95 % interval of `error`, clustered by group.
    """

    clips: int
    manipulated: float
    uncertain: float
    bonafide: float
    error: float
    low: float
    high: float


class Part(Frozen):
    """One system, kind or source.

    Attributes:
        bonafide, spoof: clips. For a system or kind the bona fide ones are all there are.
        eer: of a source within it; of a system or kind against all bona fide clips.
        eer_within: of a system or kind: the mean over the sources that it occurs in, against the
            bona fide clips of each.
        remark: too few clips, or one label only.
    """

    name: str
    bonafide: int
    spoof: int
    eer: Estimate
    auc: Estimate
    eer_within: float | None = None
    real_answers: Answers | None = None
    forged_answers: Answers | None = None
    remark: str | None = None


class ConditionFigures(Frozen):
    """One detector under one condition, over all clips.

    Attributes:
        eer_within_source: mean of the EERs within the sources that hold both labels.
        eer_ratio: the EER divided by the clean one.
    """

    condition: str
    eer: Estimate
    eer_within_source: Estimate
    min_dcf: Estimate
    act_dcf: Estimate
    cllr: Estimate
    auc: Estimate
    eer_ratio: Estimate | None = None
    real_answers: Answers | None = None
    forged_answers: Answers | None = None


class DetectorFigures(Frozen):
    """One detector. `conditions` begins with the clean clips; the parts are of those.

    Attributes:
        calibration: None: scores are no LLRs, act_dcf and cllr are left out.
    """

    label: str
    name: str
    version: str
    weights_sha256: str | None
    calibration: str | None
    threshold: Threshold | None
    conditions: tuple[ConditionFigures, ...]
    systems: tuple[Part, ...]
    kinds: tuple[Part, ...]
    sources: tuple[Part, ...]


class Difference(Frozen):
    """`first` minus `second` on the same clips under the same resamples (paired)."""

    first: str
    second: str
    condition: str
    figures: dict[str, Estimate]


class NotJudged(Frozen):
    """A clip that has no score; `reason` is a code of the verdict's, or `no_score`."""

    key: str
    detector: str
    condition: str
    reason: str
    message: str


class Settings(Frozen):
    """Everything the figures depend on besides clips and weights."""

    conditions: dict[str, str]
    replicates: int
    level: float
    seed: int
    few: int


class EvaluationReport(Frozen):
    """The result of `forensics.evaluate`.

    Attributes:
        clips: asked for; judged: of those that every detector scored under every condition. All
            figures are over these, so that they can be compared.
        labels, groups, sources: counted over the judged ones.
    """

    material: str
    clips: int
    judged: int
    labels: dict[str, int]
    groups: int
    sources: int
    detectors: tuple[DetectorFigures, ...]
    differences: tuple[Difference, ...]
    not_judged: tuple[NotJudged, ...]
    notes: tuple[str, ...]
    settings: Settings
    seconds: float
    forensics_version: str

    @property
    def exit_code(self) -> int:
        return 3 if self.not_judged else 0
