"""Pieces that the localiser's parts share."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def convolved(inner: int, outer: int, size: int = 3, stride: int = 1, dilation: int = 1):
    """Convolution, batch norm, ReLU; a size of 3 keeps the extent, or halves it by stride 2."""
    return nn.Sequential(
        nn.Conv2d(
            inner, outer, size, stride, (size - 1) // 2 * dilation, dilation=dilation, bias=False
        ),
        nn.BatchNorm2d(outer),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut: (B, C, H, W) → the same shape."""

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.first = convolved(channels, channels, dilation=dilation)
        self.second = nn.Conv2d(
            channels, channels, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))), inplace=True)
