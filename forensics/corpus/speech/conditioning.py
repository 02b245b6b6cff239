"""The one road that every item takes, bona fide or forged.

resample → trim edge silence → common cut → common level → channel conditions → common band → drawn
level → noise floor.
Whatever differs by label after it other than the forgery is a bug that `forensics audit` hunts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from forensics.conditions.draw import ConditionPolicy
from forensics.corpus.speech.recipe import Conditioning
from forensics.errors import MediaError
from forensics.media.audio import Waveform

# Part of every plan; raise it with any change here or in forensics/conditions that moves a sample.
ROAD_VERSION = "1"
SILENT_DBFS = -60.0
_LEVEL_BEFORE_CHANNEL_DBFS = -26.0
_FRAME_S, _HOP_S = 0.025, 0.010
# What the low skirt of the common band rings beyond a clip's end, so that it does not wrap around.
_RINGING_S = 0.25


def prepare(wave: Waveform, road: Conditioning) -> Waveform:
    """Resample, remove DC, trim the edges, limit the length.

    Raises:
        MediaError: `invalid_samples`, `silent` or `too_short`.
    """
    if not np.isfinite(wave.samples).all():
        raise MediaError("invalid_samples", "holds NaN or infinite samples")
    wave = wave.resampled(road.sampling_rate)
    samples = (wave.samples - wave.samples.mean()) if len(wave.samples) else wave.samples
    if len(samples) == 0 or dbfs(samples) < SILENT_DBFS:
        raise MediaError("silent", f"silent: below {SILENT_DBFS:.0f} dBFS")
    samples = trim_edges(samples, road)[: round(road.max_s * road.sampling_rate)]
    seconds = len(samples) / road.sampling_rate
    if seconds < road.min_s:
        raise MediaError("too_short", f"too short: {seconds:.2f} s of speech, need {road.min_s} s")
    return Waveform(samples.astype(np.float32), road.sampling_rate)


def trim_edges(samples: np.ndarray, road: Conditioning) -> np.ndarray:
    """Cut what is quieter than `trim_db` below the loud frames, keep `edge_silence_s` of it."""
    rate = road.sampling_rate
    frame, hop = round(_FRAME_S * rate), round(_HOP_S * rate)
    if len(samples) < frame:
        return samples
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[::hop]
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / frame
    loud = np.flatnonzero(power > np.percentile(power, 95) * 10 ** (-road.trim_db / 10))
    keep = round(road.edge_silence_s * rate)
    return samples[max(0, loud[0] * hop - keep) : loud[-1] * hop + frame + keep]


def family_window(lengths: list[int], road: Conditioning, seed: int) -> tuple[int, int]:
    """(largest start, length) in samples that all copies of one utterance are cut to.

    Every copy starts within the same range, so that neither duration nor a quiet onset tells
    which copy was the shortest.
    """
    shortest = min(lengths)
    floor = min(shortest, round(road.min_s * road.sampling_rate))
    share = np.random.default_rng(seed).uniform(*road.cut_share)
    length = max(floor, round(shortest * share))
    return shortest - length, length


def finish(
    wave: Waveform, road: Conditioning, policy: ConditionPolicy, seed: int
) -> tuple[Waveform, tuple[dict[str, Any], ...]]:
    """Channel conditions, common band, level and noise floor, all drawn from `seed` alone."""
    # Codecs react to level, which differs from engine to engine.
    level = np.float32(10 ** ((_LEVEL_BEFORE_CHANNEL_DBFS - dbfs(wave.samples)) / 20))
    wave, drawn = policy.apply(Waveform(wave.samples * level, wave.sampling_rate), seed)
    rng = np.random.default_rng([seed, 1])
    samples = band_limit(wave.samples, road.sampling_rate, road.band_hz)
    samples *= np.float32(10 ** ((rng.uniform(*road.level_dbfs) - dbfs(samples)) / 20))
    floor = 10 ** (rng.uniform(*road.floor_dbfs) / 20)
    samples = samples + np.float32(floor) * rng.standard_normal(len(samples), dtype=np.float32)
    return Waveform(np.clip(samples, -1, 1).astype(np.float32), road.sampling_rate), drawn


def band_limit(samples: np.ndarray, rate: int, band_hz: tuple[float, float]) -> np.ndarray:
    """Zero-phase band-pass with the same steep edges for every item (FFT, raised-cosine skirts)."""
    from scipy import fft

    size = fft.next_fast_len(len(samples) + round(_RINGING_S * rate), real=True)
    spectrum = fft.rfft(samples.astype(np.float32, copy=False), size)
    spectrum *= _band_gain(size, rate, band_hz)
    return np.asarray(fft.irfft(spectrum, size))[: len(samples)]


@lru_cache(maxsize=16)
def _band_gain(size: int, rate: int, band_hz: tuple[float, float]) -> np.ndarray:
    frequency = np.fft.rfftfreq(size, 1 / rate)
    low, high = band_hz
    rise = np.clip((frequency - 0.5 * low) / (0.5 * low), 0, 1)
    fall = np.clip((1.05 * high - frequency) / (0.05 * high), 0, 1)
    gain = 0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall))
    return gain.astype(np.float32)


def dbfs(samples: np.ndarray) -> float:
    """RMS level in dB relative to full scale; -inf-free (floor at -200)."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10 * float(np.log10(max(power, 1e-20)))
