"""The recipe of a corpus: what `pipelines/<name>.yaml` says, validated.

What recipes of all modalities say is here; each modality adds its own fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from forensics import resources
from forensics.corpus.names import BONAFIDE
from forensics.errors import UsageError
from forensics.shards.format import Split


class Strict(BaseModel):
    """Frozen, without unknown fields, all numbers finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SystemSpec(Strict):
    """One system of the corpus: a registered engine with parameters.

    `name` tells two uses of one engine apart; `splits` keeps a system out of some splits, so
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


class Recipe(Strict):
    """A corpus, before its source is known.

    Attributes:
        modality: names the folder of `forensics.corpus` that carries the recipe out.
        systems: who forges.
        licence: of sources that state none.
        splits: share of source items per split; a group never crosses.
        missing: what to do about systems that cannot run here: `skip` (said, and recorded in the
            plan) or `error`.
        timeout_s: seconds that one engine call may take per item before it counts as hung.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    version: int
    modality: str
    summary: str
    seed: int = 0
    systems: tuple[SystemSpec, ...] = Field(min_length=1)
    licence: str = "not stated"
    splits: dict[Split, float] = {"train": 0.7, "dev": 0.15, "test": 0.15}
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


def load_recipe(name: str) -> tuple[Recipe, Path]:
    """A shipped pipeline by name, or a YAML file, and the folder that it lies in.

    Raises:
        UsageError: no such pipeline, not YAML, or a field that is wrong; all fields are named.
    """
    from forensics.corpus.modality import MODALITIES, modality_of

    path = resources.find("pipelines", name)
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}", "mend the file") from error
    stated = content.get("modality") if isinstance(content, dict) else None
    if not isinstance(stated, str) or stated not in MODALITIES:
        known = " or ".join(MODALITIES)
        raise UsageError(f"{path}: modality is {stated!r}", f"write 'modality: {known}'")
    try:
        return modality_of(stated).recipe.model_validate(content), path.parent
    except ValidationError as error:
        example = modality_of(stated).example
        raise UsageError(
            f"{path}: {complaints(error)}", f"forensics configs show {example}"
        ) from error


def complaints(error: ValidationError) -> str:
    """What pydantic found wrong, in one line."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'all'}: {e['msg']}" for e in error.errors())


def read_text(path: Path) -> str:
    """A text file of the user's.

    Raises:
        UsageError: it cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as text ({error})", "save it as UTF-8") from error
