"""Speech on its way to a verdict: windows of many files, scored in common batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.media.audio import AudioFile
from forensics.verdict.case import NO_CREDENTIALS, Case, tags_of
from forensics.verdict.decision import calibrated, decide, in_percent, p_manipulated
from forensics.verdict.explained import on_clip, rounded, segment_explanation
from forensics.verdict.schema import DetectorEntry, Segment, SegmentExplanation, Verdict
from forensics.verdict.sources import printable
from forensics.verdict.speech import Readable, SpeechConfig, Window, WindowStream, pool

if TYPE_CHECKING:
    from forensics.detectors.base import Explanation, SpeechDetector
    from forensics.detectors.calibration import Calibration

log = logging.getLogger(__name__)
_CLIPPED_SHARE = 0.001  # decoders overshoot a little


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
class Hearing:
    """What is found of one file.

    Attributes:
        waiting: windows that are read but not scored.
        read: whether the last window was read.
        suspect: the window that speaks most for manipulation, with its score and explanation.
    """

    detector: SpeechDetector
    explain: bool
    windows: list[ScoredWindow] = field(default_factory=list)
    suspect: tuple[float, Window, Explanation | None] | None = None
    waiting: int = 0
    read: bool = False

    @property
    def settled(self) -> bool:
        return self.read and self.waiting == 0

    def take(self, window: Window, raw: float, explanation: Explanation | None) -> None:
        """Keep what was found in a window."""
        self.waiting -= 1
        attention = None
        if explanation is not None:
            window_s = explanation.seconds_per_step * len(explanation.time)
            attention = on_clip(explanation.time, window_s, window.end_s - window.start_s)
        self.windows.append(
            ScoredWindow(window.start_s, window.end_s, window.weight, raw, attention)
        )
        if self.suspect is None or raw < self.suspect[0]:
            self.suspect = raw, window, explanation

    def verdict(self, case: Case) -> Verdict:
        detector, bundle = self.detector, self.detector.bundle
        threshold = bundle.thresholds[0] if bundle.thresholds else None
        raw = pool(self.windows, np.array([window.raw for window in self.windows]))
        llr = calibrated(raw, bundle.calibration)
        decision = decide(llr, threshold)
        return Verdict(
            label=decision.label,
            p_manipulated=decision.p_manipulated,
            llr=llr,
            reason=decision.reason,
            message=decision.message,
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
                    explanation=self._explanation(case) if self.explain else None,
                ),
            ),
            segments=tuple(_segment(window, bundle.calibration) for window in self.windows),
            not_run=(*case.not_run, *_limits(detector), NO_CREDENTIALS),
            **case.common(),
        )

    def _explanation(self, case: Case) -> SegmentExplanation | None:
        assert self.suspect is not None  # a window was scored
        _, window, found = self.suspect
        if found is None:
            try:
                found = self.detector.explain(window.samples)
            except Exception as error:  # the verdict stands without it
                log.warning("%s: no explanation", printable(case.source.name), exc_info=error)
        if found is None:
            return None
        window_s = self.detector.window_samples / self.detector.sampling_rate
        return segment_explanation(found, window_s, window.start_s, window.end_s)


class SpeechJudge:
    """Scores the windows of files as they are read, so that none is in memory as a whole.

    Args:
        load: gives the detector, the same at every call; its failure ends the whole run.
    """

    def __init__(
        self,
        load: Callable[[], SpeechDetector],
        config: SpeechConfig,
        batch_size: int,
        explain: bool,
    ):
        self._load, self._config = load, config
        self._batch_size, self._explain = batch_size, explain
        self._pending: list[tuple[Case, Hearing, Window]] = []

    def hear(self, case: Case, audio: Readable) -> None:
        """Read all of it and score its windows whenever they fill a batch."""
        detector = self._load()
        case.work = hearing = Hearing(detector, self._explain)
        try:
            self._read(case, hearing, audio)
        except Exception as error:
            case.fail(error)
            self._pending = [entry for entry in self._pending if entry[0] is not case]

    def finish(self) -> None:
        """Score all that waits: in one batch, or file by file once that has failed."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        try:
            self._score(pending)
        except Exception as error:
            cases = list(dict.fromkeys(case for case, _, _ in pending))
            for case in cases:
                try:
                    if len(cases) == 1:
                        raise error
                    self._score([entry for entry in pending if entry[0] is case])
                except Exception as own:
                    case.fail(own)

    def _read(self, case: Case, hearing: Hearing, audio: Readable) -> None:
        detector = hearing.detector
        stream = WindowStream(audio, detector.sampling_rate, detector.window_samples, self._config)
        windows = iter(stream)
        while case.failure is None:
            start = time.perf_counter()
            window = next(windows, None)
            case.decode_s += time.perf_counter() - start
            if window is None:
                break
            hearing.waiting += 1
            self._pending.append((case, hearing, window))
            if len(self._pending) >= self._batch_size:
                self.finish()
        case.input = case.input.model_copy(update={"analysed_s": stream.analysed_s})
        if stream.clipped > _CLIPPED_SHARE:
            case.note(f"{in_percent(stream.clipped)} of the samples exceed full scale: clipped")
        case.not_run, hearing.read = stream.not_run, True

    def _score(self, pending: list[tuple[Case, Hearing, Window]]) -> None:
        detector, start = self._load(), time.perf_counter()
        windows = np.stack([window.samples for _, _, window in pending])
        if self._explain:
            scores, explanations = detector.examine(windows)
        else:
            scores, explanations = detector.score(windows), [None] * len(windows)
        if scores.shape != (len(windows),):
            raise ValueError(f"{detector.name} gave scores of shape {scores.shape}")
        each_s = (time.perf_counter() - start) / len(windows)
        for entry, raw, explanation in zip(pending, scores, explanations, strict=True):
            case, hearing, window = entry
            case.score_s += each_s
            hearing.take(window, float(raw), explanation)
            if not np.isfinite(raw) and case.failure is None:
                case.fail(ValueError(f"{detector.name} gave a score that is not finite"))


def audio_provenance(audio: AudioFile) -> dict[str, Any]:
    """What the file says of its own making: shown, never scored."""
    return {"tags": tags_of(audio.tags), "notes": list(audio.notes)}


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


def _limits(detector: SpeechDetector) -> tuple[str, ...]:
    limits = detector.bundle.config.limits
    return (f"limits of {detector.name}: {limits}",) if limits else ()
