"""What a vision-language model learned of one person: a few rows of embedding and output head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from forensics.errors import CorpusError

Side = Literal["a", "b", "u"]
SIDES: tuple[Side, ...] = ("a", "b", "u")
MAX_SOFT = 32  # soft tokens of one identifier
MAX_WIDTH = 65536
# Embedding rows of real models are far below 1; rows learned at a rate of 1.0 reach some hundreds.
MAX_MAGNITUDE = 1000.0
NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_REMEDY = "enrol the person again"


def token_names(sides: Sequence[Side] = ("a", "b"), soft: int = 4) -> tuple[str, ...]:
    """Names of identifiers and soft tokens, e.g. <id_a>, <a1> … <a4>, <id_b>, <b1> … <b4>.

    Args:
        sides: "a" appearance, "b" behaviour, or "u" alone: one identifier for both.
        soft: soft tokens of each identifier.
    """
    return tuple(name for side in sides for name in (identifier(side), *(soft_tokens(side, soft))))


def identifier(side: Side) -> str:
    return f"<id_{side}>"


def soft_tokens(side: Side, soft: int) -> tuple[str, ...]:
    return tuple(f"<{side}{i}>" for i in range(1, soft + 1))


@dataclass(frozen=True, eq=False)
class IdentityRows:
    """The specialised tokens of one person. Checked when it is made, wherever it comes from.

    Attributes:
        name: lower-case letters, digits, "-" and "_"; never part of a prompt.
        tokens: as `token_names` gives them.
        input_rows: float32 (T, d): rows of the input embedding, one for each token.
        output_rows: float32 (T, d): rows of the LM head; with tied embeddings the same numbers.

    Raises:
        CorpusError: names, shapes, dtype or numbers that cannot be from an enrolment.
    """

    name: str
    tokens: tuple[str, ...]
    input_rows: np.ndarray
    output_rows: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise CorpusError(f"{self.name!r} is no identity's name", "use a-z, 0-9, - and _")
        sides_of(self.tokens)
        for what, rows in (("input", self.input_rows), ("output", self.output_rows)):
            self._check(what, rows)
        if self.input_rows.shape != self.output_rows.shape:
            raise CorpusError(f"tokens of {self.name}: input and output rows differ", _REMEDY)

    @property
    def sides(self) -> dict[Side, int]:
        """Soft tokens of each identifier there is."""
        return sides_of(self.tokens)

    @property
    def width(self) -> int:
        return self.input_rows.shape[1]

    def _check(self, what: str, rows: np.ndarray) -> None:
        named = f"tokens of {self.name}: {what} rows"
        if not isinstance(rows, np.ndarray) or rows.dtype != np.float32 or rows.ndim != 2:
            raise CorpusError(f"{named} are no float32 matrix", _REMEDY)
        if rows.shape[0] != len(self.tokens) or not 1 <= rows.shape[1] <= MAX_WIDTH:
            raise CorpusError(f"{named} have shape {rows.shape}", _REMEDY)
        if not np.isfinite(rows).all():
            raise CorpusError(f"{named} hold numbers that are not finite", _REMEDY)
        if np.abs(rows).max() > MAX_MAGNITUDE:
            raise CorpusError(f"{named} hold numbers above {MAX_MAGNITUDE:g}", _REMEDY)


def sides_of(tokens: Sequence[str]) -> dict[Side, int]:
    """The layout that token names spell out.

    Raises:
        CorpusError: they spell none.
    """
    found: dict[Side, int] = {
        side: sum(bool(re.fullmatch(rf"<{side}\d+>", str(name))) for name in tokens)
        for side in SIDES
        if identifier(side) in tokens
    }
    spelled = [name for side, soft in found.items() for name in token_names((side,), soft)]
    alone = "u" not in found or len(found) == 1
    if not found or not alone or spelled != list(tokens) or max(found.values()) > MAX_SOFT:
        raise CorpusError(f"token names {list(tokens)[:12]} are of no identity", _REMEDY)
    return found
