"""Speech of any length → windows for a detector → one score.

Windows are as long as the detector's and do not overlap; the last one is moved back so that it
ends with the file. A shorter clip is repeated until it fills a window, the convention since AASIST
(Jung et al., 2022). A file's score is the mean of its windows' scores, each weighted by the
seconds of sound that it adds: every audible second counts once, and nothing depends on what else
is scored in the same batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from forensics.detectors.calibration import Calibration
from forensics.errors import MediaError
from forensics.media.audio import Waveform
from forensics.verdict.decision import calibrated, p_manipulated
from forensics.verdict.schema import Segment

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
        hop_s: seconds between windows; None for a window's length.
        max_windows: of longer files that many windows are scored, evenly spread.
        min_speech_s: sound that a file must hold.
        min_window_speech_s: sound that a window must hold to be scored.
        silence_dbfs: frames of 20 ms with a lower RMS, offset removed, are silent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hop_s: float | None = Field(default=None, gt=0)
    max_windows: int = Field(default=64, ge=1)
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


def window_starts(total: int, window: int, hop: int, max_windows: int) -> list[int]:
    """First samples of the windows over `total` samples, ascending; the last ends with the file
    unless only one of many may be scored."""
    if total <= window:
        return [0]
    starts = list(range(0, total - window + 1, hop))
    if starts[-1] != total - window:
        starts.append(total - window)
    if len(starts) > max_windows:
        spread = np.linspace(0, len(starts) - 1, max_windows).round().astype(int)
        starts = [starts[i] for i in spread]
    return starts


def cut(
    audio: Readable, sampling_rate: int, window_samples: int, config: SpeechConfig
) -> CutSpeech:
    """Read the windows of a file, never more of it at once than one.

    Raises:
        MediaError: `silent`, `too_short` (too little sound), and what reading raises.
    """
    total = round(audio.duration_s * sampling_rate)
    hop = window_samples if config.hop_s is None else max(1, round(config.hop_s * sampling_rate))
    every = window_starts(total, window_samples, hop, max(total, 1))
    starts = window_starts(total, window_samples, hop, config.max_windows)
    windows: list[Window] = []
    covered = analysed = clipped = heard = 0
    sound_s = 0.0
    for start in starts:
        part = _part(audio, start, min(window_samples, total), sampling_rate)
        clipped += int((np.abs(part) > 1.0).sum())
        heard += len(part)
        known = max(0, covered - start)
        active = active_frames(part, sampling_rate, config.silence_dbfs)
        weight = _FRAME_S * float(active[round(known / (_FRAME_S * sampling_rate)) :].sum())
        covered = start + len(part)
        sound_s += weight
        if weight == 0 or _FRAME_S * active.sum() < config.min_window_speech_s:
            continue
        analysed += len(part) - known
        samples = np.resize(np.clip(part, -1.0, 1.0), window_samples)  # repeats what is shorter
        windows.append(Window(start / sampling_rate, covered / sampling_rate, samples, weight))
    _check_enough(windows, sound_s, config)
    return CutSpeech(
        tuple(windows),
        analysed / sampling_rate,
        clipped / heard,
        _not_run(len(every), len(starts), len(windows)),
    )


def active_frames(samples: np.ndarray, sampling_rate: int, silence_dbfs: float) -> np.ndarray:
    """float32 (T,) → bool (frames of 20 ms,): whether each is louder than `silence_dbfs`."""
    size = round(_FRAME_S * sampling_rate)
    samples = samples.astype(np.float64) - samples.mean(dtype=np.float64)
    padded = np.pad(samples, (0, -len(samples) % size))
    power = np.square(padded.reshape(-1, size)).mean(axis=1)
    return power > 10 ** (silence_dbfs / 10)


def pool(windows: tuple[Window, ...], raw: np.ndarray) -> float:
    """Raw scores float64 (windows,) → the file's raw score: their weighted mean."""
    weights = np.array([window.weight for window in windows])
    return float(np.average(raw, weights=weights))


def segments(
    windows: tuple[Window, ...], raw: np.ndarray, calibration: Calibration | None
) -> tuple[Segment, ...]:
    """What each window says by itself."""
    llrs = [calibrated(float(score), calibration) for score in raw]
    return tuple(
        Segment(start_s=w.start_s, end_s=w.end_s, llr=llr, p_manipulated=p_manipulated(llr))
        for w, llr in zip(windows, llrs, strict=True)
    )


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


def _check_enough(windows: list[Window], sound_s: float, config: SpeechConfig) -> None:
    if sound_s == 0:
        raise MediaError(
            "silent", f"no sound above {config.silence_dbfs:.0f} dBFS", "record it louder"
        )
    if not windows or sum(window.weight for window in windows) < config.min_speech_s:
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
