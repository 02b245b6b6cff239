"""Played faster or slower: voices, tempos and pitches that a small corpus does not hold."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import soxr

from forensics.conditions.base import Condition, register_condition
from forensics.draws import Range, uniform, within
from forensics.media.audio import Waveform
from forensics.media.samples import with_samples


@register_condition
class Speed(Condition):
    """Resamples, so that tempo and pitch change together (speed perturbation: Ko et al.,
    Interspeech 2015). What is played faster begins again until the length is filled."""

    name: ClassVar[str] = "speed"
    summary: ClassVar[str] = "faster or slower, higher or lower"
    keeps_time: ClassVar[bool] = False
    factor: Annotated[Range, within(0.5, 2.0)] = (0.85, 1.2)

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        factor = uniform(rng, self.factor)
        drawn = {"factor": factor}
        if len(wave.samples) == 0:
            return with_samples(wave, wave.samples), drawn
        played = soxr.resample(wave.samples, wave.sampling_rate * factor, wave.sampling_rate)
        if len(played) == 0:
            return with_samples(wave, wave.samples), drawn
        length = max(len(played), len(wave.samples))
        return with_samples(wave, np.resize(played, length)), drawn
