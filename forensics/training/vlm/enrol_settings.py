"""How a person's tokens are learned."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from forensics.networks.vlm.rows import MAX_SOFT, Side, token_names
from forensics.training.vlm.examples import Forms


class EnrolSettings(BaseModel):
    """The paper's where it says something: ten tokens, AdamW at 1e-3, questions on appearance and
    on behaviour, short reasoning, hard negatives by retrieval. All else is ours.

    Attributes:
        sides: identifiers: "a" appearance and "b" behaviour, either alone, or "u", one for both.
        soft: soft tokens of each.
        start: rows begin like the base's own, or normal with unit spread as VIPGuard's.
        tries: sets of rows that begin at different places. The loss has many hollows, and where the
            rows begin decides in which they end. After half of the steps only the set goes on whose
            answers had the least loss; with n tries an enrolment costs (n + 1) / 2 times as much.
        steps, batch: gradient steps, and questions in each.
        learning_rate: at first; falls along a cosine to 0.
        positives: share of questions about real photos of the person.
        fakes: share, of the others, about forgeries of the person where there are any.
        hard_negatives: how many pictures of other people are kept, those that look most like the
            person to the embedder; 0 keeps them all, which makes most of them easy.
        forms: how answers are put.
        text_weight: what words beside yes and no count for.
        attribute_questions: share of questions without a picture on what the person typically has.
        similarity: tell the embedder's similarity in each question, as VIPGuard does.
        cache_bytes: of encoded pictures that are kept; the others are encoded again when drawn.
        checkpointing: compute activations twice instead of keeping them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    sides: tuple[Side, ...] = ("a", "b")
    soft: int = Field(default=4, ge=0, le=MAX_SOFT)
    start: Literal["base", "normal"] = "base"
    tries: int = Field(default=1, ge=1, le=16)
    steps: int = Field(default=400, ge=1)
    batch: int = Field(default=8, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    positives: float = Field(default=0.5, gt=0, lt=1)
    fakes: float = Field(default=0.5, ge=0, le=1)
    hard_negatives: int = Field(default=64, ge=0)
    forms: Forms = Forms()
    text_weight: float = Field(default=0.3, ge=0)
    attribute_questions: float = Field(default=0.05, ge=0, lt=1)
    similarity: bool = False
    cache_bytes: int = Field(default=4_000_000_000, ge=0)
    checkpointing: bool = False
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _spells(self) -> EnrolSettings:
        if self.sides not in (("a", "b"), ("a",), ("b",), ("u",)):
            raise ValueError("sides are [a, b], [a], [b] or [u]")
        return self

    @property
    def tokens(self) -> tuple[str, ...]:
        return token_names(self.sides, self.soft)
