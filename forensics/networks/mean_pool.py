"""The plainest head: the mean over time of a learned mixture of layers.

The mixture is that of SUPERB (Yang et al., Interspeech 2021): one softmax weight a layer.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from forensics.networks.described import Described
from forensics.networks.layered import LayeredConfig, LayeredNetwork, build_output


class MeanPoolConfig(LayeredConfig):
    """What the head is built from.

    Attributes:
        dropout: before the output, in training.
    """

    dropout: float = Field(default=0.1, ge=0, lt=1)


class MeanPoolHead(nn.Module):
    """L layer outputs (B, T, C) → scores."""

    def __init__(self, channels: int, depth: int, config: MeanPoolConfig):
        super().__init__()
        self.mixture = nn.Parameter(torch.zeros(depth))
        self.norm = nn.LayerNorm(channels)
        self.drop = nn.Dropout(config.dropout)
        self.output = build_output(config.output, channels)

    def forward(self, layers: list[Tensor]) -> Described:
        means = torch.stack([layer.mean(dim=1) for layer in layers], dim=1)
        mixed = (self.mixture.softmax(dim=0).unsqueeze(1) * means).sum(dim=1)
        embedding = self.drop(self.norm(mixed))
        return Described(self.output(embedding), embedding)


class MeanPool(LayeredNetwork[MeanPoolConfig, MeanPoolHead]):
    """float32 (B, T) samples → scores (B,), higher = bona fide."""

    def build_head(self, config: MeanPoolConfig) -> MeanPoolHead:
        return MeanPoolHead(self.backbone.channels, self.backbone.depth, config)
