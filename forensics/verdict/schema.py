"""The verdict: one schema for Python, JSON and HTML."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from forensics.detectors.calibration import Threshold

Label = Literal["bonafide", "manipulated", "uncertain", "not_applicable"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Segment(_Frozen):
    """A stretch of the file, in seconds, with its own evidence.

    Attributes:
        raw: the detector's score, higher = bona fide; llr and p_manipulated: None where it is not
            calibrated.
        attention: shares that equal parts of the stretch had in what the detector looked at; they
            sum to 1. None where it cannot tell, or only at a cost.
    """

    start_s: float
    end_s: float
    raw: float
    llr: float | None = None
    p_manipulated: float | None = Field(default=None, ge=0, le=1)
    attention: tuple[float, ...] | None = None


class SegmentExplanation(_Frozen):
    """What a detector looked at in the segment that speaks most for manipulation.

    Shares, each list summing to 1: they say where it looked, not what it found there.

    Attributes:
        start_s, end_s: of the segment.
        seconds_per_step: length of a step of `time`.
        time: over the segment (T,).
        layers: of a layered network, from the input up (L,).
        layer_groups: of groups of neighbouring layers (G,).
        attention: over time for each layer (L, T).
    """

    start_s: float
    end_s: float
    seconds_per_step: float
    time: tuple[float, ...]
    layers: tuple[float, ...] | None = None
    layer_groups: tuple[float, ...] | None = None
    attention: tuple[tuple[float, ...], ...] | None = None


class Region(_Frozen):
    """A connected part of a picture that a detector calls manipulated.

    Attributes:
        box: left, top, right, bottom in pixels of the picture as viewers show it; right and bottom
            lie just outside.
        area: its pixels' share of the picture's.
        score: mean of the heatmap in it, 1 = manipulated; None where there is no heatmap.
    """

    box: tuple[int, int, int, int]
    area: float = Field(ge=0, le=1)
    score: float | None = Field(default=None, ge=0, le=1)


class DetectorEntry(_Frozen):
    """What one detector said; of a fusion the whole first, then each part that it heard.

    Attributes:
        weights_sha256: None for a method without weights.
        runtime: what computed it, in words.
        raw: its uncalibrated score (higher = bona fide), None when it could not judge; llr: None
            where it is not calibrated.
        explanation: what it looked at, where it can tell.
        not_applicable: why it could not judge this input.
        contribution: what a fusion's score would lack without a part, higher = bona fide.
        details: figures behind the score.
        says: the same in words.
        regions: of a part: what it calls manipulated, largest first.
    """

    name: str
    version: str
    weights_sha256: str | None = None
    runtime: str
    raw: float | None = None
    llr: float | None = None
    calibration: str
    explanation: SegmentExplanation | None = None
    not_applicable: str | None = None
    contribution: float | None = None
    details: dict[str, Any] = {}
    says: str | None = None
    regions: tuple[Region, ...] = ()


class IdentityMatch(_Frozen):
    """How alike a face and one enrolled person are, and what was found when it claims to be them.

    Attributes:
        name: of the person; slug: what they are called in files.
        similarity: of the embeddings, in [-1, 1]; threshold: from which it counts as this person.
        p_same: probability that it is this person, for faces of which half are; manipulated or not.
        matched: the similarity reaches the threshold.
        judged: whether this face was judged as a photo of this person; a face is judged as one
            person at most, the likeliest.
        raw, llr, p_manipulated: what came of it, as of a verdict.
        appearance, behaviour: logit of yes less logit of no, where a vision-language model was
            asked whether the person, and whether the scene, fit.
        real: the same, where it was asked whether the face is a real photo of anybody.
    """

    name: str
    slug: str
    similarity: float
    threshold: float
    p_same: float = Field(ge=0, le=1)
    matched: bool
    judged: bool = False
    raw: float | None = None
    llr: float | None = None
    p_manipulated: float | None = Field(default=None, ge=0, le=1)
    appearance: float | None = None
    behaviour: float | None = None
    real: float | None = None


class FaceResult(_Frozen):
    """A face in a picture, as viewers show it.

    Attributes:
        box: left, top, right, bottom in pixels; right and bottom lie just outside.
        view: the part of the picture that was judged for this face; None where it was not.
        landmarks: x and y of the eyes, or of eyes, nose and corners of the mouth.
        confidence: of whatever found it, in [0, 1]; None where it gives none.
        turned: by how many degrees the picture was turned, counter-clockwise, to find it.
        identities: each person that was asked for, the likeliest first.
        not_applicable: why this face was not compared.
    """

    box: tuple[int, int, int, int]
    view: tuple[int, int, int, int] | None = None
    landmarks: tuple[tuple[float, float], ...] | None = None
    confidence: float | None = Field(default=None, ge=0, le=1)
    turned: Literal[0, 90, 180, 270] = 0
    identities: tuple[IdentityMatch, ...] = ()
    not_applicable: str | None = None


class Explanation(_Frozen):
    """Words of a language model, written when the verdict stood: no evidence, and no part of it.

    Attributes:
        text: what it wrote, cut, without control characters.
        argues_for: the answer that it was told to explain.
        grounded: whether anything checks the words against the picture; nothing does.
        problem: "contradicts the verdict" where the words say the opposite.
    """

    text: str
    argues_for: Literal["genuine", "manipulated"]
    model: str
    prompt_version: str
    grounded: Literal[False] = False
    problem: str | None = None


class FrameResult(_Frozen):
    """One judged frame of a video or of a folder of frames.

    Attributes:
        name: of its file; time_s: of a video's frame. The other is None.
        raw, llr, p_manipulated: as of a verdict; None where the frame could not be judged.
        not_applicable: why not.
    """

    name: str | None = None
    time_s: float | None = None
    raw: float | None = None
    llr: float | None = None
    p_manipulated: float | None = Field(default=None, ge=0, le=1)
    not_applicable: str | None = None
    regions: tuple[Region, ...] = ()


class Input(_Frozen):
    """What was judged; for audio `analysed_s` of `duration_s` were heard.

    `width` and `height` are those of the picture as viewers show it, in pixels; `format` is what
    its bytes are, or "pixels" for an array.
    """

    sha256: str | None = None
    size_bytes: int | None = None
    container: str | None = None
    codec: str | None = None
    sampling_rate: int | None = None
    channels: int | None = None
    duration_s: float | None = None
    analysed_s: float | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None


class Verdict(_Frozen):
    """What is said of one input.

    Attributes:
        label: `uncertain` and `not_applicable` are answers too; `reason` says why.
        p_manipulated: in [0, 1], 1 = manipulated; None when not applicable or uncalibrated.
        llr: natural-log likelihood ratio, higher = bona fide; None likewise. What an uncalibrated
            detector says is its raw score, in `detectors`.
        reason: stable code, e.g. `above_threshold`, `between_thresholds`, `too_short`, `not_media`.
        message: one line for people.
        segments: of speech; regions: of a picture, or of the frame that speaks most for
            manipulation, largest first; frames: of a video or a folder of frames.
        faces: where faces were looked for: all that were found, the largest first.
        explanation: words about the verdict; never part of it.
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
    regions: tuple[Region, ...] = ()
    frames: tuple[FrameResult, ...] = ()
    faces: tuple[FaceResult, ...] = ()
    explanation: Explanation | None = None
    input: Input = Input()
    provenance: dict[str, Any] = {}
    not_run: tuple[str, ...] = ()
    timings_s: dict[str, float] = {}
    forensics_version: str
