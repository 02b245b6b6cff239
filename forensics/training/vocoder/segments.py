"""Recordings → batches of segments, each drawn from the number of its step alone."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from forensics.corpus.item import Source
from forensics.corpus.speech.source import load_source
from forensics.corpus.speech.utterance import Utterance
from forensics.errors import MediaError, UsageError
from forensics.media.audio import read_audio
from forensics.media.files import read_bytes

log = logging.getLogger(__name__)

_LEAST_RMS = 1e-3


class SpeechSegments:
    """Segments of a source's recordings at one rate.

    Args:
        rate: Hz that recordings are resampled to.
        cache_mb: of decoded int16 recordings that stay in memory.
    """

    def __init__(self, root: Path, utterances: Sequence[Utterance], rate: int, cache_mb: int):
        self.root, self.utterances, self.rate = root, list(utterances), rate
        self._cache: dict[str, np.ndarray] = {}
        self._unreadable: set[str] = set()
        self._room = cache_mb << 20

    def batch(self, seed: int, step: int, size: int, length: int) -> torch.Tensor:
        """float32 (size, length) at random levels; the same for the same arguments."""
        rng = np.random.default_rng([seed, step])
        return torch.from_numpy(np.stack([self._segment(rng, length) for _ in range(size)]))

    def clip(self, utterance: Utterance) -> np.ndarray:
        """float32 (T,), the whole recording.

        Raises:
            MediaError: it cannot be decoded, though its header looked well.
        """
        if utterance.id in self._cache:
            return self._cache[utterance.id].astype(np.float32) / 32768
        wave = read_audio(read_bytes(self.root / utterance.path, span=utterance.span))
        samples = wave.resampled(self.rate).samples
        stored = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        if stored.nbytes <= self._room:
            self._cache[utterance.id] = stored
            self._room -= stored.nbytes
        return stored.astype(np.float32) / 32768

    def readable(self, utterances: Sequence[Utterance]) -> list[Utterance]:
        """Those that can be decoded; the others are named in a warning."""
        return [one for one in utterances if self._heard(one) is not None]

    def _heard(self, utterance: Utterance) -> np.ndarray | None:
        """The recording; None, and a warning the first time, where it cannot be decoded."""
        try:
            return self.clip(utterance)
        except MediaError as error:
            if utterance.id not in self._unreadable:
                log.warning("passed over: %s: %s", utterance.path, error)
                self._unreadable.add(utterance.id)
            if self._unreadable.issuperset(one.id for one in self.utterances):
                raise UsageError(
                    f"no recording of {self.root} can be decoded", "name other recordings"
                ) from error
            return None

    def _segment(self, rng: np.random.Generator, length: int) -> np.ndarray:
        segment = self._cut(rng, length)
        for _ in range(20):  # a few tries past silence, and past what cannot be decoded
            if np.sqrt(np.mean(segment**2)) > _LEAST_RMS:
                break
            segment = self._cut(rng, length)
        level = 10 ** (rng.uniform(-12, 6) / 20)
        return np.clip(segment * level, -1, 1).astype(np.float32)

    def _cut(self, rng: np.random.Generator, length: int) -> np.ndarray:
        clip = self._heard(self.utterances[rng.integers(len(self.utterances))])
        if clip is None:
            return np.zeros(length, np.float32)
        if len(clip) < length:
            clip = np.pad(clip, (0, length - len(clip)))
        start = rng.integers(len(clip) - length + 1)
        return clip[start : start + length]


def read_recordings(
    source: str, where: dict[str, str] | None, held_out_share: float, shortest_s: float
) -> tuple[Source[Utterance], list[Utterance], list[Utterance]]:
    """The source, the recordings to train on, and those of held-out speakers.

    Raises:
        UsageError: nothing to train on.
    """
    found = load_source(source, where)
    usable = [
        one
        for one in found.items
        if not one.broken and not one.text_only and one.duration_s >= shortest_s
    ]
    held = [one for one in usable if _is_held_out(one.group, held_out_share)]
    heard = [one for one in usable if not _is_held_out(one.group, held_out_share)]
    if held and not heard:
        raise UsageError(
            f"{source}: held_out_share {held_out_share:g} keeps back all speakers that there are",
            "--set held_out_share=0, or name more speakers",
        )
    if not heard:
        raise UsageError(
            f"{source} holds no recording of {shortest_s:g} s or more to train on",
            "name a folder of speech with subfolders for speakers",
        )
    return found, heard, held


def _is_held_out(group: str, share: float) -> bool:
    digest = hashlib.sha256(f"held out:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
