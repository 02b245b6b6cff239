"""What the conditions share: ranges to draw from, fitting to length and rate, speech levels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import numpy as np
from pydantic import AfterValidator

from forensics.media.audio import Waveform

T = TypeVar("T")

_ACTIVITY_FRAME_S = 0.03
_ACTIVITY_MARGIN = 10 ** (-15.9 / 10)  # ITU-T P.56: activity threshold below the active level


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"a range is [low, high] with low <= high, not [{low}, {high}]")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""`[low, high]`, both finite; one value is drawn from it."""


def within(minimum: float, maximum: float) -> AfterValidator:
    """A `Range` may not leave [minimum, maximum]."""

    def check(bounds: tuple[float, float]) -> tuple[float, float]:
        if bounds[0] < minimum or bounds[1] > maximum:
            raise ValueError(f"{list(bounds)} leaves [{minimum}, {maximum}]")
        return bounds

    return AfterValidator(check)


def uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(rng.uniform(*bounds))


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Uniform on a logarithmic scale: bit rates. Both bounds are positive."""
    low, high = bounds
    return float(min(max(math.exp(rng.uniform(math.log(low), math.log(high))), low), high))


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, equally likely; draws one number whatever their count."""
    return options[int(rng.random() * len(options))]


def with_samples(wave: Waveform, samples: np.ndarray) -> Waveform:
    """A float32 copy of `samples`, cut or zero-padded at the end to the length of `wave`."""
    missing = len(wave.samples) - len(samples)
    if missing > 0:
        samples = np.pad(samples, (0, missing))
    return Waveform(samples[: len(wave.samples)].astype(np.float32), wave.sampling_rate)


def at_rate(
    wave: Waveform, sampling_rate: int, process: Callable[[np.ndarray], np.ndarray]
) -> Waveform:
    """Resample to `sampling_rate` Hz, process the samples there, come back; length kept."""
    there = wave.resampled(sampling_rate)
    if len(there.samples) == 0:  # a clip shorter than one sample at that rate
        return with_samples(wave, there.samples)
    done = with_samples(there, process(there.samples))
    return with_samples(wave, done.resampled(wave.sampling_rate).samples)


def to_pcm16(samples: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] as int16; what lies beyond is clipped."""
    return np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)


def rms(samples: np.ndarray) -> float:
    """Root mean square of the samples; 0 for none."""
    return math.sqrt(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0


def active_rms(wave: Waveform) -> float:
    """RMS of the active speech, pauses left out, after ITU-T P.56 (method B).

    P.56 finds the threshold that lies 15.9 dB below the mean power of what exceeds it. Here 30 ms
    frames stand for its smoothed envelope: the frames are taken from the loudest on for as long
    as the next one stays above that threshold. A steady sound gives its plain RMS, silence 0.
    """
    frame = max(1, round(_ACTIVITY_FRAME_S * wave.sampling_rate))
    count = len(wave.samples) // frame
    if count == 0:
        return rms(wave.samples)
    frames = wave.samples[: count * frame].reshape(count, frame)
    powers = np.sort(np.mean(np.square(frames, dtype=np.float64), axis=1))[::-1]
    means = np.cumsum(powers) / np.arange(1, count + 1)
    paused = powers < _ACTIVITY_MARGIN * means
    active = int(np.argmax(paused)) if paused.any() else count
    return math.sqrt(means[active - 1])
