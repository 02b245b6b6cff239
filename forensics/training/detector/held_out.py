"""Scores of clips that training did not hear, cut and pooled as `forensics.detect` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forensics import shards
from forensics.detectors.network_detector import NetworkDetector
from forensics.errors import MediaError
from forensics.evaluation.metrics import auc, eer
from forensics.evaluation.sweep import CLEAN, degraded
from forensics.media.audio import Limits, Waveform
from forensics.shards.dataset import decode
from forensics.shards.format import Item, Split
from forensics.shards.storage import Url
from forensics.training.detector.windows import Keep
from forensics.verdict.speech import SpeechConfig, Window, cut, pool

Score = Callable[[np.ndarray], np.ndarray]
"""float32 (B, window) → raw scores float64 (B,), higher = bona fide."""


@dataclass(frozen=True)
class Scored:
    """Scores float64 (N,), higher = bona fide, beside system ("bonafide" for real), group, and the
    channel that the clip was sent through ("clean" for none)."""

    score: np.ndarray
    system: np.ndarray
    group: np.ndarray
    channel: np.ndarray

    @property
    def is_bonafide(self) -> np.ndarray:
        return self.system == "bonafide"

    def save(self, path: Path) -> None:
        np.savez(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Scored:
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**arrays)

    def where(self, chosen: np.ndarray) -> Scored:
        return Scored(*(column[chosen] for column in vars(self).values()))

    def mapped(self, scale: float, offset: float) -> Scored:
        """With `scale * score + offset`."""
        return replace(self, score=scale * self.score + offset)

    def systems(self) -> list[str]:
        """The forging systems, sorted."""
        return sorted(set(self.system[~self.is_bonafide].tolist()))

    def by_system(self) -> dict[str, tuple[float, float]]:
        """System → (EER, AUC) against all bona fide."""
        real = self.score[self.is_bonafide]
        return {
            name: (eer(real, fake).value, auc(real, fake))
            for name in self.systems()
            for fake in [self.score[self.system == name]]
        }


def concatenated(parts: list[Scored]) -> Scored:
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Scored(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class CutClip:
    """One clip of a corpus, cut as detection cuts it."""

    windows: tuple[Window, ...]
    system: str
    group: str
    channel: str = CLEAN


def clips(
    corpus: Url,
    split: Split,
    keep: Keep,
    window_samples: int,
    part: int = 0,
    parts: int = 1,
    channel: str = CLEAN,
) -> Iterator[CutClip]:
    """The clips of a split that `keep` wants and that hold enough sound to be judged.

    Args:
        part: of `parts` that the clips are dealt to in turn.
        channel: that each is sent through, of `forensics.evaluation.sweep`.
    """
    config = SpeechConfig()
    wanted = (
        item
        for item in shards.open(corpus, split, shuffle=False, rank=0, world_size=1)
        if keep(item.meta.system, item.meta.group)
    )
    for item in islice(wanted, part, None, parts):
        wave = _heard(item, channel)
        try:
            speech = cut(wave, wave.sampling_rate, window_samples, config)
        except MediaError:  # the verdict on it would be `not_applicable`
            continue
        yield CutClip(speech.windows, item.meta.system, item.meta.group, channel)


def _heard(item: Item, channel: str) -> Waveform:
    if channel != CLEAN:
        return degraded(item.media, item.meta.sha256, channel, Limits())
    samples, rate, _ = decode(item)
    return Waveform(samples, rate)


def score_clips(score: Score, chosen: Iterable[CutClip]) -> Scored:
    """One score a clip, pooled over its windows as a verdict is."""
    values, systems, groups, channels = [], [], [], []
    for clip in chosen:
        raw = score(np.stack([window.samples for window in clip.windows]))
        values.append(pool(clip.windows, raw))
        systems.append(clip.system)
        groups.append(clip.group)
        channels.append(clip.channel)
    return Scored(np.array(values, float), *(np.array(c, str) for c in (systems, groups, channels)))


def scorer(network: Any, device: torch.device) -> Score:
    """A network as a function of windows, in evaluation mode, as the detector runs it."""
    at_once = NetworkDetector.batch[device.type]

    def score(windows: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(windows).split(at_once)
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            scores = [network.describe(part.to(device)).score for part in rows]
        return torch.cat(scores).double().cpu().numpy()

    network.eval()
    return score
