"""Graph layers of AASIST (Jung et al., ICASSP 2022): attention, heterogeneous attention, pooling.

Nodes are float32 (B, N, C). Attribute names are those of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUT_DROPOUT = 0.2
POOL_DROPOUT = 0.3


def _attention_vector(channels: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(channels, 1)))


def _pairwise_products(nodes: Tensor) -> Tensor:
    """(B, N, C) → (B, N, N, C)."""
    return nodes.unsqueeze(2) * nodes.unsqueeze(1)


def _batch_norm_nodes(norm: nn.BatchNorm1d, nodes: Tensor) -> Tensor:
    return norm(nodes.flatten(0, 1)).view_as(nodes)


class GraphAttention(nn.Module):
    """Attention over a fully connected graph: (B, N, in) → (B, N, out)."""

    def __init__(self, in_channels: int, out_channels: int, temperature: float):
        super().__init__()
        self.temperature = temperature
        self.att_weight = _attention_vector(out_channels)
        self.att_proj = nn.Linear(in_channels, out_channels)
        self.proj_with_att = nn.Linear(in_channels, out_channels)
        self.proj_without_att = nn.Linear(in_channels, out_channels)
        self.bn = nn.BatchNorm1d(out_channels)
        self.input_drop = nn.Dropout(INPUT_DROPOUT)

    def forward(self, nodes: Tensor) -> Tensor:
        nodes = self.input_drop(nodes)
        pairs = torch.tanh(self.att_proj(_pairwise_products(nodes)))
        logits = (pairs @ self.att_weight).squeeze(-1) / self.temperature
        attended = torch.softmax(logits, dim=-1) @ nodes
        out = self.proj_with_att(attended) + self.proj_without_att(nodes)
        return F.selu(_batch_norm_nodes(self.bn, out))


class HeterogeneousAttention(nn.Module):
    """Attention over the union of two node types, with a master node that stacks both (HS-GAL).

    (B, N1, in), (B, N2, in), master (B, 1, in) → the same three with `out` channels.
    """

    def __init__(self, in_channels: int, out_channels: int, temperature: float):
        super().__init__()
        self.temperature = temperature
        self.proj_type1 = nn.Linear(in_channels, in_channels)
        self.proj_type2 = nn.Linear(in_channels, in_channels)
        self.att_proj = nn.Linear(in_channels, out_channels)
        self.att_projM = nn.Linear(in_channels, out_channels)
        self.att_weight11 = _attention_vector(out_channels)
        self.att_weight22 = _attention_vector(out_channels)
        self.att_weight12 = _attention_vector(out_channels)
        self.att_weightM = _attention_vector(out_channels)
        self.proj_with_att = nn.Linear(in_channels, out_channels)
        self.proj_without_att = nn.Linear(in_channels, out_channels)
        self.proj_with_attM = nn.Linear(in_channels, out_channels)
        self.proj_without_attM = nn.Linear(in_channels, out_channels)
        self.bn = nn.BatchNorm1d(out_channels)
        self.input_drop = nn.Dropout(INPUT_DROPOUT)

    def forward(self, first: Tensor, second: Tensor, master: Tensor) -> tuple[Tensor, ...]:
        count = first.shape[1]
        nodes = torch.cat([self.proj_type1(first), self.proj_type2(second)], dim=1)
        nodes = self.input_drop(nodes)
        attended = torch.softmax(self._pair_logits(nodes, count), dim=-1) @ nodes
        out = self.proj_with_att(attended) + self.proj_without_att(nodes)
        out = F.selu(_batch_norm_nodes(self.bn, out))
        return out[:, :count], out[:, count:], self._updated_master(nodes, master)

    def _pair_logits(self, nodes: Tensor, count: int) -> Tensor:
        """(B, N, N): each pair of types has its own vector; first-second and back share one."""
        pairs = torch.tanh(self.att_proj(_pairwise_products(nodes)))
        mixed = pairs @ self.att_weight12
        first = pairs[:, :count, :count] @ self.att_weight11
        second = pairs[:, count:, count:] @ self.att_weight22
        upper = torch.cat([first, mixed[:, :count, count:]], dim=2)
        lower = torch.cat([mixed[:, count:, :count], second], dim=2)
        return torch.cat([upper, lower], dim=1).squeeze(-1) / self.temperature

    def _updated_master(self, nodes: Tensor, master: Tensor) -> Tensor:
        logits = torch.tanh(self.att_projM(nodes * master)) @ self.att_weightM / self.temperature
        attended = torch.softmax(logits, dim=1).transpose(1, 2) @ nodes
        return self.proj_with_attM(attended) + self.proj_without_attM(master)


class GraphPool(nn.Module):
    """Keeps the best-scored share of the nodes, each scaled by its score."""

    def __init__(self, channels: int, ratio: float):
        super().__init__()
        self.ratio = ratio
        self.proj = nn.Linear(channels, 1)
        self.drop = nn.Dropout(POOL_DROPOUT)

    def forward(self, nodes: Tensor) -> Tensor:
        scores = torch.sigmoid(self.proj(self.drop(nodes)))
        kept = max(int(nodes.shape[1] * self.ratio), 1)
        index = scores.squeeze(-1).topk(kept, dim=1).indices
        return (nodes * scores).gather(1, index.unsqueeze(-1).expand(-1, -1, nodes.shape[2]))
