"""Trivial features of speech.

Each feature answers one question and no other: levels are taken over the active part, offsets and
noise floors relative to the level, and values are rounded to the resolution at which they mean
something. A corpus that leaks by duration alone must not look as if it leaked by bit rate as well.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from forensics.auditing.features import (
    EVERY_ITEM,
    Family,
    FeatureSet,
    ItemFacts,
    Value,
    facts_features,
)
from forensics.media.audio import AudioFile, AudioInfo

_FRAME_S = 0.01
_ACTIVE_DB = 40.0
_ZERO_RUN_S = 0.002
_SPECTRUM_SIZE = 512
_EDGE_HZ = 250.0
_EDGE_DB = 15.0
_FINEST_BITS = 24
_PCM_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_SEEK_TABLE = 3


def speech_features(media: bytes, facts: ItemFacts) -> dict[str, Value]:
    """All features of one recording.

    Raises:
        MediaError: it cannot be decoded.
    """
    with AudioFile(media) as audio:
        info, tags = audio.info, audio.tags
        wave = audio.read()
    samples, rate = wave.samples.astype(np.float64), wave.sampling_rate
    return {
        "duration.seconds": round(wave.duration_s, 3),
        **_waveform(samples, rate),
        **_bandwidth(samples, rate),
        **_container(media, info, facts),
        **_sample_bits(wave.samples, info),
        **{f"container.tag_{name}": value for name, value in tags.items()},
        **facts_features(facts),
    }


def _waveform(samples: np.ndarray, rate: int) -> dict[str, Value]:
    """Level, silence, noise floor and offset, from 10 ms frames."""
    size = max(1, round(_FRAME_S * rate))
    power = _frame_power(samples, size)
    loudest = power.max()
    peak = float(np.abs(samples).max())
    zeros = _zero_runs(samples, round(_ZERO_RUN_S * rate))
    found: dict[str, Value] = {
        "silence.zero_share": round(zeros.sum() / len(samples), 4),
        "silence.longest_zero_s": round(zeros.max(initial=0) / rate, 3),
        "level.clipped_share": round(float(np.mean(np.abs(samples) >= 0.999)), 5),
    }
    if loudest <= 0:
        return found
    active = power > loudest * 10 ** (-_ACTIVE_DB / 10)
    where = np.flatnonzero(active)
    first, last = where[0], where[-1]
    level = float(_db(power[active].mean()))
    quiet = float(_db(max(np.percentile(power[first : last + 1], 10), 1e-12)))
    return found | {
        "level.rms_dbfs": round(level, 1),
        "dynamics.crest_db": round(float(_db(peak**2)) - level, 1),
        "silence.leading_s": round(first * _FRAME_S, 2),
        "silence.trailing_s": round((len(power) - 1 - last) * _FRAME_S, 2),
        "noise_floor.quietest_db": round(quiet - level, 1),
        "noise_floor.pause_share": round(1 - float(active[first : last + 1].mean()), 3),
        "dc.offset": _offset(samples, level),
    }


def _frame_power(samples: np.ndarray, size: int) -> np.ndarray:
    """Mean square of each frame, (T // size,); a clip shorter than one frame is one frame."""
    count = max(1, len(samples) // size)
    frames = samples[: count * size].reshape(count, -1)
    return np.einsum("ij,ij->i", frames, frames) / frames.shape[1]


def _zero_runs(samples: np.ndarray, shortest: int) -> np.ndarray:
    """Lengths in samples of the runs of exact zeros that are at least `shortest` long."""
    edges = np.diff(np.concatenate([[False], samples == 0, [False]]).astype(np.int8))
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return lengths[lengths >= shortest]


def _offset(samples: np.ndarray, level_db: float) -> float:
    """Mean over RMS, signed; a Hann window keeps slow cycles, and so the length, out of it."""
    window = np.hanning(len(samples) + 2)[1:-1]
    mean = np.multiply(window, samples).sum() / window.sum()  # `@` would wait for BLAS threads
    return round(float(mean) / 10 ** (level_db / 20), 3)


def _bandwidth(samples: np.ndarray, rate: int) -> dict[str, Value]:
    """Roll-off, high-band share and the cliff of the long-term spectrum."""
    size = _SPECTRUM_SIZE
    if len(samples) < size:
        return {}
    frames = samples[: len(samples) // size * size].reshape(-1, size) * np.hanning(size)
    spectrum = np.square(np.abs(np.fft.rfft(frames.astype(np.float32)))).mean(axis=0)[2:]
    hertz = np.fft.rfftfreq(size, 1 / rate)[2:]
    total = spectrum.sum()
    if total <= 0:
        return {}
    share = np.cumsum(spectrum) / total
    edge_hz, edge_db = _spectral_edge(spectrum, hertz)
    found: dict[str, Value] = {
        "spectrum.rolloff_95_hz": float(hertz[np.searchsorted(share, 0.95)]),
        "spectrum.rolloff_99_hz": float(hertz[np.searchsorted(share, 0.99)]),
        "spectrum.top_octave_db": _share_db(spectrum[hertz >= rate / 4].sum(), total),
        "bandwidth.edge_hz": edge_hz,
        "bandwidth.edge_db": edge_db,
    }
    if rate > 2 * 7_000:
        found["spectrum.above_7khz_db"] = _share_db(spectrum[hertz >= 7_000].sum(), total)
    return found


def _spectral_edge(spectrum: np.ndarray, hertz: np.ndarray) -> tuple[float, float]:
    """Where the long-term spectrum falls off a cliff, and by how many dB within 500 Hz.

    (highest frequency, 0) when it nowhere falls as steeply as no voice does.
    """
    width = max(1, round(_EDGE_HZ / (hertz[1] - hertz[0])))
    smooth = np.convolve(spectrum, np.ones(width) / width, "valid")
    if len(smooth) <= 2 * width:
        return float(hertz[-1]), 0.0
    level = _db(np.maximum(smooth, spectrum.max() * 1e-12))
    drop = level[: -2 * width] - level[2 * width :]
    centre = hertz[width + width // 2 :][: len(drop)]
    drop = np.where(centre >= 1_000, drop, 0)
    at = int(drop.argmax())
    if drop[at] < _EDGE_DB:
        return float(hertz[-1]), 0.0
    return round(float(centre[at]) / 50) * 50.0, float(round(drop[at]))


def _container(media: bytes, info: AudioInfo, facts: ItemFacts) -> dict[str, Value]:
    """What the file is, apart from what it holds.

    Bits per sample of a lossless codec follow the content, and are a family of their own.
    """
    found: dict[str, Value] = {
        "container.extension": facts.extension,
        "container.format": f"{info.container}/{info.codec}",
        "container.sampling_rate": float(info.sampling_rate),
        "container.channels": float(info.channels),
    }
    if info.container in ("WAV", "WAVEX", "AIFF") and info.codec in _PCM_BITS:
        payload = info.frames * info.channels * _PCM_BITS[info.codec] // 8
        found["container.header_bytes"] = float(len(media) - payload)
    elif info.container == "FLAC":
        header = _flac_header_bytes(media)
        found["container.header_bytes"] = float(header)
        found["compression.bits_per_sample"] = _bits(len(media) - header, info)
    else:
        found["container.bits_per_sample"] = _bits(len(media), info)
    return found


def _flac_header_bytes(media: bytes) -> int:
    """Bytes of the metadata blocks; the seek table grows with the duration and is left out."""
    at, total, last = 4, 4, False
    while not last and at + 4 <= len(media):
        (word,) = struct.unpack_from(">I", media, at)
        last, kind, size = bool(word >> 31), word >> 24 & 0x7F, word & 0xFFFFFF
        total += 0 if kind == _SEEK_TABLE else 4 + size
        at += 4 + size
    return total


def _bits(size: int, info: AudioInfo) -> float:
    return round(8 * size / (info.frames * info.channels), 2)


def _sample_bits(samples: np.ndarray, info: AudioInfo) -> dict[str, Value]:
    """How many bits of the PCM samples are in use, and how often the last one is set."""
    declared = min(_PCM_BITS.get(info.codec, 0), _FINEST_BITS)
    if declared == 0 or info.channels != 1:
        return {}
    integers = np.abs(np.round(samples * 2.0 ** (declared - 1))).astype(np.int64)
    used = int(np.bitwise_or.reduce(integers))
    if used == 0:
        return {}
    spare = (used & -used).bit_length() - 1
    # Near zero the last bit follows the waveform; away from it, chance.
    large = integers[integers >= 16]
    odd = float(np.mean(large & 1)) if len(large) >= 1_000 else math.nan
    return {"container.bits_used": float(declared - spare), "container.odd_share": round(odd, 1)}


def _share_db(part: float, total: float) -> float:
    return round(float(_db(max(part / total, 1e-12))), 1)


def _db(power: Any) -> Any:
    return 10 * np.log10(power)


SPEECH = FeatureSet(
    families=(
        Family(
            "duration",
            "length of the clip",
            0.0,
            "cut all copies of an utterance to one length (conditioning.cut: family)",
        ),
        Family(
            "level",
            "loudness of the active part, clipping",
            0.0,
            "draw the level of every item from one range (conditioning.level_dbfs)",
        ),
        Family(
            "silence",
            "silence at the edges, runs of digital zeros",
            0.0,
            "trim every item alike (conditioning.trim_db, edge_silence_s); for digital zeros add "
            "a noise floor to every item (conditioning.floor_dbfs)",
        ),
        Family(
            "dc",
            "offset of the waveform from zero",
            0.0,
            "high-pass every item alike (lower edge of conditioning.band_hz)",
        ),
        Family(
            "container",
            "extension, codec, sampling rate, channels, header, tags, bits in use",
            0.0,
            "write every item with one encoder (encoding, conditioning.sampling_rate)",
        ),
        *EVERY_ITEM,
        Family(
            "bandwidth",
            "cliff in the long-term spectrum: a past sampling rate or lossy codec",
            0.1,
            "filter every item to the band that the narrowest system reaches (upper edge of "
            "conditioning.band_hz)",
        ),
        Family(
            "spectrum",
            "roll-off and share of high frequencies",
            None,
            "a forgery may differ here; a narrower conditioning.band_hz hides it",
        ),
        Family(
            "noise_floor",
            "level of the quietest frames, share of pauses",
            None,
            "a forgery may differ here; a higher conditioning.floor_dbfs hides it",
        ),
        Family(
            "dynamics",
            "crest factor",
            None,
            "a forgery may differ here; limiters in conditions hide it",
        ),
        Family(
            "compression",
            "bits per sample of a lossless codec: how noisy the content is",
            None,
            "a forgery may differ here; encoding: wav hides it",
        ),
    ),
    extract=speech_features,
)
