"""Crops of real faces, and what of each is hidden."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from forensics.detectors.face.window import Window, resized
from forensics.errors import UsageError
from forensics.faces.align import crop_to_picture
from forensics.faces.base import Face
from forensics.media.image import read_image
from forensics.networks.face_encoder.masking import masked
from forensics.networks.face_encoder.regions import BACKGROUND, LABELS, template, touching
from forensics.shards.format import Item
from forensics.training.face_classifier.crops import box_of

Draw = np.random.Generator


@dataclass(frozen=True)
class MaskedFaces:
    """A batch, or a share of one.

    Attributes:
        pixels: uint8 (B, 3, S, S) RGB.
        hidden, covered: bool (B, N), see `masking.Masking`.
    """

    pixels: Tensor
    hidden: Tensor
    covered: Tensor

    @classmethod
    def joined(cls, shares: list[MaskedFaces]) -> MaskedFaces:
        if len(shares) == 1:
            return shares[0]
        names = [one.name for one in fields(cls)]
        return cls(*(torch.cat([getattr(share, name) for share in shares]) for name in names))

    def to(self, device: torch.device) -> MaskedFaces:
        names = [one.name for one in fields(self)]
        return MaskedFaces(*(getattr(self, name).to(device, non_blocking=True) for name in names))


@dataclass(frozen=True)
class FaceMasker:
    """Makes crops of real photos and hides patches of them.

    Attributes:
        side, patch: of the encoder, pixels.
        margin, shift, zoom, flip: see `FaceEncoderFitConfig`.
        share: of the patches, that is hidden.
        parsing: folder of the user's parsing maps; None: the template.
    """

    side: int
    patch: int
    margin: float
    shift: float
    zoom: float
    flip: float
    share: float
    parsing: str | None = None

    def pcm(self, item: Item) -> Item:
        """What a lane keeps of an item: all of it."""
        return item

    def cut(self, item: Item, rng: Draw) -> tuple[MaskedFaces, None]:
        """One crop, drawn; as lanes want it."""
        return self.crop(item, rng, still=False), None

    def crop(self, item: Item, rng: Draw, still: bool) -> MaskedFaces:
        """One crop with its masking.

        Args:
            still: cut just where detection cuts it, and not mirrored.

        Raises:
            UsageError: the corpus does not say where the face is, or a parsing map is missing or
                none. MediaError: the photo cannot be decoded.
        """
        pixels = read_image(item.media).pixels
        box = box_of(item.meta)
        window = Window.around(box, self.margin)
        flip = False
        if not still:
            side = max(8, round(window.side * self.zoom ** rng.uniform(-1, 1)))
            across, down = rng.uniform(-self.shift, self.shift, 2) * side
            middle = (window.side - side) / 2
            left, top = window.left + middle + across, window.top + middle + down
            window = Window(round(left), round(top), side)
            flip = rng.random() < self.flip
        crop = resized(window.cut(pixels, window.side), self.side)
        if self.parsing is None:
            parsed = self._template(window, Face(box))
        else:
            parsed = self._parsed(item.key, window, (pixels.shape[0], pixels.shape[1]))
        if flip:
            crop, parsed = crop[:, ::-1], parsed[:, ::-1]
        drawn = masked(touching(np.ascontiguousarray(parsed), self.patch), self.share, rng)
        return MaskedFaces(
            torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))[None],
            torch.from_numpy(drawn.hidden)[None],
            torch.from_numpy(drawn.covered)[None],
        )

    def _template(self, window: Window, face: Face) -> np.ndarray:
        """Labels (side, side): the template laid over the face."""
        centres = (np.arange(self.side) + 0.5) * window.side / self.side - 0.5
        across, down = np.meshgrid(centres + window.left, centres + window.top)
        points = np.stack([across, down], -1)
        to_crop = cv2.invertAffineTransform(crop_to_picture(face))
        return template(points @ to_crop[:, :2].T + to_crop[:, 2])

    def _parsed(self, key: str, window: Window, size: tuple[int, int]) -> np.ndarray:
        assert self.parsing is not None
        path = Path(self.parsing) / f"{key}.png"
        if not path.is_file():
            raise UsageError(f"there is no parsing map {path}", "make one for each photo")
        labels = read_image(path).pixels[..., 0]
        if labels.shape != size or labels.max() >= LABELS:
            raise UsageError(
                f"{path}: {labels.shape[1]} x {labels.shape[0]}, labels up to {labels.max()}",
                f"as large as its photo, {size[1]} x {size[0]}, with labels below {LABELS}",
            )
        left, top, right, bottom = window.inside(*size)
        whole = np.full((window.side, window.side), BACKGROUND, np.uint8)
        rows = slice(top - window.top, bottom - window.top)
        columns = slice(left - window.left, right - window.left)
        whole[rows, columns] = labels[top:bottom, left:right]
        return cv2.resize(whole, (self.side, self.side), interpolation=cv2.INTER_NEAREST)
