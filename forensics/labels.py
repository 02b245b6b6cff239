"""How lists and protocols of others write the two labels."""

from __future__ import annotations

from typing import Literal

ItemLabel = Literal["bonafide", "spoof"]

_WORDS: dict[ItemLabel, tuple[str, ...]] = {
    "bonafide": ("bonafide", "bona-fide", "bona_fide", "bona fide", "real", "genuine", "human"),
    "spoof": (
        *("spoof", "spoofed", "fake", "deepfake", "manipulated", "synthetic", "forged"),
        "generated",
    ),
}
_KNOWN = {word: label for label, words in _WORDS.items() for word in words}


def read_label(text: str) -> ItemLabel | None:
    """The label that a word stands for, whatever its case; None for anything else, e.g. 0 or 1."""
    return _KNOWN.get(text.strip().lower())
