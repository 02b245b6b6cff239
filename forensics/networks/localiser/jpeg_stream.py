"""What JPEG left in a picture: how the DCT coefficients of the 8x8 grid are distributed."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.localiser.blocks import convolved
from forensics.networks.localiser.residuals import luma

FREQUENCIES, BINS = 21, 6
_UNKNOWN_STEP = 4.0  # stands for the steps of an unknown table


def dct_kernels() -> Tensor:
    """The orthonormal 8x8 DCT-II as 64 filters, (64, 1, 8, 8): vertical frequency outermost."""
    places = torch.arange(8, dtype=torch.float64)
    basis = torch.cos((2 * places + 1) * places.unsqueeze(1) * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return torch.einsum("uy,vx->uvyx", basis, basis).reshape(64, 1, 8, 8).float()


def lowest(count: int) -> Tensor:
    """Numbers (8 * vertical + horizontal) of the lowest frequencies but the constant, (count,)."""
    places = [(u + v, max(u, v), 8 * u + v) for u in range(8) for v in range(8)]
    return torch.tensor([number for _, _, number in sorted(places)[1 : count + 1]])


class JpegStream(nn.Module):
    """Pixels and quantisation table → features at an eighth of the size.

    Each block's coefficients are divided by the steps of the table and counted in bins of their
    magnitude; convolutions over the counts see local histograms, in which earlier compressions on
    the same grid, or none, show. That histograms of DCT coefficients tell is CAT-Net's idea (Kwon
    et al., IJCV 2022); the network is our own.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("kernels", dct_kernels(), persistent=False)
        self.register_buffer("chosen", lowest(FREQUENCIES), persistent=False)
        self.counted = convolved(FREQUENCIES * (BINS + 1), channels, size=1)
        self.table = nn.Linear(FREQUENCIES + 1, channels)
        self.near = nn.Sequential(convolved(channels, channels), convolved(channels, channels))

    def forward(self, pixels: Tensor, tables: Tensor) -> Tensor:
        """
        Args:
            pixels: (B, 3, H, W) in [0, 255], with a block's corner at the origin; H, W: of 8.
            tables: (B, 8, 8), the luma table in natural order; zeros where it is not known.

        Returns:
            (B, channels, H / 8, W / 8).
        """
        chosen: Tensor = self.chosen  # pyright: ignore
        coefficients = F.conv2d(luma(pixels), self.kernels, stride=8)  # pyright: ignore
        coefficients = coefficients.index_select(1, chosen)
        steps = tables.flatten(1).index_select(1, chosen)
        known = (steps[:, :1] > 0).to(steps.dtype)
        steps = torch.where(steps > 0, steps, torch.full_like(steps, _UNKNOWN_STEP))
        magnitude = (coefficients / steps[..., None, None]).abs()
        levels = torch.arange(BINS - 1, device=pixels.device, dtype=pixels.dtype)
        bins = [(1 - (magnitude - level).abs()).clamp_min(0) for level in levels]
        beyond = (magnitude - (BINS - 2)).clamp(0, 1)
        planes = torch.cat([*bins, beyond, torch.log1p(coefficients.abs()) / 2], 1)
        table = self.table(torch.cat([steps.log() / 2 * known, known], 1))
        return self.near(self.counted(planes) + table[..., None, None])
