"""What a vision-language model is asked about a face that claims to be somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.identity.tensors import Identity

if TYPE_CHECKING:
    from forensics.networks.vlm.prompts import Question
    from forensics.networks.vlm.rows import IdentityRows


def rows_of(person: Identity) -> IdentityRows:
    """The person's tokens as a model takes them.

    Raises:
        CorpusError: they cannot be from an enrolment.
    """
    from forensics.networks.vlm.rows import IdentityRows

    tokens, inputs, outputs = person.card.tokens, person.input_rows, person.output_rows
    assert tokens is not None and inputs is not None and outputs is not None
    return IdentityRows(person.card.slug, tokens.names, inputs, outputs)


def questions_of(person: Identity, similarity: float) -> list[Question]:
    """Do looks and scene fit this person?"""
    tokens = person.card.tokens
    assert tokens is not None
    told = similarity if tokens.told_similarity else None
    return questions_about(person.card.slug, tokens.names, told)


def questions_about(slug: str, names: tuple[str, ...], told: float | None) -> list[Question]:
    """One question for each identifier among the tokens' names; of one for both, one."""
    from forensics.networks.vlm.prompts import Question

    kinds = {"<id_a>": "appearance", "<id_b>": "behaviour", "<id_u>": "appearance"}
    return [
        Question(kinds[name], slug, told)  # pyright: ignore[reportArgumentType]
        for name in names
        if name in kinds
    ]
