"""What may be made of the words that a model says after a verdict."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict

Problem = Literal["empty", "contradicts the verdict"]
_SAID = re.compile(r"\banswer is (yes|no)\b", re.IGNORECASE)
_BEGINS = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)


class Explanation(BaseModel):
    """Words beside a verdict.

    Attributes:
        text: as the model said it.
        grounded: whether the words are evidence; never: they are made after the verdict.
        problem: what is wrong with them, None where nothing is seen to be.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    text: str
    grounded: Literal[False] = False
    problem: Problem | None = None


def as_explanation(text: str, answer_is_yes: bool) -> Explanation:
    """Words of `FaceVlm.explain` as they may be shown.

    They contradict the verdict when they begin with the other answer, or say in the end what it is.
    """
    said = [*_BEGINS.findall(text), *_SAID.findall(text)]
    problem: Problem | None = None
    if not text.strip():
        problem = "empty"
    elif said and (said[-1].lower() == "yes") != answer_is_yes:
        problem = "contradicts the verdict"
    return Explanation(text=text, problem=problem)
