"""Lossy codecs of files and messengers, as real round trips through libsndfile."""

from __future__ import annotations

import io
from typing import Annotated, Any, ClassVar

import numpy as np
import soundfile

from forensics.conditions.base import Condition, register_condition
from forensics.conditions.common import at_rate
from forensics.draws import Range, log_uniform, uniform, within
from forensics.media.audio import Waveform
from forensics.media.samples import with_samples

_OPUS_RATES = (8000, 12_000, 16_000, 24_000, 48_000)
_OPUS_KBPS = (6.0, 256.0)
_RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# LAME's encoder delay (576) plus that of every MPEG decoder (529).
_MP3_DELAY = 1105


@register_condition
class Opus(Condition):
    """Ogg Opus (RFC 6716) at a bit rate; messengers and calls use about 6 to 64 kbit/s."""

    name: ClassVar[str] = "opus"
    summary: ClassVar[str] = "Opus at a bit rate"
    kbps: Annotated[Range, within(*_OPUS_KBPS)] = (6.0, 64.0)

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        kbps = log_uniform(rng, self.kbps)
        rate = _codec_rate(wave.sampling_rate, _OPUS_RATES)
        level = _level(kbps, *_OPUS_KBPS)
        coded = at_rate(wave, rate, lambda x: _through(x, rate, "OGG", "OPUS", level))
        return with_samples(wave, coded.samples), {"kbps": kbps}


@register_condition
class Mp3(Condition):
    """MP3 (LAME) at a constant bit rate: the standard's rate that is nearest to the drawn one."""

    name: ClassVar[str] = "mp3"
    summary: ClassVar[str] = "MP3 at a constant bit rate"
    kbps: Annotated[Range, within(8, 320)] = (16.0, 128.0)

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        rate = _codec_rate(wave.sampling_rate, _RATES)
        table = _mp3_bit_rates(rate)
        wanted = log_uniform(rng, self.kbps)
        kbps = min(table, key=lambda known: abs(known - wanted))
        level = _level(kbps, table[0], table[-1])
        coded = at_rate(wave, rate, lambda x: _through(x, rate, "MP3", "MPEG_LAYER_III", level))
        return with_samples(wave, coded.samples), {"kbps": kbps}


@register_condition
class Vorbis(Condition):
    """Ogg Vorbis; `quality` 0 to 1 is a tenth of the scale of the usual encoder."""

    name: ClassVar[str] = "vorbis"
    summary: ClassVar[str] = "Ogg Vorbis at a quality"
    quality: Annotated[Range, within(0, 1)] = (0.0, 0.7)

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        quality = uniform(rng, self.quality)
        rate = _codec_rate(wave.sampling_rate, _RATES)
        coded = at_rate(wave, rate, lambda x: _through(x, rate, "OGG", "VORBIS", 1 - quality))
        return with_samples(wave, coded.samples), {"quality": quality}


def _codec_rate(sampling_rate: int, supported: tuple[int, ...]) -> int:
    """The lowest supported rate that loses no bandwidth, else the highest."""
    return next((rate for rate in supported if rate >= sampling_rate), supported[-1])


def _mp3_bit_rates(sampling_rate: int) -> tuple[int, ...]:
    """The standard's bit rates in kbit/s: MPEG-1, MPEG-2 or MPEG-2.5, by the sampling rate."""
    if sampling_rate >= 32_000:
        return (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    low = (8, 16, 24, 32, 40, 48, 56, 64)
    return (*low, 80, 96, 112, 128, 144, 160) if sampling_rate >= 16_000 else low


def _level(kbps: float, lowest: float, highest: float) -> float:
    """libsndfile's compression level: linear in the bit rate, 0 the highest; 1 is refused."""
    return min((highest - kbps) / (highest - lowest), 0.9999)


def _through(
    samples: np.ndarray, rate: int, container: str, codec: str, level: float
) -> np.ndarray:
    """Encode and decode in memory: float32, aligned with `samples`, at least as long.

    libsndfile removes the delay that the stream declares. MP3 declares it in an extra first frame,
    which low bit rates have no room for: such a stream comes back longer and late.
    """
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        np.clip(samples, -1.0, 1.0),
        rate,
        codec,
        format=container,
        compression_level=level,
        bitrate_mode="CONSTANT" if container == "MP3" else None,
    )
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return decoded[_MP3_DELAY:] if len(decoded) > len(samples) else decoded
