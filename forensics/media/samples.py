"""What is done to the samples of a waveform in many places: fit a length, measure a level."""

from __future__ import annotations

import math

import numpy as np

from forensics.media.audio import Waveform


def with_samples(wave: Waveform, samples: np.ndarray) -> Waveform:
    """A float32 copy of `samples`, cut or zero-padded at the end to the length of `wave`."""
    missing = len(wave.samples) - len(samples)
    if missing > 0:
        samples = np.pad(samples, (0, missing))
    return Waveform(samples[: len(wave.samples)].astype(np.float32), wave.sampling_rate)


def rms(samples: np.ndarray) -> float:
    """Root mean square of the samples; 0 for none."""
    return math.sqrt(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
