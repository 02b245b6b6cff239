"""A narrowband telephone line: band-pass, 8 kHz, optionally G.711."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.conditions.base import Condition, register_condition
from forensics.conditions.common import at_rate
from forensics.conditions.g711 import TELEPHONE_RATE, round_trip
from forensics.draws import Range, pick, uniform, within
from forensics.media.audio import Waveform
from forensics.media.samples import with_samples

_TAPS = 255  # slopes 100 Hz wide, 53 dB down (Hamming)


@register_condition
class Telephone(Condition):
    """Nominally 300 to 3400 Hz (ITU-T G.712); the edges are drawn, as handsets differ."""

    name: ClassVar[str] = "telephone"
    summary: ClassVar[str] = "narrowband telephone line, 300 to 3400 Hz at 8 kHz"
    low_hz: Annotated[Range, within(20, 1000)] = (200.0, 400.0)
    high_hz: Annotated[Range, within(2000, 3900)] = (3200.0, 3500.0)
    codecs: tuple[Literal["none", "mulaw", "alaw"], ...] = Field(
        default=("none", "mulaw", "alaw"), min_length=1
    )

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        low_hz, high_hz = uniform(rng, self.low_hz), uniform(rng, self.high_hz)
        codec = pick(rng, self.codecs)

        def line(samples: np.ndarray) -> np.ndarray:
            limited = _band_limited(samples, low_hz, high_hz)
            return limited if codec == "none" else round_trip(limited, codec)

        narrow = at_rate(wave, TELEPHONE_RATE, line)
        drawn = {"low_hz": low_hz, "high_hz": high_hz, "codec": codec}
        return with_samples(wave, narrow.samples), drawn


def _band_limited(samples: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Linear-phase band-pass at 8 kHz, without delay; same length."""
    from scipy.signal import firwin, oaconvolve

    response = firwin(_TAPS, [low_hz, high_hz], pass_zero=False, fs=TELEPHONE_RATE)
    return oaconvolve(samples, np.asarray(response, dtype=np.float32), mode="same")
