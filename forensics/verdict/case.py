"""One input on its way to a verdict, and the verdict at its end."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.errors import MediaError
from forensics.media.audio import AudioFile
from forensics.verdict.decision import calibrated, decide, p_manipulated
from forensics.verdict.explained import on_clip, rounded, segment_explanation
from forensics.verdict.schema import DetectorEntry, Input, Segment, SegmentExplanation, Verdict
from forensics.verdict.sources import Source, printable
from forensics.verdict.speech import Window, pool

if TYPE_CHECKING:
    from forensics.detectors.base import Explanation, SpeechDetector
    from forensics.detectors.calibration import Calibration

log = logging.getLogger(__name__)
_NO_PROVENANCE = "C2PA: content credentials are not read"
_MAX_TAG = 500


@dataclass(frozen=True)
class ScoredWindow:
    """What is kept of a window: all but its samples.

    Attributes:
        attention: float64 (n,) over the stretch that it shows.
    """

    start_s: float
    end_s: float
    weight: float
    raw: float
    attention: np.ndarray | None


@dataclass(eq=False)
class Case:
    """One input on its way to a verdict; compared by identity.

    Attributes:
        waiting: windows that are read but not scored.
        read: whether the last window was read.
        suspect: the window that speaks most for manipulation, with its score and explanation.
    """

    source: Source
    input: Input = field(default_factory=Input)
    provenance: dict[str, Any] = field(default_factory=dict)
    modality: str | None = None
    not_run: tuple[str, ...] = ()
    windows: list[ScoredWindow] = field(default_factory=list)
    suspect: tuple[float, Window, Explanation | None] | None = None
    waiting: int = 0
    read: bool = False
    failure: tuple[str, str] | None = None
    decode_s: float = 0.0
    score_s: float = 0.0

    def fail(self, error: Exception) -> None:
        """Remember why there is no answer; anything but a `MediaError` is a bug of ours."""
        self.windows, self.suspect = [], None
        if isinstance(error, MediaError):
            what = error.what.removeprefix(f"{self.source.name}: ")
            what = what.removeprefix("<bytes>: ")
            self.failure = error.reason, f"{what}; {error.fix}" if error.fix else what
        else:
            log.warning("%s: unexpected error", printable(self.source.name), exc_info=error)
            self.failure = "internal_error", f"{type(error).__name__}: {error}"

    def take(self, window: Window, raw: float, explanation: Explanation | None) -> None:
        """Keep what was found in a window."""
        self.waiting -= 1
        if self.failure is not None:
            return
        attention = None
        if explanation is not None:
            window_s = explanation.seconds_per_step * len(explanation.time)
            attention = on_clip(explanation.time, window_s, window.end_s - window.start_s)
        self.windows.append(
            ScoredWindow(window.start_s, window.end_s, window.weight, raw, attention)
        )
        if self.suspect is None or raw < self.suspect[0]:
            self.suspect = raw, window, explanation

    def note(self, text: str) -> None:
        """Add a remark to the provenance."""
        self.provenance = {**self.provenance, "notes": [*self.provenance.get("notes", ()), text]}

    @property
    def settled(self) -> bool:
        return self.failure is not None or (self.read and self.waiting == 0)


def answer(case: Case, detector: SpeechDetector, explain: bool) -> Verdict:
    """The verdict on a case that was read and scored without a failure."""
    bundle = detector.bundle
    threshold = bundle.thresholds[0] if bundle.thresholds else None
    raw = pool(case.windows, np.array([window.raw for window in case.windows]))
    llr = calibrated(raw, bundle.calibration)
    decision = decide(llr, threshold)
    return Verdict(
        path=printable(case.source.name),
        label=decision.label,
        p_manipulated=decision.p_manipulated,
        llr=llr,
        reason=decision.reason,
        message=decision.message,
        modality=case.modality,
        threshold=threshold,
        detectors=(
            DetectorEntry(
                name=detector.name,
                version=detector.version,
                weights_sha256=bundle.weights_sha256,
                runtime=detector.runtime,
                raw=raw,
                llr=llr,
                calibration=str(bundle.calibration) if bundle.calibration else "none",
                explanation=_explanation(case, detector) if explain else None,
            ),
        ),
        segments=tuple(_segment(window, bundle.calibration) for window in case.windows),
        input=case.input,
        provenance=case.provenance,
        not_run=(*case.not_run, *_limits(detector), _NO_PROVENANCE),
        timings_s={"decode": case.decode_s, "score": case.score_s},
        forensics_version=_version(),
    )


def _segment(window: ScoredWindow, calibration: Calibration | None) -> Segment:
    llr = calibrated(window.raw, calibration)
    return Segment(
        start_s=window.start_s,
        end_s=window.end_s,
        raw=window.raw,
        llr=llr,
        p_manipulated=None if llr is None else p_manipulated(llr),
        attention=None if window.attention is None else rounded(window.attention),
    )


def _explanation(case: Case, detector: SpeechDetector) -> SegmentExplanation | None:
    assert case.suspect is not None  # a window was scored
    _, window, found = case.suspect
    if found is None:
        try:
            found = detector.explain(window.samples)
        except Exception as error:  # the verdict stands without it
            log.warning("%s: no explanation", printable(case.source.name), exc_info=error)
    if found is None:
        return None
    window_s = detector.window_samples / detector.sampling_rate
    return segment_explanation(found, window_s, window.start_s, window.end_s)


def not_applicable(case: Case) -> Verdict:
    assert case.failure is not None
    reason, message = case.failure
    return Verdict(
        path=printable(case.source.name),
        label="not_applicable",
        reason=reason,
        message=printable(message),
        modality=case.modality,
        input=case.input,
        provenance=case.provenance,
        not_run=(f"detectors: {reason}", _NO_PROVENANCE),
        timings_s={"decode": case.decode_s, "score": case.score_s},
        forensics_version=_version(),
    )


def provenance_of(audio: AudioFile) -> dict[str, Any]:
    """What the file says of its own making: shown, never scored."""
    tags = {printable(k): printable(v)[:_MAX_TAG] for k, v in sorted(audio.tags.items())}
    return {"tags": tags, "notes": list(audio.notes)}


def _limits(detector: SpeechDetector) -> tuple[str, ...]:
    limits = detector.bundle.config.limits
    return (f"limits of {detector.name}: {limits}",) if limits else ()


@cache
def _version() -> str:
    try:
        return version("forensics")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
