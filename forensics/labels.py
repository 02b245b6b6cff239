"""How lists and protocols of others write the two labels."""

from __future__ import annotations

from typing import Literal

ItemLabel = Literal["bonafide", "spoof"]

_BONAFIDE = ("bonafide", "bona-fide", "bona_fide", "bona fide", "real", "genuine", "human")
_PRISTINE = ("authentic", "pristine", "original")  # how image forensics says it
_SPOOF = ("spoof", "spoofed", "fake", "deepfake", "manipulated", "synthetic", "forged", "generated")
_EDITED = ("tampered", "edited")
_KNOWN: dict[str, ItemLabel] = {
    **dict.fromkeys((*_BONAFIDE, *_PRISTINE), "bonafide"),
    **dict.fromkeys((*_SPOOF, *_EDITED), "spoof"),
}


def read_label(text: str) -> ItemLabel | None:
    """The label that a word stands for, whatever its case; None for anything else, e.g. 0 or 1."""
    return _KNOWN.get(text.strip().lower())
