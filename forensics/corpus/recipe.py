"""The recipe of a corpus: what `pipelines/<name>.yaml` says, validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from forensics import resources
from forensics.conditions.draw import ConditionPolicy
from forensics.errors import UsageError
from forensics.shards.format import Split

Range = tuple[float, float]
BONAFIDE = "bonafide"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SystemSpec(_Strict):
    """One system of the corpus: a registered generator with parameters.

    `name` tells two uses of one generator apart; `splits` keeps a system out of some splits, so
    that a test split can hold systems that training never saw.
    """

    use: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9_.-]+$")] = ""
    params: dict[str, Any] = {}
    splits: tuple[Split, ...] = ("train", "dev", "test")

    @model_validator(mode="before")
    @classmethod
    def _default_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"use": value}
        return {"name": value.get("use"), **value} if isinstance(value, dict) else value


class Conditioning(_Strict):
    """The road that every item takes, whatever its label (`forensics.corpus.conditioning`).

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


class Recipe(_Strict):
    """A corpus, before its source is known.

    Attributes:
        systems: who forges; every utterance passes through each of them.
        sentences: a text file beside the recipe, read by TTS where there is no transcript.
        language: BCP-47 tag of sources and sentences that state none.
        licence: of sources that state none.
        splits: share of utterances per split; a group never crosses.
        missing: what to do about systems that cannot run here: `skip` (said, and recorded in the
            plan) or `error`.
        timeout_s: seconds that one generator call may take per item before it counts as hung.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    version: int
    modality: Literal["speech"]
    summary: str
    seed: int = 0
    systems: tuple[SystemSpec, ...] = Field(min_length=1)
    sentences: str
    language: str = "en"
    licence: str = "not stated"
    splits: dict[Split, float] = {"train": 0.7, "dev": 0.15, "test": 0.15}
    conditioning: Conditioning = Conditioning()
    conditions: ConditionPolicy
    encoding: Literal["wav", "flac"] = "wav"
    utterances_per_shard: int = Field(default=32, ge=1)
    missing: Literal["skip", "error"] = "skip"
    timeout_s: float = Field(default=120.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        names = [system.name for system in self.systems]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"systems named twice: {', '.join(twice)}; give each its own name")
        if BONAFIDE in names:
            raise ValueError(f"no system may be named {BONAFIDE!r}")
        if not self.splits or any(share <= 0 for share in self.splits.values()):
            raise ValueError("splits need positive shares")
        return self


def load_recipe(name: str) -> tuple[Recipe, list[str]]:
    """A shipped pipeline by name, or a YAML file, with its sentences.

    Raises:
        UsageError: no such pipeline, not YAML, or a field that is wrong; all fields are named.
    """
    path = resources.find("pipelines", name)
    try:
        recipe = Recipe.model_validate(yaml.safe_load(_read_text(path)))
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}", "mend the file") from error
    except ValidationError as error:
        raise UsageError(
            f"{path}: {complaints(error)}", "forensics configs show audeter"
        ) from error
    return recipe, _read_sentences(path.parent / recipe.sentences)


def complaints(error: ValidationError) -> str:
    """What pydantic found wrong, in one line."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'all'}: {e['msg']}" for e in error.errors())


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as text ({error})", "save it as UTF-8") from error


def _read_sentences(path: Path) -> list[str]:
    if not path.is_file():
        raise UsageError(f"the sentences file {path} is missing", "name one beside the recipe")
    lines = [line.strip() for line in _read_text(path).splitlines()]
    sentences = [line for line in lines if line and not line.startswith("#")]
    if not sentences:
        raise UsageError(f"{path} holds no sentences", "write one sentence a line")
    return sentences
