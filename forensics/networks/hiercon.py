"""HierCon: hierarchical attention over a backbone's layers (Liang et al., 2026, arXiv 2602.01032).

Written from the paper's description. Attention pools, in this order, the time steps of each
layer, the layers of each group of neighbours, and the groups. A projection head serves the
contrastive loss in training.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.described import Described
from forensics.networks.explained import Explained
from forensics.networks.layered import LayeredConfig, LayeredNetwork, build_output


class HierConConfig(LayeredConfig):
    """Sizes; those not named follow from the backbone's width C, as in the paper for C = 1024.

    Attributes:
        group_size: layers in a group; the last group is smaller when they do not divide the layers.
        attention: hidden units of each attention.
        projection: whether there is a projection head, for a contrastive loss.
    """

    group_size: int = Field(default=3, ge=1)
    attention: int = Field(default=128, ge=1)
    projection: bool = True


class AttentionPool(nn.Module):
    """(B, N, C) → (B, C) and weights (B, N): a weighted mean of the normalised rows."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.hidden = nn.Linear(channels, hidden)
        self.vector = nn.Linear(hidden, 1, bias=False)

    def forward(self, rows: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`kept`: bool, broadcast to (B, N); false where a row is padding and weighs nothing."""
        rows = self.norm(rows)
        scores = self.vector(torch.tanh(self.hidden(rows))).squeeze(2)
        if kept is not None:
            scores = scores.masked_fill(~kept, float("-inf"))
        weights = scores.softmax(dim=1)
        pooled = torch.bmm(weights.unsqueeze(1).to(rows.dtype), rows).squeeze(1)
        return pooled, weights


class Refine(nn.Module):
    """(..., C) → (..., C): a residual bottleneck of C / 2."""

    def __init__(self, channels: int):
        super().__init__()
        self.inner = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, channels // 2),
            nn.GELU(),
            nn.Dropout(0.15),
            nn.Linear(channels // 2, channels),
            nn.Dropout(0.15),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class HierConHead(nn.Module):
    """L layer outputs (B, T, C) → scores; 3 853 186 parameters for C = 1024, 3 162 626 without
    the projection."""

    def __init__(self, channels: int, config: HierConConfig):
        super().__init__()
        self.group_size = config.group_size
        half, quarter = channels // 2, channels // 4
        self.over_time = AttentionPool(channels, config.attention)
        self.in_group = AttentionPool(channels, config.attention)
        self.refine_group = Refine(channels)
        self.over_groups = AttentionPool(channels, config.attention)
        self.refine = Refine(channels)
        self.classifier = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(channels, half),
            nn.LayerNorm(half),
            nn.GELU(),
            nn.Dropout(0.15),
            nn.Linear(half, quarter),
            nn.LayerNorm(quarter),
            nn.GELU(),
            nn.Dropout(0.1),
        )
        self.output = build_output(config.output, quarter)
        self.projection = (
            nn.Sequential(
                nn.Linear(channels, half),
                nn.LayerNorm(half),
                nn.ReLU(),
                nn.Dropout(0.2),
                nn.Linear(half, quarter),
                nn.LayerNorm(quarter),
                nn.ReLU(),
                nn.Dropout(0.15),
                nn.Linear(quarter, channels // 8),
            )
            if config.projection
            else None
        )

    def forward(self, layers: list[Tensor]) -> Described:
        utterance, *_ = self._pooled(layers)
        embedding = self.classifier(utterance)
        projection = None
        if self.training and self.projection is not None:
            projection = self.projection(utterance)
        return Described(self.output(embedding), embedding, projection)

    def explain(self, layers: list[Tensor]) -> Explained:
        """The weights of the three attentions; a layer's share is group's times layer's weight."""
        utterance, over_time, in_group, over_groups = self._pooled(layers)
        rows, count = len(utterance), len(layers)
        by_layer = (over_groups.unsqueeze(2) * in_group).view(rows, -1)[:, :count]
        return Explained(
            score=self.output(self.classifier(utterance)),
            time=torch.bmm(by_layer.unsqueeze(1), over_time).squeeze(1),
            layers=by_layer,
            layer_groups=over_groups,
            attention=over_time,
        )

    def _pooled(self, layers: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, C), and weights: (B, L, T) over time, (B, G, S) in groups, (B, G) over groups."""
        # Layer by layer: stacked, 24 layers of XLS-R would be copied once more as a whole.
        pooled, over_time = zip(*(self.over_time(layer) for layer in layers), strict=True)
        summaries = torch.stack(pooled, dim=1)
        rows, count, channels = summaries.shape
        groups = -(-count // self.group_size)
        padding = groups * self.group_size - count
        padded = F.pad(summaries, (0, 0, 0, padding)).view(-1, self.group_size, channels)
        kept = torch.arange(groups * self.group_size, device=summaries.device) < count
        kept = kept.view(groups, self.group_size).repeat(rows, 1)
        grouped, in_group = self.in_group(padded, kept)
        grouped = self.refine_group(grouped).view(rows, groups, channels)
        utterance, over_groups = self.over_groups(grouped)
        return (
            self.refine(utterance),
            torch.stack(over_time, dim=1),
            in_group.view(rows, groups, self.group_size),
            over_groups,
        )


class HierCon(LayeredNetwork[HierConConfig, HierConHead]):
    """float32 (B, T) samples → scores (B,), higher = bona fide."""

    explains_for_free = True

    def build_head(self, config: HierConConfig) -> HierConHead:
        return HierConHead(self.backbone.channels, config)

    def explain(self, samples: Tensor) -> Explained:
        return self.head.explain(self.backbone(samples))
