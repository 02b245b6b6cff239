"""`prompts.yaml`: the words of every prompt, and the questions that are put."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from forensics.errors import UsageError
from forensics.networks.vlm.rows import Side, identifier, soft_tokens

Kind = Literal["real", "appearance", "behaviour"]
Form = Literal["direct", "explained", "reasoned"]
_SIDE: dict[Kind, Side] = {"appearance": "a", "behaviour": "b"}
_UNFIT = re.compile(r"[^\w ,.'-]+")


@dataclass(frozen=True)
class Question:
    """One question about one picture; yes is always the answer that a genuine photo gets.

    Attributes:
        kind: real: unedited and not generated; appearance: is it who it is claimed to be;
            behaviour: is what is seen plausible for them.
        identity: name of loaded identity tokens; None for "real".
        similarity: cosine of the face's embedding to the person's, -1..1, told to the model where
            it is given.

    Raises:
        UsageError: a question about nobody, a "real" about somebody, or no such kind.
    """

    kind: Kind
    identity: str | None = None
    similarity: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("real", "appearance", "behaviour"):
            raise UsageError(f"there is no question {self.kind!r}", "real, appearance, behaviour")
        if (self.identity is None) != (self.kind == "real"):
            raise UsageError(
                f"a question about {self.kind} with the identity {self.identity!r}",
                "name one for appearance and behaviour, and none for real",
            )


@cache
def prompts() -> dict[str, Any]:
    text = files("forensics.networks.vlm").joinpath("prompts.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def version() -> int:
    """Of the words; scores of two versions are never compared."""
    return prompts()["version"]


def side_asked(kind: Kind, sides: Mapping[Side, int], identity: str | None) -> Side:
    """Which identifier a question is about.

    Raises:
        UsageError: the identity has none for it.
    """
    side: Side = "u" if "u" in sides else _SIDE[kind]
    if side not in sides:
        raise UsageError(
            f"{identity} has no tokens for {kind}", "enrol the person with both identifiers"
        )
    return side


def question_text(question: Question, sides: Mapping[Side, int], form: Form) -> str:
    """A user's turn in words; token names stand for the identity's rows."""
    words = prompts()
    if question.kind == "real":
        return f"{words['questions']['real']} {words['forms'][form]}"
    side = side_asked(question.kind, sides, question.identity)
    named = identifier(side)
    parts = [introduction(sides)]
    if question.similarity is not None:
        parts.append(similarity_text("similarity", question.similarity, identifier=named))
    parts += [words["questions"][question.kind].format(identifier=named), words["forms"][form]]
    return " ".join(parts)


def introduction(sides: Mapping[Side, int]) -> str:
    """Who is spoken of, told by soft tokens alone."""
    return " ".join(
        prompts()["introduction"].format(
            identifier=identifier(side), soft=" ".join(soft_tokens(side, soft))
        )
        for side, soft in sides.items()
    )


def similarity_text(which: str, cosine: float, **names: str) -> str:
    """A cosine as VIPGuard writes it: half of 1 + cosine, in hundredths."""
    share = round((0.5 + 0.5 * max(-1.0, min(1.0, cosine))) * 100)
    return prompts()[which].format(similarity=share, **names)


def plain(words: str) -> str:
    """Words from outside as a prompt may hold them: no brackets or signs a token could be of."""
    return " ".join(_UNFIT.sub(" ", words).split())[:80]
