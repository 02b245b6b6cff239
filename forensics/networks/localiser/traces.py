"""Traces that need no learning: statistics of each cell, which another history leaves different.

What the classical detectors look at one by one, as planes for a network that learns how much each
is worth beside what the place shows. Nothing here is learned, so few pictures teach the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.localiser.jpeg_stream import dct_kernels, lowest
from forensics.networks.localiser.residuals import LUMA, luma, srm_kernels

CELL = 8
_LAGS = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 1), (0, 3), (3, 0))
_GHOSTS = (50, 60, 68, 75, 80, 85, 90, 95)
"""Qualities that a region may have been saved at before, IJG scale."""
_LOW, _BANDED = 15, 35
_QUANTUM = 2.0
# The luma table of JPEG's Annex K, natural order.
_ANNEX_K = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


class Traces(nn.Module):
    """Pixels and quantisation table → planes at an eighth of the size, normalised over training.

    Per cell of 8x8 pixels, some of them over its surroundings of up to 56x56:

    - residuals of nine linear filters of the luma and two of each colour difference: how strong
      they are, how often next to nothing, how peaked; how neighbouring residuals correlate, which
      resampling changes (Popescu and Farid, IEEE TSP 2005);
    - differences across each of the 8 + 8 phases of a block grid: where an earlier JPEG's grid lies
      (Li et al., Signal Processing 2009);
    - DCT coefficients: their size in bands, zeros (ZERO: Nikoukhah et al., IPOL 2021), and how
      near they are to multiples of the tables of eight qualities (JPEG ghosts: Farid, IEEE TIFS
      2009) and of the file's own (double JPEG: Bianchi and Piva, IEEE TIFS 2012);
    - co-occurrences of quantised third derivatives (Splicebuster: Cozzolino et al., WIFS 2015);
    - what is seen there (brightness, colour, contrast, edges, clipping), which explains much of
      all that.
    """

    def __init__(self):
        super().__init__()
        diagonal = torch.zeros(1, 1, 5, 5)
        diagonal[0, 0, 2:4, 2:4] = torch.tensor([[1.0, -1], [-1, 1]]) / 2
        self._fixed("filters", torch.cat([srm_kernels(), diagonal]))
        self._fixed("kernels", dct_kernels())
        self._fixed("banded", lowest(_BANDED))
        self._fixed("bands", _bands(lowest(_BANDED)))
        self._fixed("tables", _tables()[:, lowest(_LOW)])
        self._fixed("codes", _symmetric_codes())
        self.kinds = int(_symmetric_codes().max()) + 1
        names = 9 + 3 + 1 + 4 + len(_LAGS) + 16 + 6 + 2 + len(_GHOSTS) + 4 + 7
        self.channels = names + 2 * self.kinds
        self.scaled = nn.BatchNorm2d(self.channels, affine=False)

    def _fixed(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def forward(self, pixels: Tensor, tables: Tensor) -> Tensor:
        """`planes`, normalised and no further than 6 from 0."""
        with torch.no_grad():
            return self.scaled(self.planes(pixels, tables)).clamp(-6, 6)

    @torch.no_grad()
    def planes(self, pixels: Tensor, tables: Tensor) -> Tensor:
        """
        Args:
            pixels: (B, 3, H, W) in [0, 255], H and W multiples of 8.
            tables: (B, 8, 8), the luma table in natural order; zeros where it is not known.

        Returns:
            (B, channels, H / 8, W / 8), as measured.
        """
        grey = luma(pixels)
        blue, red = (
            (0.564 * (pixels[:, 2:] - grey - 128)),
            (0.713 * (pixels[:, :1] - grey - 128)),
        )
        planes = [
            *self._residuals(grey, blue, red),
            *_phases(grey),
            *self._coefficients(grey, tables),
            *_seen(grey, blue, red),
            *self._co_occurrences(pixels),
        ]
        return torch.cat(planes, 1)

    def _residuals(self, grey: Tensor, blue: Tensor, red: Tensor) -> list[Tensor]:
        filters: Tensor = self.filters  # pyright: ignore
        found = F.conv2d(F.pad(grey, (2,) * 4, mode="reflect"), filters)
        strength = _cells(found.abs())
        square = found[:, 6:7]
        energy = _cells(square.square())
        planes = [
            torch.log(strength + 0.05),
            _cells((found[:, [0, 1, 6]].abs() < 0.5).to(grey.dtype)),
            torch.log((strength[:, 6:7] + 0.05) / (energy.sqrt() + 0.05)),
        ]
        for colour in (blue, red):
            padded = F.pad(colour, (2,) * 4, mode="reflect")
            planes.append(torch.log(_cells(F.conv2d(padded, filters[[6, 0]]).abs()) + 0.05))
        wide = _around(energy, 3) + 0.05
        for down, right in _LAGS:
            beside = torch.roll(square, (-down, -right), (2, 3))
            planes.append(_around(_cells(square * beside), 3) / wide)
        return planes

    def _coefficients(self, grey: Tensor, tables: Tensor) -> list[Tensor]:
        kernels: Tensor = self.kernels  # pyright: ignore
        every = F.conv2d(grey, kernels, stride=CELL)
        banded = every[:, self.banded]  # pyright: ignore
        low = banded[:, :_LOW]
        planes = [
            torch.einsum("bchw,gc->bghw", torch.log1p(banded.abs()), self.bands),  # pyright: ignore
            (every[:, 1:].abs() < 0.5).to(grey.dtype).mean(1, keepdim=True),
            (banded.abs() < 0.5).to(grey.dtype).mean(1, keepdim=True),
        ]
        for table in self.tables:  # pyright: ignore
            steps = table.view(1, -1, 1, 1)
            there = (low.abs() > steps / 2).to(grey.dtype)
            off = (_off(low / steps) * there).sum(1, keepdim=True)
            planes.append(_around(off, 3) / (_around(there.sum(1, keepdim=True), 3) + 0.2))
        return [*planes, self._own_table(low, tables)]

    def _own_table(self, low: Tensor, tables: Tensor) -> Tensor:
        """How full, how odd and how exact the multiples of the file's own steps are."""
        steps = tables.flatten(1)[:, self.banded[:_LOW]][..., None, None]  # pyright: ignore
        known = (steps[:, :1] > 0).to(low.dtype)
        levels = low / torch.where(steps > 0, steps, torch.ones_like(steps))
        whole = levels.abs().round()
        there = (whole > 0).to(low.dtype)
        full = _around(there.sum(1, keepdim=True), 3)
        odd = _around((whole % 2 * there).sum(1, keepdim=True), 3)
        exact = _around(_off(levels).mean(1, keepdim=True), 3)
        flags = torch.ones_like(full)
        return torch.cat([full / _LOW, odd / (full + 0.2), exact, flags], 1) * known

    def _co_occurrences(self, pixels: Tensor) -> list[Tensor]:
        """Roots of the shares of each class of four neighbours, along and across a derivative."""
        grey = (pixels * pixels.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True).round()
        said = ((grey >= 2) & (grey <= 253)).to(grey.dtype)
        height, width = (side // CELL for side in grey.shape[2:])
        cell = torch.arange(height, device=grey.device)[:, None] * width + torch.arange(
            width, device=grey.device
        )
        cell = cell.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
        counts = grey.new_zeros(2, len(grey), height * width * self.kinds)
        for axis in (2, 3):
            levels = _third_derivative(grey, axis)
            for turn, run in enumerate((axis, 5 - axis)):
                code = self.codes[_four_in_a_row(levels, run).int()]  # pyright: ignore
                places = (cell * self.kinds + code[:, 0]).flatten(1)
                counts[turn].scatter_add_(1, places, said.flatten(1))
        planes = []
        for half in counts:
            cells = half.view(len(grey), height, width, self.kinds).permute(0, 3, 1, 2)
            sums = _around(cells, 7)
            planes.append((sums / sums.sum(1, keepdim=True).clamp_min(1e-3)).sqrt())
        return planes


def _phases(grey: Tensor) -> list[Tensor]:
    """How strong differences across a block's border are at each of its columns, and rows."""
    cross = grey[..., :-1, :-1] + grey[..., 1:, 1:] - grey[..., :-1, 1:] - grey[..., 1:, :-1]
    cross = F.pad(cross.abs(), (0, 1, 0, 1), mode="replicate")
    batch, _, height, width = cross.shape
    cells = cross.view(batch, height // CELL, CELL, width // CELL, CELL)
    found = []
    for planes in (cells.mean(2).permute(0, 3, 1, 2), cells.mean(4).permute(0, 2, 1, 3)):
        wide = _around(planes, 5) + 0.02
        found.append(torch.log(wide / wide.mean(1, keepdim=True)))
    return found


def _seen(grey: Tensor, blue: Tensor, red: Tensor) -> list[Tensor]:
    mean = _cells(grey)
    rest = grey - mean.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)
    wide = F.pad(mean, (1,) * 4, mode="replicate")
    across = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]).abs()
    down = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]).abs()
    return [
        mean / 128,
        _cells(blue) / 32,
        _cells(red) / 32,
        torch.log(_cells(rest.square()).sqrt() + 0.3),
        torch.log1p(across),
        torch.log1p(down),
        _cells((grey.abs() > 124.5).to(grey.dtype)),
    ]


def _cells(planes: Tensor) -> Tensor:
    return F.avg_pool2d(planes, CELL)


def _around(cells: Tensor, span: int) -> Tensor:
    """Mean over `span` x `span` cells, an odd number; beyond the picture its border is repeated."""
    return F.avg_pool2d(F.pad(cells, (span // 2,) * 4, mode="replicate"), span, 1)


def _off(levels: Tensor) -> Tensor:
    return (levels - levels.round()).abs()


def _third_derivative(grey: Tensor, axis: int) -> Tensor:
    """0, 1 or 2: quantised, cut off."""
    length = grey.shape[axis]
    padded = F.pad(grey, (1, 2, 0, 0) if axis == 3 else (0, 0, 1, 2), mode="replicate")
    parts = [padded.narrow(axis, start, length) for start in range(4)]
    third = parts[0] - 3 * parts[1] + 3 * parts[2] - parts[3]
    return ((third / _QUANTUM).round().clamp(-1, 1) + 1).to(torch.uint8)


def _four_in_a_row(levels: Tensor, axis: int) -> Tensor:
    """Base-3 number of a pixel's level and of the next three along an axis."""
    length = levels.shape[axis]
    last = levels.narrow(axis, length - 1, 1)
    padded = torch.cat([levels, last, last, last], axis)
    number = torch.zeros_like(levels)
    for start in range(4):
        number = number * 3 + padded.narrow(axis, start, length)
    return number


def _symmetric_codes() -> Tensor:
    """int64 (81,): the class of each four, alike for its mirror image and for its negative."""
    digits = torch.stack([torch.arange(81) // 3**power % 3 for power in (3, 2, 1, 0)], 1)
    weights = torch.tensor([27, 9, 3, 1])
    same = [digits, digits.flip(1), 2 - digits, (2 - digits).flip(1)]
    smallest = torch.stack([(one * weights).sum(1) for one in same]).min(0).values
    return torch.unique(smallest, return_inverse=True)[1]


def _bands(numbers: Tensor) -> Tensor:
    """(6, N): means over coefficients of diagonals 1 to 5, and of all beyond."""
    diagonal = (numbers // 8 + numbers % 8).clamp_max(6)
    rows = [(diagonal == band).float() for band in range(1, 7)]
    return torch.stack([row / row.sum() for row in rows])


def _tables() -> Tensor:
    """IJG tables of the qualities of ghosts, (8, 64)."""
    base = torch.tensor(_ANNEX_K).flatten().float()
    scale = torch.tensor([5000 / q if q < 50 else 200.0 - 2 * q for q in _GHOSTS])
    return ((base * scale[:, None] + 50) / 100).floor().clamp(1, 255)
