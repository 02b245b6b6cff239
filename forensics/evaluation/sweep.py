"""The channels of a robustness sweep: fixed parameters, the same for every run and detector."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forensics.conditions.draw import ConditionChoice
from forensics.errors import MissingRequirement, UsageError
from forensics.media.audio import Limits, Waveform, read_audio

CLEAN = "clean"

SWEEP: dict[str, ConditionChoice] = {
    "opus": ConditionChoice(use="opus", params={"kbps": (16, 16)}),
    "mp3": ConditionChoice(use="mp3", params={"kbps": (64, 64)}),
    "telephone": ConditionChoice(
        use="telephone",
        params={"low_hz": (300, 300), "high_hz": (3400, 3400), "codecs": ("none",)},
    ),
    "mulaw": ConditionChoice(
        use="telephone",
        params={"low_hz": (300, 300), "high_hz": (3400, 3400), "codecs": ("mulaw",)},
    ),
    "noise20": ConditionChoice(use="noise", params={"colours": ("white",), "snr_db": (20, 20)}),
    "noise10": ConditionChoice(use="noise", params={"colours": ("white",), "snr_db": (10, 10)}),
    "reverb": ConditionChoice(use="room", params={"rt60_s": (0.5, 0.5), "drr_db": (3, 3)}),
    "slow": ConditionChoice(use="speed", params={"factor": (0.87, 0.87)}),
    "fast": ConditionChoice(use="speed", params={"factor": (1.15, 1.15)}),
}
"""Bit rates in kbit/s; `mulaw` is the telephone band through G.711; the reverberation time is 0.5 s
at a direct-to-reverberant ratio of 3 dB; `slow` and `fast` change pitch with tempo."""


def checked_conditions(names: Sequence[str]) -> tuple[str, ...]:
    """`clean`, then the wanted ones, once each.

    Raises:
        UsageError: there is no such condition.
        MissingRequirement: one lacks what it needs on this machine.
    """
    for name in names:
        if name not in SWEEP and name != CLEAN:
            raise UsageError(f"there is no condition {name!r}", f"there are: {', '.join(SWEEP)}")
    wanted = tuple(dict.fromkeys((CLEAN, *names)))
    missing: list[MissingRequirement] = [
        lack for name in wanted if name != CLEAN for lack in SWEEP[name].build().check()
    ]
    if missing:
        raise missing[0]
    return wanted


def fingerprint(condition: str) -> str:
    """The condition with its parameters, as finished scores record it."""
    return CLEAN if condition == CLEAN else SWEEP[condition].model_dump_json(exclude={"weight"})


def degraded(media: Path | bytes, sha256: str, condition: str, limits: Limits) -> Waveform:
    """A whole clip through a channel; its random part depends on the clip's hash alone.

    Raises:
        MediaError: the clip cannot be decoded.
    """
    wave = read_audio(media, limits=limits)
    seed = hashlib.sha256(f"{sha256}:{condition}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    return SWEEP[condition].build().apply(wave, rng)[0]
