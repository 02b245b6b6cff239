"""Crops of pictures as training sees them: placed, sent through a channel, flipped."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from torch import Tensor

from forensics.conditions.image.draw import ImageConditionPolicy
from forensics.errors import UsageError
from forensics.media.image import Picture, encode_image, read_image, read_mask
from forensics.networks.localiser.network import CELL, FINE
from forensics.shards.format import Item
from forensics.training.localiser.losses import region_weights
from forensics.training.localiser.simulated import aged, tampered

Draw = np.random.Generator
Box = tuple[int, int]
"""Top and left of a crop, in pixels of its picture."""

_LEAST_FORGED = 64  # pixels of a mask in a crop from which on the crop counts as forged
_MARGIN = 4  # a crop's surroundings that a channel sees too: the side over this, on each side
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


@dataclass(frozen=True)
class Labelled:
    """A decoded item.

    Attributes:
        mask: bool (H, W), what was changed by intent.
        everywhere: whether the editor made all pixels, so that every crop is forged.
    """

    picture: Picture
    mask: np.ndarray
    everywhere: bool


def decode(item: Item) -> Labelled:
    """Picture and mask of an item.

    Raises:
        UsageError: it is no picture. MediaError: it cannot be decoded, or mask and picture differ
            in size.
    """
    if item.meta.modality != "image":
        raise UsageError(
            f"item {item.key!r} is {item.meta.modality}", "a localiser is trained on pictures"
        )
    picture = read_image(item.media)
    size = picture.height, picture.width
    mask = np.zeros(size, bool) if item.mask is None else read_mask(item.mask, size)
    return Labelled(picture, mask, item.meta.params.get("mode") == "regenerated")


def luma_table(picture: Picture) -> np.ndarray | None:
    """float32 (8, 8) in natural order, None where the file has none."""
    return picture.quantisation[0].astype(np.float32) if picture.quantisation else None


@dataclass(frozen=True)
class Crops:
    """A batch, or a share of one.

    Attributes:
        pixels: uint8 (B, 3, S, S) RGB.
        tables: float32 (B, 8, 8), luma quantisation tables; zeros where they are not known, or
            where the crop does not begin on their grid.
        share, weights, counted: float32 (B, 1, S / 4, S / 4), as the losses want them.
        forged: float32 (B,) 0 or 1; judged: bool (B,), false where a crop holds too little of a
            mask to be called either.
    """

    pixels: Tensor
    tables: Tensor
    share: Tensor
    weights: Tensor
    counted: Tensor
    forged: Tensor
    judged: Tensor

    @classmethod
    def joined(cls, shares: list[Crops]) -> Crops:
        if len(shares) == 1:
            return shares[0]
        names = [one.name for one in fields(cls)]
        return cls(*(torch.cat([getattr(share, name) for share in shares]) for name in names))

    def to(self, device: torch.device) -> Crops:
        names = [one.name for one in fields(self)]
        return Crops(*(getattr(self, name).to(device, non_blocking=True) for name in names))


@dataclass(frozen=True)
class Cropper:
    """Draws crops; every draw comes from the generator that is handed in.

    Attributes:
        side: of a crop, pixels, a multiple of 32.
        on_mask: how often a crop of a forged picture is placed on its mask; else anywhere.
        aligned: how often a crop keeps the phase of the JPEG grid, and with it the table.
        augment: conditions, drawn for each pair by itself, blind to labels.
        recompress: how often a crop is saved as JPEG in the end; always after a condition.
        quality: of that, IJG scale, inclusive.
        flip: how often a crop is mirrored, along each axis by itself.
        simulated: how often the forged crop of a pair is made here, of the pristine one.
    """

    side: int
    on_mask: float
    aligned: float
    augment: ImageConditionPolicy
    recompress: float
    quality: tuple[int, int]
    flip: float
    simulated: float

    def pair(self, real: Item, fake: Item, rng: Draw) -> list[Crops]:
        """One crop of each, from the same place through the same channel where sizes agree."""
        seed = int(rng.integers(2**62))
        pristine, forged = decode(real), decode(fake)
        place = self.place(forged.mask, rng)
        same = pristine.mask.shape == forged.mask.shape
        other = place if same else self.place(pristine.mask, rng)
        return [self.crop(pristine, other, seed), self.crop(forged, place, seed)]

    def simulated_pair(self, real: Item, donor: Item, rng: Draw) -> list[Crops]:
        """A crop of a pristine picture, and the same with a region of another history.

        Both pictures are given a past first. Neither crop has a table but that of its last saving:
        the forged one never was in the file.
        """
        seed = int(rng.integers(2**62))
        host, other = (aged(decode(item).picture.pixels, rng) for item in (real, donor))
        untouched = np.zeros(host.shape[:2], bool)
        top, left = self.place(untouched, rng)
        # Neither grid need begin where the crop's does.
        region = slice(top, top + self.side), slice(left, left + self.side)
        forged, mask = host.copy(), untouched.copy()
        forged[region], mask[region] = tampered(np.ascontiguousarray(host[region]), other, rng)
        pair = ((host, untouched), (forged, mask))
        return [
            self.crop(Labelled(Picture(pixels), changed, False), (top, left), seed)
            for pixels, changed in pair
        ]

    def place(self, mask: np.ndarray, rng: Draw) -> Box:
        """Where to crop: around a drawn place of the mask, or anywhere."""
        places = np.flatnonzero(mask) if rng.random() < self.on_mask else ()
        corner = []
        drawn = None
        if len(places):
            drawn = np.unravel_index(places[rng.integers(len(places))], mask.shape)
        for axis, extent in enumerate(mask.shape):
            most = max(extent - self.side, 0)
            if drawn is None:
                corner.append(int(rng.integers(most + 1)))
            else:
                inside = rng.integers(self.side // 8, self.side * 7 // 8)
                corner.append(int(np.clip(drawn[axis] - inside, 0, most)))
        return corner[0], corner[1]

    def crop(self, labelled: Labelled, place: Box, seed: int) -> Crops:
        """The crop at a place; what happens to it is drawn from the seed alone."""
        rng = np.random.default_rng(seed)
        margin, side = self.side // _MARGIN, self.side
        top, left = (max(0, corner - margin) // CELL * CELL for corner in place)
        region = slice(top, place[0] + side + margin), slice(left, place[1] + side + margin)
        pixels, mask = labelled.picture.pixels[region], labelled.mask[region]
        before = pixels.shape
        pixels, changed, applied = self.augment.apply(pixels, mask, seed)
        mask = mask if changed is None else changed
        table = None if applied else luma_table(labelled.picture)
        quality = int(rng.integers(self.quality[0], self.quality[1], endpoint=True))
        sampling = SUBSAMPLINGS[rng.integers(len(SUBSAMPLINGS))]
        if rng.random() < self.recompress or applied:
            saved = read_image(encode_image(pixels, "jpeg", quality, sampling))  # pyright: ignore
            pixels, table = saved.pixels, luma_table(saved)
        corner = [
            int(np.clip(round((at - start) * now / was), 0, max(now - side, 0)))
            for at, start, now, was in zip(place, (top, left), pixels.shape, before, strict=False)
        ]
        if rng.random() < self.aligned:
            corner = [at // CELL * CELL for at in corner]
        elif corner[0] % CELL or corner[1] % CELL:
            table = None
        window = slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side)
        flips = tuple(axis for axis in (0, 1) if rng.random() < self.flip)
        return self._finished(pixels[window], mask[window], table, labelled.everywhere, flips)

    def _finished(
        self,
        pixels: np.ndarray,
        mask: np.ndarray,
        table: np.ndarray | None,
        everywhere: bool,
        flips: tuple[int, ...],
    ) -> Crops:
        below, right = (self.side - extent for extent in mask.shape)
        counted = np.ones(mask.shape, np.float32)
        if below or right:
            pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="symmetric")
            mask = np.pad(mask, ((0, below), (0, right)))
            counted = np.pad(counted, ((0, below), (0, right)))
            flips = ()  # would move the border, and with it the grid
        pixels, mask, counted = (np.flip(one, flips) for one in (pixels, mask, counted))
        small = (self.side // FINE, self.side // FINE)
        share = cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA)
        count = int(mask.sum())
        return Crops(
            torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None],
            torch.zeros(1, 8, 8) if table is None else torch.from_numpy(table)[None],
            torch.from_numpy(share)[None, None],
            torch.from_numpy(region_weights(share))[None, None],
            torch.from_numpy(
                cv2.resize(np.ascontiguousarray(counted), small, interpolation=cv2.INTER_AREA)
            )[None, None],
            torch.tensor([float(everywhere or count >= _LEAST_FORGED)]),
            torch.tensor([everywhere or count == 0 or count >= _LEAST_FORGED]),
        )
