"""What a localiser says of whole pictures that training did not see."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch

from forensics import shards
from forensics.conditions.image.draw import IMAGE_SWEEP
from forensics.evaluation.metrics import auc
from forensics.evaluation.sweep import CLEAN
from forensics.media.image import encode_image, read_image
from forensics.networks.localiser.network import FINE, Localiser
from forensics.networks.localiser.tiles import localise
from forensics.shards.format import Item, Split
from forensics.shards.storage import Url
from forensics.training.detector.held_out import Scored, concatenated
from forensics.training.detector.windows import Keep
from forensics.training.localiser.crops import decode, luma_table

LOGITS = np.linspace(-6, 6, 49)
"""Cuts of the mask's logits that are tried."""
_SAVED_QUALITY = 90  # of the file that comes out of a channel


@dataclass(frozen=True)
class Pictures:
    """What was found on N pictures.

    Attributes:
        scored: image scores.
        mode: of the edit, "" for bona fide.
        f1: float64 (N, 49), pixel F1 of each at each cut in `LOGITS`; NaN for bona fide.
    """

    scored: Scored
    mode: np.ndarray
    f1: np.ndarray

    def save(self, path: Path) -> None:
        np.savez(path, mode=self.mode, f1=self.f1, **vars(self.scored))

    @classmethod
    def load(cls, path: Path) -> Pictures:
        with np.load(path, allow_pickle=False) as arrays:
            columns = dict(arrays)
        mode, f1 = columns.pop("mode"), columns.pop("f1")
        return cls(Scored(**columns), mode, f1)

    def where(self, chosen: np.ndarray) -> Pictures:
        return Pictures(self.scored.where(chosen), self.mode[chosen], self.f1[chosen])

    def auc(self) -> dict[str, float]:
        """System → area under the curve against all bona fide."""
        scored = self.scored
        real = scored.score[scored.is_bonafide]
        return {
            name: auc(real, scored.score[scored.system == name])
            for name in scored.systems()
            if len(real)
        }

    def pixel_f1(self, mode: str = "composite") -> np.ndarray | None:
        """Mean F1 over edited pictures of that mode at each cut, (49,); None without any."""
        chosen = self.mode == mode
        return self.f1[chosen].mean(0) if chosen.any() else None


def joined(parts: list[Pictures]) -> Pictures:
    return Pictures(
        concatenated([part.scored for part in parts]),
        np.concatenate([part.mode for part in parts]),
        np.concatenate([part.f1 for part in parts]),
    )


def items(corpus: Url, split: Split, keep: Keep, part: int = 0, parts: int = 1) -> Iterator[Item]:
    """The pictures of a split that `keep` wants; every `parts`-th of them."""
    wanted = (
        item
        for item in shards.open(corpus, split, shuffle=False, rank=0, world_size=1)
        if keep(item.meta.system, item.meta.group)
    )
    return islice(wanted, part, None, parts)


def chosen(found: Iterable[Item], count: int) -> list[Item]:
    """So many of them at most, a third of them bona fide; the same ones every time."""
    ordered = sorted(found, key=lambda item: hashlib.sha256(item.key.encode()).digest())
    real = [item for item in ordered if item.meta.label == "bonafide"][: -(-count // 3)]
    fake = [item for item in ordered if item.meta.label != "bonafide"]
    return real + fake[: count - len(real)]


def look(
    network: Localiser,
    device: torch.device,
    pictures: Iterable[Item],
    channel: str = CLEAN,
) -> Pictures:
    """Score pictures whole, as detection does.

    Args:
        channel: that each goes through first, a name of `IMAGE_SWEEP`.
    """
    network.eval()
    score, system, group, mode, f1 = [], [], [], [], []
    for item in pictures:
        labelled = decode(item)
        pixels, mask, table = labelled.picture.pixels, labelled.mask, luma_table(labelled.picture)
        if channel != CLEAN:
            pixels, mask, table = through(channel, item.key, pixels, mask)
        found = localise(network, pixels, table, device)
        score.append(found.score)
        system.append(item.meta.system)
        group.append(item.meta.group)
        forged = item.meta.label != "bonafide"
        mode.append(str(item.meta.params.get("mode", "composite")) if forged else "")
        f1.append(f1_at_cuts(found.logits, mask) if forged else np.full(len(LOGITS), np.nan))
    return Pictures(
        Scored(
            np.array(score, float),
            np.array(system, str),
            np.array(group, str),
            np.full(len(score), channel),
        ),
        np.array(mode, str),
        np.array(f1, float).reshape(-1, len(LOGITS)),
    )


def through(
    channel: str, key: str, pixels: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Pixels and mask after a channel, saved as JPEG in the end; and the table of that."""
    seed = np.frombuffer(hashlib.sha256(key.encode()).digest(), np.uint32)
    condition = IMAGE_SWEEP[channel].build()
    pixels, changed, _ = condition.apply(pixels, mask, np.random.default_rng(seed))
    saved = read_image(encode_image(pixels, "jpeg", _SAVED_QUALITY))
    assert changed is not None
    return saved.pixels, changed, luma_table(saved)


def f1_at_cuts(logits: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixel F1 of `logits` (h, w), 4 pixels apart, against `mask` (H, W), at each cut: (49,)."""
    height, width = mask.shape
    whole = (logits.shape[1] * FINE, logits.shape[0] * FINE)
    full = cv2.resize(logits, whole, interpolation=cv2.INTER_LINEAR)[:height, :width]
    edges = np.concatenate([[-np.inf], LOGITS, [np.inf]])
    inside, outside = (np.histogram(full[where], edges)[0] for where in (mask, ~mask))
    hits, alarms = (np.cumsum(counts[::-1])[::-1][1:] for counts in (inside, outside))
    return 2 * hits / np.maximum(hits + alarms + mask.sum(), 1)
