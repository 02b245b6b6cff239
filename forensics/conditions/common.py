"""What the conditions share: a detour over another rate, PCM, the level of speech."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from forensics.media.audio import Waveform
from forensics.media.samples import rms, with_samples

_ACTIVITY_FRAME_S = 0.03
_ACTIVITY_MARGIN = 10 ** (-15.9 / 10)  # ITU-T P.56: activity threshold below the active level


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
