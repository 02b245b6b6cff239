"""Questions with their answers, as training puts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from forensics.networks.vlm.prompts import (
    Form,
    Question,
    introduction,
    plain,
    prompts,
    question_text,
    side_asked,
    similarity_text,
)
from forensics.networks.vlm.rows import Side, identifier
from forensics.networks.vlm.talk import Talk

Reason = Literal["real", "appearance", "behaviour", "pair"]


class Forms(BaseModel):
    """How often an answer has each form.

    Attributes:
        direct: the verdict alone.
        explained: the verdict, then why: what explanations are continued from.
        reasoned: why, then the verdict: the paper's form.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    direct: float = Field(default=0.4, ge=0)
    explained: float = Field(default=0.3, ge=0)
    reasoned: float = Field(default=0.3, ge=0)

    def drawn(self, rng: np.random.Generator) -> Form:
        shares = np.array([self.direct, self.explained, self.reasoned])
        forms: tuple[Form, ...] = ("direct", "explained", "reasoned")
        return forms[rng.choice(3, p=shares / shares.sum())]


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture for training, and what is known of it.

    Attributes:
        pixels: uint8 (H, W, 3) RGB.
        attributes: words such as {"hair": "short dark"}, of looks; `scenes`: of what surrounds.
        looks, acts: whether the face, and the scene, are as the person's; None: as the role of the
            picture has it, yes for photos and no for forgeries and for other people.
    """

    pixels: np.ndarray
    attributes: Mapping[str, str] = field(default_factory=dict)
    scenes: Mapping[str, str] = field(default_factory=dict)
    looks: bool | None = None
    acts: bool | None = None

    def facts(self, kind: Reason) -> dict[str, str]:
        known = self.scenes if kind == "behaviour" else self.attributes
        return {plain(name): plain(value) for name, value in known.items()}


def usual(pictures: Sequence[Shown], kind: Reason) -> dict[str, str]:
    """The most common value of each attribute."""
    counted: dict[str, Counter[str]] = {}
    for one in pictures:
        for name, value in one.facts(kind).items():
            counted.setdefault(name, Counter())[value] += 1
    return {name: values.most_common(1)[0][0] for name, values in counted.items()}


def asked(
    question: Question,
    shown: Shown,
    is_yes: bool,
    form: Form,
    sides: Mapping[Side, int],
    typical: Mapping[str, str],
    rng: np.random.Generator,
) -> Talk:
    """A question about one picture, answered."""
    named = ""
    if question.kind != "real":
        named = identifier(side_asked(question.kind, sides, question.identity))
    why = reason(question.kind, is_yes, shown.facts(question.kind), typical, named, rng)
    return answered(
        question_text(question, sides, form), (shown.pixels,), question.identity, is_yes, form, why
    )


def answered(
    text: str,
    pictures: tuple[np.ndarray, ...],
    identity: str | None,
    is_yes: bool,
    form: Form,
    why: str,
) -> Talk:
    verdict = "yes" if is_yes else "no"
    template = prompts()["answers"][form]
    before = template.partition("{verdict}")[0].format(reason=why)
    answer = template.format(verdict=verdict, reason=why)
    return Talk(text, pictures, identity, answer, verdict=len(before))


def reason(
    kind: Reason,
    is_yes: bool,
    facts: Mapping[str, str],
    typical: Mapping[str, str],
    named: str,
    rng: np.random.Generator,
) -> str:
    """Why: by an attribute that says it where one does, else in general words."""
    words = prompts()["reasons"][kind]
    fits = [name for name in facts if (facts[name] == typical.get(name)) == is_yes]
    fits = [name for name in fits if name in typical]
    if not fits:
        return words["agree" if is_yes else "deny"].format(identifier=named)
    name = fits[rng.integers(len(fits))]
    return words["match" if is_yes else "contrast"].format(
        attribute=name, value=facts[name], typical=typical[name], identifier=named
    )


def pair_asked(
    one: Shown,
    two: Shown,
    is_yes: bool,
    form: Form,
    cosine: float | None,
    rng: np.random.Generator,
) -> Talk:
    """Two pictures: are they of the same person, and both genuine?"""
    words = prompts()
    told = [] if cosine is None else [similarity_text("pair_similarity", cosine)]
    text = " ".join([*told, words["questions"]["pair"], words["forms"][form]])
    why = reason("pair", is_yes, one.facts("pair"), two.facts("pair"), "", rng)
    return answered(text, (one.pixels, two.pixels), None, is_yes, form, why)


def attribute_asked(shown: Shown, name: str) -> Talk:
    """What a picture shows of an attribute."""
    words = prompts()
    text = words["questions"]["attribute"].format(attribute=name)
    value = shown.facts("appearance")[name]
    return Talk(text, (shown.pixels,), None, words["answers"]["attribute"].format(value=value), -1)


def attribute_of_asked(
    identity: str, sides: Mapping[Side, int], side: Side, name: str, value: str
) -> Talk:
    """What a person typically has, without a picture."""
    words = prompts()
    text = words["questions"]["attribute_of"].format(attribute=name, identifier=identifier(side))
    answer = words["answers"]["attribute"].format(value=value)
    return Talk(f"{introduction(sides)} {text}", (), identity, answer, -1)
