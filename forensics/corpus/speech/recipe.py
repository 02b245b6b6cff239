"""The recipe of a speech corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from forensics.conditions.draw import ConditionPolicy
from forensics.corpus.recipe import Recipe, Strict, read_text
from forensics.errors import UsageError

Range = tuple[float, float]


class Conditioning(Strict):
    """The road that every item takes, whatever its label (`forensics.corpus.speech.conditioning`).

    Attributes:
        band_hz: pass band of the common filter; its upper edge hides resampler edges.
        trim_db: edges quieter than this below the clip's loud frames are silence.
        edge_silence_s: silence kept at both edges.
        cut: `family` cuts all copies of one utterance to one length, so that duration says
            nothing; `none` keeps lengths.
        cut_share: the common length as a share of the shortest copy, drawn per utterance.
        level_dbfs: RMS level of the clip, drawn per item.
        floor_dbfs: level of the noise floor added to every item, drawn per item.
    """

    sampling_rate: int = Field(default=16_000, ge=8_000, le=48_000)
    band_hz: Range = (40.0, 7_400.0)
    trim_db: float = Field(default=40.0, gt=0)
    edge_silence_s: float = Field(default=0.1, ge=0)
    min_s: float = Field(default=1.0, gt=0)
    max_s: float = Field(default=12.0, gt=0)
    cut: Literal["family", "none"] = "family"
    cut_share: Range = (0.75, 0.95)
    level_dbfs: Range = (-32.0, -20.0)
    floor_dbfs: Range = (-72.0, -60.0)

    @model_validator(mode="after")
    def _check(self) -> Conditioning:
        for name in ("band_hz", "cut_share", "level_dbfs", "floor_dbfs"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [low, high], not [{low:g}, {high:g}]")
        low, high = self.band_hz
        if not 0 < low < high <= self.sampling_rate / 2:
            raise ValueError(f"band_hz must lie between 0 and {self.sampling_rate / 2:g} Hz")
        if not 0 < self.cut_share[0] <= self.cut_share[1] <= 1:
            raise ValueError("cut_share is a share of the shortest copy: above 0, at most 1")
        if self.min_s > self.max_s:
            raise ValueError("min_s is longer than max_s")
        if max(*self.level_dbfs, *self.floor_dbfs) > 0:
            raise ValueError("levels are in dB relative to full scale: at most 0")
        return self


class SpeechRecipe(Recipe):
    """A speech corpus; every utterance passes through each of its systems.

    Attributes:
        sentences: a text file beside the recipe, read by TTS where there is no transcript.
        language: BCP-47 tag of sources and sentences that state none.
    """

    modality: Literal["speech"]  # pyright: ignore[reportIncompatibleVariableOverride]
    sentences: str
    language: str = "en"
    conditioning: Conditioning = Conditioning()
    conditions: ConditionPolicy
    encoding: Literal["wav", "flac"] = "wav"
    utterances_per_shard: int = Field(default=32, ge=1)


def read_sentences(path: Path) -> list[str]:
    """Lines of a text file, without empty ones and those that begin with '#'.

    Raises:
        UsageError: it is missing, not text, or holds none.
    """
    if not path.is_file():
        raise UsageError(f"the sentences file {path} is missing", "name one beside the recipe")
    lines = [line.strip() for line in read_text(path).splitlines()]
    sentences = [line for line in lines if line and not line.startswith("#")]
    if not sentences:
        raise UsageError(f"{path} holds no sentences", "write one sentence a line")
    return sentences
