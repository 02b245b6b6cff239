"""Speech of any length → windows for a detector → one score.

Windows are as long as the detector's; they do not overlap unless that is asked for, but the last
one is moved back so that it ends with the file. A shorter clip is repeated until it fills a
window, the convention since AASIST (Jung et al., 2022). A file's score is the mean of its windows'
scores, each weighted by the seconds of sound that it adds: every audible second counts once, and
nothing depends on what else is scored in the same batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from forensics.errors import MediaError
from forensics.media.audio import Waveform

_FRAME_S = 0.02
_MARGIN_S = 0.05  # around a window while it is resampled, so that its edges ring like the rest


class Readable(Protocol):
    """An `AudioFile` or a `Waveform`."""

    @property
    def sampling_rate(self) -> int: ...

    @property
    def duration_s(self) -> float: ...

    def read(self, start_s: float = 0.0, duration_s: float | None = None) -> Waveform: ...


class SpeechConfig(BaseModel):
    """How files are cut and what is too little to judge.

    Attributes:
        hop_s: seconds between windows, less than a window's for windows that overlap; None for a
            window's length.
        max_windows: of longer files that many windows are scored, evenly spread; None for all.
        min_speech_s: sound that a file must hold.
        min_window_speech_s: sound that a window must hold to be scored.
        silence_dbfs: frames of 20 ms with a lower RMS, offset removed, are silent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hop_s: float | None = Field(default=None, gt=0)
    max_windows: int | None = Field(default=None, ge=1)
    min_speech_s: float = Field(default=0.5, ge=0)
    min_window_speech_s: float = Field(default=0.1, ge=0)
    silence_dbfs: float = Field(default=-60.0, lt=0)


@dataclass(frozen=True)
class Window:
    """float32 (window_samples,) at the detector's rate, and the stretch of the file it shows.

    `weight` is the sound in it that earlier windows did not hold, in seconds.
    """

    start_s: float
    end_s: float
    samples: np.ndarray
    weight: float


@dataclass(frozen=True)
class CutSpeech:
    """What is to be scored of one file: at least one window.

    Attributes:
        analysed_s: seconds that the windows cover.
        clipped: share of samples beyond full scale, which were clipped.
        not_run: what is not scored, and why.
    """

    windows: tuple[Window, ...]
    analysed_s: float
    clipped: float
    not_run: tuple[str, ...]


def window_starts(total: int, window: int, hop: int, max_windows: int | None = None) -> list[int]:
    """First samples of the windows over `total` samples, ascending; the last ends with the file
    unless only one of many may be scored."""
    if total <= window:
        return [0]
    starts = list(range(0, total - window + 1, hop))
    if starts[-1] != total - window:
        starts.append(total - window)
    if max_windows is not None and len(starts) > max_windows:
        spread = np.linspace(0, len(starts) - 1, max_windows).round().astype(int)
        starts = [starts[i] for i in spread]
    return starts


class WindowStream:
    """The windows of a file that hold sound, one after the other; once over them.

    No more of the file is in memory than one window.

    Attributes:
        analysed_s, clipped, not_run: as in `CutSpeech`, of what has been read so far.
    """

    def __init__(
        self, audio: Readable, sampling_rate: int, window_samples: int, config: SpeechConfig
    ):
        self._audio, self._config = audio, config
        self._rate, self._window = sampling_rate, window_samples
        self._total = round(audio.duration_s * sampling_rate)
        hop_s = config.hop_s
        hop = window_samples if hop_s is None else max(1, round(hop_s * sampling_rate))
        every = window_starts(self._total, window_samples, hop)
        self._starts = window_starts(self._total, window_samples, hop, config.max_windows)
        self._every, self._scored = len(every), 0
        self._read = self._clipped = self._analysed = 0

    def __iter__(self) -> Iterator[Window]:
        """
        Raises:
            MediaError: what reading raises; at the end `silent`, `too_short` (too little sound).
        """
        covered, sound_s, kept_s = 0, 0.0, 0.0
        for start in self._starts:
            part = _part(self._audio, start, min(self._window, self._total), self._rate)
            self._clipped += int((np.abs(part) > 1.0).sum())
            self._read += len(part)
            known = max(0, covered - start)
            active = active_frames(part, self._rate, self._config.silence_dbfs)
            weight = _FRAME_S * float(active[round(known / (_FRAME_S * self._rate)) :].sum())
            covered = start + len(part)
            sound_s += weight
            if weight == 0 or _FRAME_S * active.sum() < self._config.min_window_speech_s:
                continue
            self._analysed += len(part) - known
            self._scored += 1
            kept_s += weight
            samples = np.resize(np.clip(part, -1.0, 1.0), self._window)  # repeats what is shorter
            yield Window(start / self._rate, covered / self._rate, samples, weight)
        _check_enough(sound_s, kept_s, self._config)

    @property
    def analysed_s(self) -> float:
        return self._analysed / self._rate

    @property
    def clipped(self) -> float:
        return self._clipped / max(self._read, 1)

    @property
    def not_run(self) -> tuple[str, ...]:
        return _not_run(self._every, len(self._starts), self._scored)


def cut(
    audio: Readable, sampling_rate: int, window_samples: int, config: SpeechConfig
) -> CutSpeech:
    """All windows of a file at once.

    Raises:
        MediaError: as `WindowStream` does.
    """
    stream = WindowStream(audio, sampling_rate, window_samples, config)
    return CutSpeech(tuple(stream), stream.analysed_s, stream.clipped, stream.not_run)


def active_frames(samples: np.ndarray, sampling_rate: int, silence_dbfs: float) -> np.ndarray:
    """float32 (T,) → bool (frames of 20 ms,): whether each is louder than `silence_dbfs`."""
    size = round(_FRAME_S * sampling_rate)
    samples = samples.astype(np.float64) - samples.mean(dtype=np.float64)
    padded = np.pad(samples, (0, -len(samples) % size))
    power = np.square(padded.reshape(-1, size)).mean(axis=1)
    return power > 10 ** (silence_dbfs / 10)


class Weighted(Protocol):
    """A window, or what is kept of one."""

    @property
    def weight(self) -> float: ...


def pool(windows: Sequence[Weighted], raw: np.ndarray) -> float:
    """Raw scores float64 (windows,) → the file's raw score: their weighted mean."""
    weights = np.array([window.weight for window in windows])
    return float(np.average(raw, weights=weights))


def _part(audio: Readable, start: int, count: int, sampling_rate: int) -> np.ndarray:
    """`count` samples from `start`, both at `sampling_rate`; silence where the file is shorter."""
    if audio.sampling_rate == sampling_rate:
        samples = audio.read(start / sampling_rate, count / sampling_rate).samples
    else:
        margin = round(_MARGIN_S * sampling_rate)
        lead = min(start, margin)
        around = audio.read((start - lead) / sampling_rate, (lead + count + margin) / sampling_rate)
        samples = around.resampled(sampling_rate).samples[lead : lead + count]
    return np.pad(samples, (0, count - len(samples)))  # rounding may lack a sample


def _check_enough(sound_s: float, kept_s: float, config: SpeechConfig) -> None:
    if sound_s == 0:
        raise MediaError(
            "silent", f"no sound above {config.silence_dbfs:.0f} dBFS", "record it louder"
        )
    if kept_s == 0 or kept_s < config.min_speech_s:
        raise MediaError(
            "too_short",
            f"{sound_s:.2f} s of sound, {config.min_speech_s:.2f} s are needed",
            "send a longer clip",
        )


def _not_run(every: int, chosen: int, scored: int) -> tuple[str, ...]:
    notes = []
    if chosen < every:
        notes.append(f"windows: {chosen} of {every}, evenly spread, were looked at")
    if scored < chosen:
        notes.append(f"windows: {chosen - scored} of {chosen} are silent and were not scored")
    return tuple(notes)
