"""A synthetic room: direct sound, early reflections and an exponentially decaying tail."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from forensics.conditions.base import Condition, register_condition
from forensics.draws import Range, uniform, within
from forensics.media.audio import Waveform
from forensics.media.samples import rms, with_samples

_FIRST_REFLECTION_S = 0.001
_MIXING_S = 0.03  # from here on reflections are too dense to be told apart
_REFLECTIONS = (6, 20)


@register_condition
class Room(Condition):
    """Reverberation; the direct sound stays where it was and the RMS level is kept."""

    name: ClassVar[str] = "room"
    summary: ClassVar[str] = "reverberation of a synthetic room"
    rt60_s: Annotated[Range, within(0.05, 5)] = (0.15, 0.8)
    drr_db: Annotated[Range, within(-20, 40)] = (-2.0, 12.0)

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        from scipy.signal import oaconvolve

        rt60_s, drr_db = uniform(rng, self.rt60_s), uniform(rng, self.drr_db)
        length = len(wave.samples)
        response = room_response(wave.sampling_rate, rt60_s, drr_db, rng)[:length]
        wet = oaconvolve(wave.samples, response)[:length]
        level = rms(wave.samples) / max(rms(wet), 1e-12)
        return with_samples(wave, wet * np.float32(level)), {"rt60_s": rt60_s, "drr_db": drr_db}


def room_response(
    sampling_rate: int, rt60_s: float, drr_db: float, rng: np.random.Generator
) -> np.ndarray:
    """Impulse response, float32, `rt60_s` seconds long; the direct sound is 1 at sample 0.

    Diffuse tail: Gaussian noise whose energy falls by 60 dB in `rt60_s` seconds (Polack 1988).
    The 30 ms before it hold a few distinct reflections that carry the energy of the noise which
    they stand for. Everything after the direct sound is scaled to `drr_db`, the
    direct-to-reverberant energy ratio.
    """
    length = max(2, round(rt60_s * sampling_rate))
    decay = 10 ** (-3 * np.arange(length) / (rt60_s * sampling_rate))
    gains = rng.standard_normal(length)
    mixing = min(length, round(_MIXING_S * sampling_rate))
    gains[:mixing] = 0
    count = int(rng.integers(*_REFLECTIONS, endpoint=True))
    first = min(max(1, round(_FIRST_REFLECTION_S * sampling_rate)), mixing - 1)
    arrivals = rng.integers(first, mixing, count)
    np.add.at(gains, arrivals, rng.standard_normal(count) * np.sqrt((mixing - first) / count))
    response = gains * decay
    response *= 10 ** (-drr_db / 20) / np.linalg.norm(response)
    response[0] = 1.0
    return response.astype(np.float32)
