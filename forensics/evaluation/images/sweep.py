"""The channels of a robustness sweep of pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from forensics.conditions.image.draw import IMAGE_SWEEP
from forensics.errors import UsageError
from forensics.evaluation.sweep import CLEAN
from forensics.media.image import Picture

_ENDS_IN_JPEG = ("jpeg", "social")


def checked_conditions(names: Sequence[str]) -> tuple[str, ...]:
    """`clean`, then the wanted ones, once each.

    Raises:
        UsageError: there is no such condition.
    """
    for name in names:
        if name not in IMAGE_SWEEP and name != CLEAN:
            known = ", ".join(IMAGE_SWEEP)
            raise UsageError(f"there is no condition {name!r} of pictures", f"there are: {known}")
    return tuple(dict.fromkeys((CLEAN, *names)))


def fingerprint(condition: str) -> str:
    """The condition with its parameters, as finished scores record it."""
    return (
        CLEAN if condition == CLEAN else IMAGE_SWEEP[condition].model_dump_json(exclude={"weight"})
    )


def degraded(
    picture: Picture, mask: np.ndarray | None, sha256: str, condition: str
) -> tuple[Picture, np.ndarray | None]:
    """A picture through a channel, and its mask; the random part depends on the file's hash alone.

    What comes out of a JPEG encoder keeps that file's tables and subsampling, so that detectors
    that read them are tried as well.
    """
    seed = hashlib.sha256(f"{sha256}:{condition}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    choice = IMAGE_SWEEP[condition]
    pixels, moved, drawn = choice.build().apply(picture.pixels, mask, rng)
    return Picture(pixels, **_encoding(choice.use, drawn)), moved


def _encoding(use: str, drawn: dict[str, Any]) -> dict[str, Any]:
    if use not in _ENDS_IN_JPEG:
        return {}
    from forensics.media.image_facts import ijg_tables

    return {
        "format": "jpeg",
        "quantisation": ijg_tables(drawn["quality"]),
        "subsampling": drawn.get("subsampling", "4:2:0"),
    }
