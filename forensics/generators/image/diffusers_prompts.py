"""From an edit plan to the words that a pipeline reads. The templates are data."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from forensics.scenes.edit_plan import EditPlan, EditType

Manner = Literal["inpaint", "instruct"]

_FILE = Path(__file__).with_name("diffusers_prompts.json")
_FIELDS = ("target", "replacement", "instruction")


class Template(BaseModel):
    """Words with holes: `{target}`, `{replacement}` and `{instruction}` of the plan.

    Attributes:
        prompt: what shall be seen in the mask, or what shall be done.
        negative: what shall not be seen; a space guides away from nothing in particular.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    prompt: str
    negative: str = " "

    @field_validator("prompt", "negative")
    @classmethod
    def _holes(cls, text: str) -> str:
        for _, name, spec, conversion in string.Formatter().parse(text):
            if name is not None and (name not in _FIELDS or spec or conversion):
                raise ValueError(f"{{{name}}} is none of {', '.join(_FIELDS)}")
        return text


@dataclass(frozen=True)
class Words:
    """What one call is told."""

    prompt: str
    negative: str


def words(manner: Manner, plan: EditPlan, own: Mapping[EditType, Template]) -> Words:
    """A plan in words; `own` templates go before the shipped ones."""
    template = own.get(plan.edit) or _shipped(manner)[plan.edit]
    holes = {name: getattr(plan, name) for name in _FIELDS}
    return Words(template.prompt.format(**holes), template.negative.format(**holes))


@cache
def _shipped(manner: Manner) -> dict[str, Template]:
    read = json.loads(_FILE.read_text(encoding="utf-8"))[manner]
    return {edit: Template(**entry) for edit, entry in read.items()}
