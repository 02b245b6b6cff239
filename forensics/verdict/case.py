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
from forensics.verdict.decision import calibrated, decide
from forensics.verdict.schema import DetectorEntry, Input, Verdict
from forensics.verdict.sources import Source, printable
from forensics.verdict.speech import CutSpeech, pool, segments

if TYPE_CHECKING:
    from forensics.detectors.base import SpeechDetector

log = logging.getLogger(__name__)
_NO_PROVENANCE = "C2PA: content credentials are not read"
_MAX_TAG = 500


@dataclass
class Case:
    """One input on its way to a verdict."""

    source: Source
    input: Input = field(default_factory=Input)
    provenance: dict[str, Any] = field(default_factory=dict)
    modality: str | None = None
    speech: CutSpeech | None = None
    raw: np.ndarray | None = None
    failure: tuple[str, str] | None = None
    decode_s: float = 0.0
    score_s: float = 0.0

    def fail(self, error: Exception) -> None:
        """Remember why there is no answer; anything but a `MediaError` is a bug of ours."""
        self.speech = None
        if isinstance(error, MediaError):
            what = error.what.removeprefix(f"{self.source.name}: ")
            what = what.removeprefix("<bytes>: ")
            self.failure = error.reason, f"{what}; {error.fix}" if error.fix else what
        else:
            log.warning("%s: unexpected error", printable(self.source.name), exc_info=error)
            self.failure = "internal_error", f"{type(error).__name__}: {error}"

    def note(self, text: str) -> None:
        """Add a remark to the provenance."""
        self.provenance = {**self.provenance, "notes": [*self.provenance.get("notes", ()), text]}

    @property
    def settled(self) -> bool:
        return self.failure is not None or self.raw is not None


def answer(case: Case, detector: SpeechDetector) -> Verdict:
    assert case.speech is not None and case.raw is not None  # settled without a failure
    bundle = detector.bundle
    threshold = bundle.thresholds[0] if bundle.thresholds else None
    raw = pool(case.speech.windows, case.raw)
    llr = calibrated(raw, bundle.calibration)
    decision = decide(llr, threshold, bundle.calibration)
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
                raw=raw,
                llr=llr,
                calibration=str(bundle.calibration) if bundle.calibration else "none",
            ),
        ),
        segments=segments(case.speech.windows, case.raw, bundle.calibration),
        input=case.input,
        provenance=case.provenance,
        not_run=(*case.speech.not_run, *_limits(detector), _NO_PROVENANCE),
        timings_s={"decode": case.decode_s, "score": case.score_s},
        forensics_version=_version(),
    )


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
