"""Noise residuals: what is left of a picture when its content is predicted from the neighbours."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)
_BAYAR = 4


def luma(pixels: Tensor) -> Tensor:
    """RGB (B, 3, H, W) in [0, 255] → (B, 1, H, W) in [-128, 127], as JPEG's Y less 128."""
    weights = pixels.new_tensor(LUMA).view(1, 3, 1, 1)
    return (pixels * weights).sum(1, keepdim=True) - 128


def srm_kernels() -> Tensor:
    """Eight linear filters of the spatial rich model, (8, 1, 5, 5), each over its order.

    First, second and third differences along rows and columns, SQUARE 3x3 and SQUARE 5x5
    (Fridrich and Kodovský, "Rich Models for Steganalysis of Digital Images", IEEE TIFS 2012). Of
    the 30 filters there, the rest are turned, mirrored or halved copies of these, which the layer
    above can make up for.
    """
    square3 = torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
    square5 = (
        torch.tensor(
            [
                [-1.0, 2, -2, 2, -1],
                [2, -6, 8, -6, 2],
                [-2, 8, -12, 8, -2],
                [2, -6, 8, -6, 2],
                [-1, 2, -2, 2, -1],
            ]
        )
        / 12
    )
    kernels = []
    for line in ([0, 0, -1.0, 1, 0], [0, 1.0, -2, 1, 0], [0, 1.0, -3, 3, -1]):
        row = torch.zeros(5, 5)
        row[2] = torch.tensor(line) / max(abs(value) for value in line)
        kernels += [row, row.T]
    kernels += [F.pad(square3, (1, 1, 1, 1)), square5]
    return torch.stack(kernels).unsqueeze(1)


class Planes(nn.Module):
    """What a trunk sees: (B, 3, H, W) in [0, 255] → (B, channels, H, W) in [-2, 2].

    All planes come out of one 5x5 convolution, which costs less than one for each kind:

    - `rgb`: the colours themselves;
    - `srm`: residuals of the luma by fixed filters, in half grey levels, truncated at 4;
    - `bayar`: residuals by four learned filters of the colours, truncated likewise. The centre of
      each kernel is -1 and its other weights sum to 1 (Bayar and Stamm, "A Deep Learning Approach
      to Universal Image Manipulation Detection Using a New Convolutional Layer", IH&MMSec 2016).
      `project` restores that after a step of the optimiser, by the shortest way; averages of such
      weights keep it.
    """

    def __init__(self, streams: Collection[str]):
        super().__init__()
        fixed = []
        if "rgb" in streams:
            fixed.append(_identity())
        if "srm" in streams:
            fixed.append(srm_kernels() * torch.tensor(LUMA).view(1, 3, 1, 1) / 2)
        kernels = torch.cat(fixed) if fixed else torch.zeros(0, 3, 5, 5)
        self.register_buffer("fixed", kernels, persistent=False)
        offset = torch.zeros(len(kernels) + _BAYAR * ("bayar" in streams))
        offset[: 3 * ("rgb" in streams)] = -2.0
        self.register_buffer("offset", offset, persistent=False)
        self.bayar = None
        if "bayar" in streams:
            self.bayar = nn.Parameter(torch.randn(_BAYAR, 3, 5, 5) * 0.1)
            self.project()
        self.channels = len(offset)

    @torch.no_grad()
    def project(self) -> None:
        """Move the learned weights onto their constraint."""
        if self.bayar is None:
            return
        flat = self.bayar.view(_BAYAR, 3, 25)
        flat[..., 12] = 0
        flat -= (flat.sum(-1, keepdim=True) - 1) / 24
        flat[..., 12] = -1

    def forward(self, pixels: Tensor) -> Tensor:
        kernels: Tensor = self.fixed  # pyright: ignore
        if self.bayar is not None:
            kernels = torch.cat([kernels, self.bayar / 6])
        padded = F.pad(pixels, (2, 2, 2, 2), mode="replicate")
        return F.conv2d(padded, kernels, self.offset).clamp_(-2, 2)  # pyright: ignore


def _identity() -> Tensor:
    """Colours over 64, as kernels (3, 3, 5, 5)."""
    kernels = torch.zeros(3, 3, 5, 5)
    for channel in range(3):
        kernels[channel, channel, 2, 2] = 1 / 64
    return kernels
