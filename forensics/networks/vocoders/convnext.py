"""ConvNeXt blocks over time, as in Vocos (Siuzdak, ICLR 2024)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ConvNeXtBlock(nn.Module):
    """(B, width, T) → the same shape; `shift` (B, width, 1) is added before the dense layers."""

    def __init__(self, width: int, layers: int):
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 3 * width)
        self.narrow = nn.Linear(3 * width, width)
        nn.init.normal_(self.narrow.weight, std=0.02 / layers**0.5)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        inner = self.depthwise(x)
        if shift is not None:
            inner = inner + shift
        inner = self.narrow(F.gelu(self.widen(self.norm(inner.transpose(1, 2)))))
        return x + inner.transpose(1, 2)
