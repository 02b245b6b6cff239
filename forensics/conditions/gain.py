"""The level of a recording, and the clipping of one whose input was overdriven."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from forensics.conditions.base import Condition, register_condition
from forensics.draws import Range, uniform, within
from forensics.media.audio import Waveform
from forensics.media.samples import with_samples


@register_condition
class Gain(Condition):
    """Clips, with a probability, the top of the waveform; then sets the peak level.

    Both are relative to the recording's own peak: how loud it came in decides nothing, so a level
    that differs by label cannot turn into clipping that does.
    """

    name: ClassVar[str] = "gain"
    summary: ClassVar[str] = "peak level, with clipping of an overdriven input"
    peak_dbfs: Annotated[Range, within(-90, 0)] = (-25.0, 0.0)
    clip_probability: float = Field(default=0.3, ge=0, le=1)
    overdrive_db: Annotated[Range, within(0, 40)] = Field(
        default=(0.0, 10.0), description="how far the peak lay above what the recorder could hold"
    )

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        peak_dbfs, overdrive_db = uniform(rng, self.peak_dbfs), uniform(rng, self.overdrive_db)
        if rng.random() >= self.clip_probability:
            overdrive_db = 0.0
        drawn = {"peak_dbfs": peak_dbfs, "overdrive_db": overdrive_db}
        peak = float(np.abs(wave.samples).max(initial=0.0))
        if peak == 0.0:
            return with_samples(wave, wave.samples), drawn
        driven = wave.samples * np.float32(10 ** (overdrive_db / 20) / peak)
        level = np.float32(10 ** (peak_dbfs / 20))
        return with_samples(wave, np.clip(driven, -1.0, 1.0) * level), drawn
