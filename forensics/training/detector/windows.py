"""Windows of speech as training sees them: cut, sent through a channel, partly hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from forensics.conditions.draw import ConditionPolicy
from forensics.errors import UsageError
from forensics.media.audio import Waveform
from forensics.shards.dataset import decode
from forensics.shards.format import Item
from forensics.training.detector.config import Hiding

Keep = Callable[[str, str], bool]
"""(system, group) → whether training may hear this item."""

Draw = np.random.Generator


@dataclass(frozen=True)
class HidingShape:
    """The spectrogram of a window: equally wide bands from 0 Hz to `top_hz`, by frames."""

    bands: int
    frames: int
    top_hz: float


@dataclass(frozen=True)
class Windows:
    """A batch, or a share of one.

    Attributes:
        samples: float32 (B, window) in [-1, 1].
        bonafide: bool (B,).
        systems: which made each; "bonafide" for real speech.
        shown: float32 (B, bands, frames), 0 where the spectrogram is hidden, else 1.
    """

    samples: Tensor
    bonafide: Tensor
    systems: tuple[str, ...]
    shown: Tensor | None = None

    @classmethod
    def of(cls, drawn: list[tuple[np.ndarray, str, np.ndarray | None]]) -> Windows:
        """Of what a `Cutter` gave, each with its system."""
        systems = tuple(system for _, system, _ in drawn)
        return cls(
            torch.from_numpy(np.stack([samples for samples, _, _ in drawn])),
            torch.tensor([system == "bonafide" for system in systems]),
            systems,
            _stacked([shown for _, _, shown in drawn]),
        )

    @classmethod
    def joined(cls, shares: list[Windows]) -> Windows:
        if len(shares) == 1:
            return shares[0]
        shown = [share.shown for share in shares if share.shown is not None]
        return cls(
            torch.cat([share.samples for share in shares]),
            torch.cat([share.bonafide for share in shares]),
            tuple(system for share in shares for system in share.systems),
            torch.cat(shown) if shown else None,
        )

    def to(self, device: torch.device) -> Windows:
        return Windows(
            self.samples.to(device, non_blocking=True),
            self.bonafide.to(device, non_blocking=True),
            self.systems,
            None if self.shown is None else self.shown.to(device, non_blocking=True),
        )


def _stacked(masks: list[np.ndarray | None]) -> Tensor | None:
    given = [mask for mask in masks if mask is not None]
    return torch.from_numpy(np.stack(given)) if given else None


@dataclass(frozen=True)
class Cutter:
    """Draws one window of a clip; every draw comes from the generator that is handed in.

    Attributes:
        rate: sampling rate that every item must have, Hz.
        window: samples.
        level_db: range of the level that a window is multiplied by.
        shape: of the network's spectrogram; None hides nothing.
    """

    rate: int
    window: int
    augment: ConditionPolicy
    level_db: tuple[float, float]
    hiding: Hiding
    shape: HidingShape | None

    def cut(self, clip: np.ndarray, rng: Draw) -> tuple[np.ndarray, np.ndarray | None]:
        """int16 (T,) → float32 (window,) through a random channel at a random level, and what of
        its spectrogram is shown."""
        samples = clip.astype(np.float32) / 32768
        if len(samples) < self.window:
            samples = np.resize(samples, self.window)  # repeated, as detection does
        start = rng.integers(len(samples) - self.window + 1)
        wave = Waveform(samples[start : start + self.window], self.rate)
        wave, _ = self.augment.apply(wave, int(rng.integers(2**63)))
        level = 10 ** (rng.uniform(*self.level_db) / 20)
        heard = np.clip(wave.samples * level, -1, 1).astype(np.float32)
        return heard, None if self.shape is None else shown(self.hiding, self.shape, rng)

    def pcm(self, item: Item) -> np.ndarray:
        """int16 (T,): what a corpus stores, at half the memory of float32.

        Raises:
            UsageError: the item has another sampling rate.
        """
        samples, sampling_rate, _ = decode(item)
        if sampling_rate != self.rate:
            raise UsageError(
                f"item {item.key!r} is at {sampling_rate} Hz, training wants {self.rate} Hz",
                "build the corpus at that rate",
            )
        return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def shown(hiding: Hiding, shape: HidingShape, rng: Draw) -> np.ndarray:
    """What a network may see of one window: float32 (bands, frames), 0 where it is hidden."""

    def stripe(size: int, share: float) -> slice:
        width = rng.uniform(0, share * size)
        start = rng.uniform(0, size - width)
        return slice(int(np.ceil(start)), int(np.ceil(start + width)))

    mask = np.ones((shape.bands, shape.frames), np.float32)
    lowest = min(hiding.lowest_top_hz / shape.top_hz, 1.0) * shape.bands
    top = rng.uniform(lowest, shape.bands)
    if rng.random() < hiding.top_probability:
        mask[int(np.ceil(top)) :] = 0
    mask[stripe(shape.bands, hiding.band_share)] = 0
    mask[:, stripe(shape.frames, hiding.time_share)] = 0
    return mask
