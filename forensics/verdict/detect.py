"""`forensics.detect`: from files to verdicts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forensics.errors import MediaError
from forensics.media.audio import AudioFile, Limits, Waveform
from forensics.media.raw import RawFile
from forensics.verdict.case import Case, answer, not_applicable, provenance_of
from forensics.verdict.loading import DEFAULT_DETECTOR, load_detector, resolve_detector
from forensics.verdict.schema import Input, Verdict
from forensics.verdict.sources import Judgeable, Source, sources
from forensics.verdict.speech import Readable, SpeechConfig, Window, WindowStream

if TYPE_CHECKING:
    from forensics.detectors.base import SpeechDetector

__all__ = ["detect", "detect_iter", "load_detector"]

_CLIPPED_SHARE = 0.001  # decoders overshoot a little


def detect(
    inputs: Judgeable | Iterable[Judgeable],
    detector: str | Path | SpeechDetector = DEFAULT_DETECTOR,
    *,
    weights: str | Path | None = None,
    config: SpeechConfig | None = None,
    limits: Limits | None = None,
    batch_size: int = 16,
    device: str = "cpu",
    threads: int | None = None,
    explain: bool = True,
) -> list[Verdict]:
    """Judge files: are they genuine or manipulated?

    Args:
        inputs: one or many of: a path, folder, glob or `-`; the bytes of a file; a `Waveform` or
            a (samples, sampling rate) pair with samples in [-1, 1] or integer PCM.
        detector: `speech-default`, a registered name, a weights folder, or a loaded detector.
        weights: the weights folder of a registered name.
        config: how speech is cut into windows, and what is too little of it.
        limits: what one file may cost.
        batch_size: windows scored at once, over all files; results do not depend on it.
        device: where to compute, e.g. "cuda"; a loaded detector stays where it is.
        threads: CPU threads of a detector that is not loaded yet; see `load_detector`.
        explain: say what the detector looked at, which some can at the cost of one more window.

    Returns:
        One verdict a file, in order. A file that cannot be judged, for whatever reason, gets
        `not_applicable` with a reason code and never stops the others.

    Raises:
        MissingRequirement: there are no weights.
        UsageError: no such detector, or something that is no input.
        CorpusError: weights that do not match their pinned hash.
    """
    return list(
        detect_iter(
            inputs,
            detector,
            weights=weights,
            config=config,
            limits=limits,
            batch_size=batch_size,
            device=device,
            threads=threads,
            explain=explain,
        )
    )


def detect_iter(
    inputs: Judgeable | Iterable[Judgeable],
    detector: str | Path | SpeechDetector = DEFAULT_DETECTOR,
    *,
    weights: str | Path | None = None,
    config: SpeechConfig | None = None,
    limits: Limits | None = None,
    batch_size: int = 16,
    device: str = "cpu",
    threads: int | None = None,
    explain: bool = True,
) -> Iterator[Verdict]:
    """As `detect`, one verdict after the other as soon as a batch is scored; for long streams.

    Weights are looked for at once, but loaded only when an input proves to be audio.
    """
    if isinstance(detector, str | Path):
        spec = resolve_detector(detector, weights)
        load: Callable[[], SpeechDetector] = cache(partial(spec.load, device, threads))
    else:
        loaded = detector
        load = lambda: loaded  # noqa: E731
    judge = _Judge(load, config or SpeechConfig(), limits or Limits(), batch_size, explain)
    return judge.run(sources(inputs))


class _Judge:
    """Reads inputs in order, scores their windows in common batches, answers in order.

    Windows are scored as they are read, so that a long file is never in memory as a whole.
    """

    def __init__(
        self,
        load: Callable[[], SpeechDetector],
        config: SpeechConfig,
        limits: Limits,
        batch_size: int,
        explain: bool,
    ):
        self._load, self._config, self._limits = load, config, limits
        self._batch_size, self._explain = batch_size, explain
        self._queue: deque[Case] = deque()
        self._pending: list[tuple[Case, Window]] = []

    def run(self, inputs: Iterator[Source]) -> Iterator[Verdict]:
        for source in inputs:
            case = Case(source)
            self._queue.append(case)
            self._read(case)
            yield from self._answers()
        self._score()
        yield from self._answers()

    def _read(self, case: Case) -> None:
        """Open the input and score its windows whenever they fill a batch."""
        start = time.perf_counter()
        with ExitStack() as opened:
            try:
                audio = self._open(case, opened)
            except Exception as error:
                case.fail(error)
                return
            finally:
                case.decode_s = time.perf_counter() - start
            detector = self._load()  # its failure ends the whole run
            try:
                self._score_windows(case, audio, detector)
            except Exception as error:
                case.fail(error)
                self._pending = [pair for pair in self._pending if pair[0] is not case]

    def _score_windows(self, case: Case, audio: Readable, detector: SpeechDetector) -> None:
        stream = WindowStream(audio, detector.sampling_rate, detector.window_samples, self._config)
        windows = iter(stream)
        while case.failure is None:
            start = time.perf_counter()
            window = next(windows, None)
            case.decode_s += time.perf_counter() - start
            if window is None:
                break
            case.waiting += 1
            self._pending.append((case, window))
            if len(self._pending) >= self._batch_size:
                self._score()
        case.input = case.input.model_copy(update={"analysed_s": stream.analysed_s})
        if stream.clipped > _CLIPPED_SHARE:
            case.note(f"{100 * stream.clipped:.2g} % of the samples exceed full scale: clipped")
        case.not_run, case.read = stream.not_run, True

    def _open(self, case: Case, opened: ExitStack) -> Readable:
        """The input, proved to be audio; what is learnt on the way stays in the case."""
        content = case.source.content
        if isinstance(content, Waveform):
            case.modality = "speech"
            case.input = Input(
                sampling_rate=content.sampling_rate, channels=1, duration_s=content.duration_s
            )
            return content
        if content is None:
            raise case.source.problem or ValueError("nothing to judge")
        raw = opened.enter_context(RawFile(content, self._limits.max_bytes))
        case.input = Input(sha256=raw.sha256(), size_bytes=raw.size_bytes)
        if raw.content is not None:
            case.modality = "speech" if raw.content.modality == "audio" else raw.content.modality
            if raw.content.modality != "audio" and raw.content.demuxer is None:
                raise _unsupported(raw.content.modality)
        audio = opened.enter_context(AudioFile(raw, self._limits))
        case.modality = "video" if audio.has_video else "speech"
        case.provenance = provenance_of(audio)
        case.input = Input(
            sha256=case.input.sha256,
            size_bytes=raw.size_bytes,
            container=audio.content.container,
            codec=audio.info.codec,
            sampling_rate=audio.info.sampling_rate,
            channels=audio.info.channels,
            duration_s=audio.info.duration_s,
        )
        if audio.has_video:
            raise _unsupported("video")
        return audio

    def _score(self) -> None:
        """Score all that waits: in one batch, or file by file once that has failed."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        try:
            self._score_together(pending)
        except Exception as error:
            cases = list(dict.fromkeys(case for case, _ in pending))
            for case in cases:
                try:
                    if len(cases) == 1:
                        raise error
                    self._score_together([pair for pair in pending if pair[0] is case])
                except Exception as own:
                    case.fail(own)

    def _score_together(self, pending: list[tuple[Case, Window]]) -> None:
        detector, start = self._load(), time.perf_counter()
        windows = np.stack([window.samples for _, window in pending])
        if self._explain:
            scores, explanations = detector.examine(windows)
        else:
            scores, explanations = detector.score(windows), [None] * len(windows)
        if scores.shape != (len(windows),):
            raise ValueError(f"{detector.name} gave scores of shape {scores.shape}")
        each_s = (time.perf_counter() - start) / len(windows)
        for (case, window), raw, explanation in zip(pending, scores, explanations, strict=True):
            case.score_s += each_s
            case.take(window, float(raw), explanation)
            if not np.isfinite(raw) and case.failure is None:
                case.fail(ValueError(f"{detector.name} gave a score that is not finite"))

    def _answers(self) -> Iterator[Verdict]:
        """The verdicts at the head of the queue that are settled."""
        while self._queue and self._queue[0].settled:
            case = self._queue.popleft()
            if case.failure is None:
                yield answer(case, self._load(), self._explain)
            else:
                yield not_applicable(case)


def _unsupported(modality: str) -> MediaError:
    fix = "extract the audio track to judge it" if modality == "video" else "name an audio file"
    return MediaError("unsupported_modality", f"{modality}s are not judged yet", fix)
