"""Noise residuals: what is left of a picture when its content is predicted from the neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)
_CLIP = 4.0  # of residuals, in grey levels


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


class Srm(nn.Module):
    """Truncated residuals of the luma by fixed filters: (B, 3, H, W) → (B, 8, H, W) in [-2, 2]."""

    channels = 8

    def __init__(self):
        super().__init__()
        self.register_buffer("kernels", srm_kernels(), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        grey = F.pad(luma(pixels), (2, 2, 2, 2), mode="replicate")
        return F.conv2d(grey, self.kernels).clamp(-_CLIP, _CLIP) / 2  # pyright: ignore


class Bayar(nn.Module):
    """A learned prediction error: (B, 3, H, W) in [0, 255] → (B, channels, H, W) in [-2, 2].

    The centre of each kernel is -1 and its other weights sum to 1 (Bayar and Stamm, "A Deep
    Learning Approach to Universal Image Manipulation Detection Using a New Convolutional Layer",
    IH&MMSec 2016). `project` restores that after a step of the optimiser, by the
    shortest way; averages of such weights keep it.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.randn(channels, 3, 5, 5) * 0.1)
        self.project()

    @torch.no_grad()
    def project(self) -> None:
        """Move the weights onto the constraint."""
        flat = self.weight.view(self.channels, 3, 25)
        flat[..., 12] = 0
        excess = (flat.sum(-1, keepdim=True) - 1) / 24
        flat -= excess
        flat[..., 12] = -1

    def forward(self, pixels: Tensor) -> Tensor:
        padded = F.pad(pixels, (2, 2, 2, 2), mode="replicate")
        return F.conv2d(padded, self.weight / 3).clamp(-_CLIP, _CLIP) / 2
