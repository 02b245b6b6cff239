"""Additive noise at a signal-to-noise ratio over the active speech."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.conditions.base import Condition, register_condition
from forensics.conditions.common import active_rms
from forensics.draws import Range, pick, uniform, within
from forensics.media.audio import Waveform
from forensics.media.samples import rms, with_samples

Colour = Literal["white", "pink", "brown", "speech"]

_LOWEST_HZ = 20.0
_FFT_UNIT = 4096  # a prime number of samples would be slow
# Long-term average spectrum of speech, dB per third-octave band at 70 dB overall, both sexes:
# Byrne et al., JASA 96(4), 1994, table II.
_LTASS_HZ = (
    63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000,
    1250, 1600, 2000, 2500, 3150, 4000, 5000, 6300, 8000, 10000, 12500, 16000,
)  # fmt: skip
_LTASS_DB = (
    38.6, 43.5, 54.4, 57.7, 56.8, 60.2, 60.3, 59.0, 62.1, 62.1, 60.5, 56.8, 53.7,
    53.0, 52.0, 48.7, 48.1, 46.8, 45.6, 44.5, 44.3, 43.7, 43.4, 41.3, 40.7,
)  # fmt: skip


@register_condition
class Noise(Condition):
    """Stationary noise; silence stays silent, for it has no level to relate the noise to."""

    name: ClassVar[str] = "noise"
    summary: ClassVar[str] = "white, pink, brown or speech-shaped noise at an SNR"
    colours: tuple[Colour, ...] = Field(default=("white", "pink", "brown", "speech"), min_length=1)
    snr_db: Annotated[Range, within(-30, 90)] = (5.0, 35.0)

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        colour, snr_db = pick(rng, self.colours), uniform(rng, self.snr_db)
        noise = coloured_noise(colour, len(wave.samples), wave.sampling_rate, rng)
        wanted = active_rms(wave) * 10 ** (-snr_db / 20)
        noisy = wave.samples + noise * np.float32(wanted / max(rms(noise), 1e-12))
        return with_samples(wave, noisy), {"colour": colour, "snr_db": snr_db}


def coloured_noise(
    colour: Colour, length: int, sampling_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Gaussian noise of one colour: float32 (length,), of no particular level, no DC.

    Power density over frequency f: white 1, pink 1/f, brown 1/f² (both flat below 20 Hz), speech
    the long-term average spectrum of speech.
    """
    size = -(-max(length, 1) // _FFT_UNIT) * _FFT_UNIT
    frequencies = np.fft.rfftfreq(size, 1 / sampling_rate)
    parts = rng.standard_normal((len(frequencies), 2), dtype=np.float32)
    spectrum = parts.view(np.complex64)[:, 0] * _amplitude(colour, frequencies)
    spectrum[0] = 0
    return np.fft.irfft(spectrum, size)[:length]


def _amplitude(colour: Colour, frequencies: np.ndarray) -> np.ndarray:
    f = np.maximum(frequencies, _LOWEST_HZ).astype(np.float32)
    if colour == "pink":
        return 1 / np.sqrt(f)
    if colour == "brown":
        return 1 / f
    if colour == "speech":
        density_db = np.array(_LTASS_DB) - 10 * np.log10(_LTASS_HZ)  # band width grows as f
        levels = np.interp(np.log(f), np.log(_LTASS_HZ), density_db)
        return (10 ** (levels / 20)).astype(np.float32)
    return np.ones_like(f)
