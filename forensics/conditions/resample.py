"""Down to a lower sampling rate and back, by converters of differing quality."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import soxr
from pydantic import Field, PositiveInt

from forensics.conditions.base import Condition, register_condition
from forensics.draws import pick
from forensics.media.audio import Waveform
from forensics.media.samples import with_samples

Converter = Literal["VHQ", "HQ", "MQ", "LQ", "QQ", "linear"]


@register_condition
class Resample(Condition):
    """One of the rates below the recording's own; unchanged where the list holds none.

    `linear` interpolates between neighbours with no filter: it aliases, as careless software does.
    """

    name: ClassVar[str] = "resample"
    summary: ClassVar[str] = "down to a lower sampling rate and back"
    rates: tuple[PositiveInt, ...] = Field(
        default=(8000, 11_025, 12_000, 16_000, 22_050), min_length=1
    )
    converters: tuple[Converter, ...] = Field(
        default=("VHQ", "HQ", "MQ", "LQ", "QQ", "linear"), min_length=1
    )

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        lower = [rate for rate in self.rates if rate < wave.sampling_rate]
        rate = pick(rng, lower or [wave.sampling_rate])
        down, up = pick(rng, self.converters), pick(rng, self.converters)
        drawn = {"rate": rate, "down": down, "up": up}
        if not lower:
            return with_samples(wave, wave.samples), drawn
        reduced = _convert(wave.samples, wave.sampling_rate, rate, down)
        return with_samples(wave, _convert(reduced, rate, wave.sampling_rate, up)), drawn


def _convert(samples: np.ndarray, old: int, new: int, converter: Converter) -> np.ndarray:
    if len(samples) == 0:
        return samples
    if converter != "linear":
        return soxr.resample(samples, old, new, quality=converter)
    positions = np.arange(round(len(samples) * new / old)) * (old / new)
    return np.interp(positions, np.arange(len(samples)), samples)
