"""The door for still images: `read_image` decodes what nobody vouches for into a `Picture`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Picture:
    """A decoded image, with what its file says of how it was compressed.

    Attributes:
        pixels: uint8 (H, W, 3) RGB **as stored**: block grids lie where the encoder put them.
        format: "jpeg", "png", "webp", …; "pixels" for an array that came without a file.
        quantisation: of a JPEG its tables, int (8, 8) each in natural (not zigzag) order, luma
            first; empty for all else.
        subsampling: of a JPEG "4:4:4", "4:2:2", "4:2:0", …; None for all else.
        orientation: EXIF orientation, 1 to 8: how viewers turn the pixels.
        exif: the tags that say what made the file (software, make, model, times), as text.
        notes: what was changed in decoding (alpha dropped, 16 bit reduced, first of n frames).
    """

    pixels: np.ndarray
    format: str = "pixels"
    quantisation: tuple[np.ndarray, ...] = ()
    subsampling: str | None = None
    orientation: int = 1
    exif: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    def upright(self, array: np.ndarray) -> np.ndarray:
        """(H, W, …) in the stored orientation → as viewers show it."""
        turned = array
        if self.orientation in (5, 6, 7, 8):
            turned = turned.swapaxes(0, 1)
        flip_rows = self.orientation in (3, 4, 7, 8)
        flip_columns = self.orientation in (2, 3, 6, 7)
        if flip_rows:
            turned = turned[::-1]
        return np.ascontiguousarray(turned[:, ::-1] if flip_columns else turned)
