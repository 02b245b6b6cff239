"""What knows nothing of the pixels: where forgeries usually lie. A detector must beat both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector
from forensics.detectors.image.planes import Plane
from forensics.errors import ForensicsError
from forensics.evaluation.images.pictures import PictureSet
from forensics.media.image import Picture, read_mask

MOST_MASKS = 2000
_SIDE = 128
_SIGMA = 0.25  # of each side


class AlwaysCentre(ImageDetector):
    """A Gaussian in the middle, a quarter of each side wide."""

    name = "always-centre"
    version = "1"
    licence = "Apache-2.0"
    summary = "a Gaussian in the middle of every picture"
    paper = "a baseline"

    def examine(self, picture: Picture) -> Finding:
        height, width = picture.pixels.shape[:2]
        down, across = (
            np.exp(-0.5 * (((np.arange(side) + 0.5) / side - 0.5) / _SIGMA) ** 2)
            for side in (height, width)
        )
        return Finding(score=0.0, heatmap=Plane.of(np.outer(down, across).astype(np.float32)))


class MeanMask(ImageDetector):
    """The mean of the train split's masks, stretched over every picture, its peak at 1."""

    name = "mean-mask"
    version = "1"
    licence = "Apache-2.0"
    summary = "the mean mask of the train split on every picture"
    paper = "a baseline"

    def __init__(self, mean: np.ndarray):
        self.mean = mean

    @classmethod
    def of(cls, masks: Iterable[np.ndarray]) -> MeanMask | None:
        """None when no mask marks a pixel."""
        total = np.zeros((_SIDE, _SIDE))
        for mask in masks:
            total += _resized(mask.astype(np.float32), (_SIDE, _SIDE))
        peak = total.max()
        return cls((total / peak).astype(np.float32)) if peak > 0 else None

    @property
    def digest(self) -> str:
        """SHA-256 of the mean: what finished counts are known by."""
        return hashlib.sha256(self.mean.tobytes()).hexdigest()

    def examine(self, picture: Picture) -> Finding:
        heatmap = _resized(self.mean, picture.pixels.shape[:2])
        return Finding(score=0.0, heatmap=Plane.of(np.clip(heatmap, 0, 1)))


def train_masks(train: PictureSet) -> Iterable[np.ndarray]:
    """The masks of the train split, at most `MOST_MASKS`, evenly spaced; bad ones are left out."""
    forged = [place for place, clip in enumerate(train.clips) if not clip.is_bonafide]
    step = -(-len(forged) // MOST_MASKS) or 1
    for _, marked in train.read(forged[::step]):
        if marked.mask is None:
            continue
        try:
            yield read_mask(marked.mask)
        except ForensicsError:  # a prior needs no complete list
            continue


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 (h, w) → (height, width), averaged when it shrinks."""
    from PIL import Image

    image = Image.fromarray(values)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
