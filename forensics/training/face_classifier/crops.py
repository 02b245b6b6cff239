"""Face crops as training sees them: cut with some freedom, sent through a channel, flipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from forensics.conditions.image.draw import ImageConditionPolicy
from forensics.detectors.face.window import Window, resized
from forensics.errors import ForensicsError, UsageError
from forensics.faces.base import Face
from forensics.generators.face.base import FaceForger, FaceRequest, Portrait
from forensics.media.image import encode_image, read_image
from forensics.networks.face_classifier import FINE
from forensics.shards.format import Item, ItemMeta
from forensics.training.localiser.crops import SUBSAMPLINGS, Crops, Labelled, decode
from forensics.training.localiser.losses import region_weights

Draw = np.random.Generator
_LEAST_FORGED = 0.004  # share of a crop that a mask must cover for the crop to count as forged


def box_of(meta: ItemMeta) -> tuple[int, int, int, int]:
    """Where the face of an item lies.

    Raises:
        UsageError: the corpus does not say.
    """
    box: Any = meta.params.get("box")
    if not (isinstance(box, list) and len(box) == 4 and all(isinstance(v, int) for v in box)):
        raise UsageError(
            "an item does not say where its face is",
            "build the corpus with a pipeline of faces, such as identity",
        )
    return box[0], box[1], box[2], box[3]


def people(meta: ItemMeta) -> set[str]:
    """Whose pixels an item holds: the group of its photo, and everybody whose photo was put in."""
    donors: Any = meta.params.get("donors") or []
    return {meta.group, *(str(one["identity"]) for one in donors)}


@dataclass(frozen=True)
class FaceCropper:
    """Draws crops; every draw comes from the generator that is handed in.

    Attributes:
        side, margin: of crops, as the network takes them.
        shift, zoom, augment, recompress, quality, flip: see `FaceFitConfig`.
        blended: how often the forged crop of a pair is blended here; `blender` does it.
    """

    side: int
    margin: float
    shift: float
    zoom: float
    augment: ImageConditionPolicy
    recompress: float
    quality: tuple[int, int]
    flip: float
    blended: float = 0.0
    blender: FaceForger | None = None

    def pair(self, real: Item, fake: Item, rng: Draw) -> list[Crops]:
        """One crop of each, through the same channel."""
        seed = int(rng.integers(2**62))
        return [
            self.crop(decode(item), box_of(item.meta), seed, label=item.meta.label)
            for item in (real, fake)
        ]

    def blended_pair(self, real: Item, rng: Draw) -> list[Crops] | None:
        """A crop of a real photo, and one of the same photo blended with itself; None where the
        forger finds that it cannot."""
        assert self.blender is not None
        seed = int(rng.integers(2**62))
        photo, box = decode(real), box_of(real.meta)
        portrait = Portrait(real.meta.group, photo.picture.pixels, Face(box))
        try:
            edited = self.blender.forge(FaceRequest(real.key, seed, portrait))
        except ForensicsError:
            return None
        forged = Labelled(type(photo.picture)(edited.pixels), edited.mask, False)
        return [
            self.crop(photo, box, seed, label="bonafide", saved=True),
            self.crop(forged, box, seed, label="spoof", saved=True),
        ]

    def crop(
        self,
        labelled: Labelled,
        box: tuple[int, int, int, int],
        seed: int,
        label: str,
        saved: bool = False,
    ) -> Crops:
        """The crop around a face; what happens to it is drawn from the seed alone.

        Args:
            saved: whether it is saved as JPEG in the end whatever is drawn.
        """
        rng = np.random.default_rng(seed)
        window = self._moved(Window.around(box, self.margin), rng)
        pixels, mask = (
            window.cut(one, window.side)
            for one in (labelled.picture.pixels, labelled.mask.astype(np.uint8))
        )
        pixels, changed, _ = self.augment.apply(pixels, mask > 0, seed)
        quality = int(rng.integers(self.quality[0], self.quality[1], endpoint=True))
        sampling = SUBSAMPLINGS[rng.integers(len(SUBSAMPLINGS))]
        if rng.random() < self.recompress or saved:
            pixels = read_image(encode_image(pixels, "jpeg", quality, sampling)).pixels  # pyright: ignore
        assert changed is not None
        return self._finished(pixels, changed, labelled, label, rng.random() < self.flip)

    def _moved(self, window: Window, rng: Draw) -> Window:
        side = max(8, round(window.side * self.zoom ** rng.uniform(-1, 1)))
        across, down = rng.uniform(-self.shift, self.shift, 2) * side
        middle = (window.side - side) / 2
        return Window(round(window.left + middle + across), round(window.top + middle + down), side)

    def _finished(
        self, pixels: np.ndarray, mask: np.ndarray, labelled: Labelled, label: str, flip: bool
    ) -> Crops:
        pixels = resized(pixels, self.side)
        small = (self.side // FINE, self.side // FINE)
        share = cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA)
        if flip:
            pixels, share = pixels[:, ::-1], share[:, ::-1]
        forged = label != "bonafide"
        seen = float(share.mean()) >= _LEAST_FORGED
        # A forgery without a mask, or made as a whole, says nothing about places.
        placed = not forged or (seen and not labelled.everywhere)
        share = np.ascontiguousarray(share) if placed and forged else np.zeros(small, np.float32)
        return Crops(
            torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None],
            torch.zeros(1, 8, 8),
            torch.from_numpy(share)[None, None],
            torch.from_numpy(region_weights(share))[None, None],
            torch.full((1, 1, *small), float(placed)),
            torch.tensor([float(forged)]),
            torch.tensor([not forged or seen or labelled.everywhere]),
        )
