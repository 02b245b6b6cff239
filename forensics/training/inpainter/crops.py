"""Frames → batches of crops with holes, each drawn from the number of its step alone."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from forensics.corpus.images.frame import Frame, FrameReader
from forensics.corpus.images.recipe import Frames
from forensics.corpus.images.source import load_source
from forensics.corpus.item import Source
from forensics.draws import uniform
from forensics.errors import MediaError, UsageError
from forensics.training.inpainter.config import InpainterConfig
from forensics.training.inpainter.holes import drawn_hole

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holed:
    """Crops and their holes.

    Attributes:
        pictures: float32 (B, 3, side, side) in -1..1.
        masks: float32 (B, 1, side, side), 1 in the hole.
    """

    pictures: Tensor
    masks: Tensor

    def to(self, device: torch.device) -> Holed:
        return Holed(self.pictures.to(device), self.masks.to(device))


class HoledCrops:
    """Crops of a source's frames.

    Args:
        frames: those to cut from.
    """

    def __init__(
        self, source: Source[Frame], frames: Sequence[Frame], config: InpainterConfig, how: Frames
    ):
        self.frames, self.config = list(frames), config
        self._reader = FrameReader(source.root, how)
        self._cache: dict[str, np.ndarray] = {}
        self._room = config.cache_mb << 20
        self._unreadable: set[str] = set()

    def batch(self, step: int, size: int) -> Holed:
        """`size` crops; the same for the same config, frames and step."""
        rng = np.random.default_rng([self.config.seed, step])
        side = self.config.network.side
        crops, holes = [], []
        for _ in range(size):
            crops.append(self._crop(rng, side))
            holes.append(drawn_hole(side, self.config.fit.holes, rng))
        pictures = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1
        masks = torch.from_numpy(np.stack(holes))[:, None].float()
        return Holed(pictures.contiguous(), masks)

    def _crop(self, rng: np.random.Generator, side: int) -> np.ndarray:
        """uint8 (side, side, 3)."""
        pixels = self._drawn_frame(rng)
        height, width = pixels.shape[:2]
        cut = round(uniform(rng, self.config.fit.reach) * side)
        cut = min(cut, height, width)
        top, left = rng.integers(height - cut + 1), rng.integers(width - cut + 1)
        crop = pixels[top : top + cut, left : left + cut]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        how = cv2.INTER_AREA if cut > side else cv2.INTER_CUBIC
        return cv2.resize(np.ascontiguousarray(crop), (side, side), interpolation=how)

    def _drawn_frame(self, rng: np.random.Generator) -> np.ndarray:
        while True:
            frame = self.frames[rng.integers(len(self.frames))]
            if (pixels := self._pixels(frame)) is not None:
                return pixels

    def _pixels(self, frame: Frame) -> np.ndarray | None:
        """The frame; None, and a warning the first time, where it cannot be read."""
        if frame.id in self._cache:
            return self._cache[frame.id]
        try:
            pixels = self._reader.read(frame)
        except MediaError as error:
            if frame.id not in self._unreadable:
                log.warning("passed over: %s: %s", frame.path, error)
                self._unreadable.add(frame.id)
            if len(self._unreadable) == len({one.id for one in self.frames}):
                raise UsageError("no frame can be read any more", "name other frames") from error
            return None
        if pixels.nbytes <= self._room:
            self._cache[frame.id] = pixels
            self._room -= pixels.nbytes
        return pixels


def read_frames(
    source: str, where: dict[str, str] | None, config: InpainterConfig, how: Frames
) -> tuple[Source[Frame], list[Frame], list[Frame]]:
    """The source, the frames to train on, and those of held-out scenes.

    A camera that shares near-duplicate frames with a held-out one is held out as well.

    Raises:
        UsageError: nothing to train on.
    """
    found = load_source(source, where, how)
    usable = [one for one in found.items if not one.broken]
    kept_back = {one.group for one in usable if is_held_out(one.camera, config.held_out_tenths)}
    held = [one for one in usable if one.group in kept_back]
    seen = [one for one in usable if one.group not in kept_back]
    if not seen:
        told = f"; all {len(held)} are of held-out scenes" if held else ""
        raise UsageError(
            f"{source} holds no frame to train on{told}",
            "name a folder of frames with a subfolder a camera, or --set held_out_tenths=0",
        )
    return found, seen, held


def is_held_out(scene: str, tenths: int) -> bool:
    """Whether a scene is kept from training: its name's SHA-256 modulo 10 is `10 - tenths` or
    more."""
    return int(hashlib.sha256(scene.encode()).hexdigest(), 16) % 10 >= 10 - tenths
