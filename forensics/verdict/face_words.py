"""What a language model writes about a verdict, made fit to be shown. It is never read back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from forensics.detectors.image.base import Words
from forensics.verdict.schema import Explanation, Label
from forensics.verdict.sources import printable

MAX_CHARACTERS = 1000
log = logging.getLogger(__name__)


def written(write: Callable[[], Words | None], genuine: bool) -> Explanation | None:
    """The explanation; None where the model fails or says nothing, for a verdict needs no words."""
    try:
        words = write()
        text = "" if words is None else shown(words.text)
    except Exception as error:
        log.warning("no explanation: %s", error)
        return None
    if words is None or not text:
        return None
    from forensics.networks.vlm.explanation import as_explanation

    return Explanation(
        text=text,
        argues_for="genuine" if genuine else "manipulated",
        model=words.model,
        prompt_version=words.prompt_version,
        problem=as_explanation(text, genuine).problem,
    )


def side_argued(label: Label, raw: float) -> bool:
    """Whether words are to argue for a genuine picture; where the label leaves it open, the score
    says."""
    return label == "bonafide" or (label != "manipulated" and raw > 0)


def shown(text: str) -> str:
    """One line of printable characters, cut."""
    line = "".join(c if c.isprintable() else " " for c in printable(text))
    return " ".join(line.split())[:MAX_CHARACTERS]
