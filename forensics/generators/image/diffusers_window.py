"""The part of a frame that a model sees, at the size that it works at, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.generators.image.requests import CannotEdit, cut, widened
from forensics.scenes.regions import Box, box_of

_SMALLEST = 64  # pixels; FLUX.2 takes no smaller side
_LONGEST = 4.0  # ratio of a window's sides, where the frame allows it
_ASPECT = 0.05  # pipelines round to multiples of 16 or 32; beyond that it is another picture


@dataclass(frozen=True)
class Grid:
    """What sizes a model works at, pixels.

    Attributes:
        multiple: sides must be multiples of it.
        cell: side of what one latent position covers.
        native: side of the square it was trained on.
    """

    multiple: int
    cell: int
    native: int


@dataclass(frozen=True)
class Window:
    """A box of the frame, and (width, height) at which the model works on it."""

    box: Box
    size: tuple[int, int]

    @classmethod
    def around(cls, mask: np.ndarray, context: float, grid: Grid, size: int | None) -> Window:
        """The mask's box with context on all sides, never thinner than a quarter of its length."""
        left, top, right, bottom = box = box_of(mask)
        longer = max(right - left, bottom - top)
        box = widened(box, max(round(context * longer), 8), mask.shape)
        width, height = box[2] - box[0], box[3] - box[1]
        lacking = int(max(width, height) / _LONGEST - min(width, height) + 1) // 2
        if lacking > 0:
            wide = widened(box, lacking, mask.shape)
            box = (box[0], wide[1], box[2], wide[3]) if width > height else (
                wide[0], box[1], wide[2], box[3]
            )  # fmt: skip
        return cls(box, _working(box, grid, size))

    @classmethod
    def whole(cls, mask: np.ndarray, grid: Grid, size: int | None) -> Window:
        """The whole frame."""
        box = (0, 0, mask.shape[1], mask.shape[0])
        return cls(box, _working(box, grid, size))

    def pixels(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) → the window at the working size."""
        return resized(cut(frame, self.box), self.size)

    def mask(self, mask: np.ndarray, cell: int) -> np.ndarray:
        """bool (H, W) → the window's mask at the working size, grown to whole latent cells.

        Pipelines sample the mask once per latent position, so a thin one would be lost.
        """
        part = cut(mask, self.box).astype(np.float32)
        width, height = self.size
        down, across = (
            _overlaps(cells // cell, side)
            for cells, side in ((height, part.shape[0]), (width, part.shape[1]))
        )
        touched = down @ part @ across.T > 0
        return touched.repeat(cell, axis=0).repeat(cell, axis=1)

    def back(self, made: np.ndarray, frame: np.ndarray) -> np.ndarray:
        """What the model returned, uint8 of any size → a copy of the frame with it in the window.

        Raises:
            CannotEdit: another aspect ratio than the window's came back.
        """
        height, width = made.shape[:2]
        asked = self.size[0] / self.size[1]
        if abs(width / height / asked - 1) > _ASPECT:
            raise CannotEdit(
                "the pipeline returned a picture of another aspect ratio",
                f"it gave {width}x{height} for {self.size[0]}x{self.size[1]}: set 'size'",
            )
        left, top, right, bottom = self.box
        result = frame.copy()
        result[top:bottom, left:right] = resized(made, (right - left, bottom - top))
        return result


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (h, w, 3) at (width, height), Lanczos with antialiasing."""
    from PIL import Image

    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _overlaps(cells: int, side: int) -> np.ndarray:
    """float32 (cells, side): 1 where a cell and a pixel share a part of the same stretch."""
    edges = np.arange(cells + 1) * side / cells
    pixels = np.arange(side)
    shared = (edges[:-1, None] < pixels + 1) & (edges[1:, None] > pixels)
    return shared.astype(np.float32)


def _working(box: Box, grid: Grid, size: int | None) -> tuple[int, int]:
    """About `size`² pixels in the box's proportions, in multiples of the grid."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = (size or grid.native) / (width * height) ** 0.5
    least = -(-_SMALLEST // grid.multiple)
    wide, high = (
        grid.multiple * max(round(side * scale / grid.multiple), least) for side in (width, height)
    )
    return wide, high
