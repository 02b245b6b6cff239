"""AASIST and AASIST-L: raw speech → two logits (Jung et al., ICASSP 2022, arXiv 2110.01200).

Attribute names are those of the published checkpoints, so that these load with every key matched.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.described import Described
from forensics.networks.graph_attention import GraphAttention, GraphPool, HeterogeneousAttention

SINC_FILTERS = 70
SINC_TAPS = 129
SPECTRAL_NODES = SINC_FILTERS // 3
MIN_SAMPLES = 2400

# SELU (Klambauer et al., 2017) is scale * (x or alpha * (e^x - 1)).
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772

# Columns of output that one tile of a block computes on a CPU: its maps then stay in the cache.
# Any choice gives the same result; 64 to 256 were the fastest on two cores.
TILE = 128


class AasistConfig(BaseModel):
    """Sizes of one AASIST; the defaults are the published AASIST.

    Attributes:
        channels: output channels of the six residual blocks; the last is the graphs' width.
        graph_channels: width of the heterogeneous layers.
        pool_ratios: share of the nodes kept: spectral, temporal, and in the two branches.
        temperatures: of the two homogeneous layers, and of the heterogeneous ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: tuple[int, int, int, int, int, int] = (32, 32, 64, 64, 64, 64)
    graph_channels: int = 32
    pool_ratios: tuple[float, float, float] = (0.5, 0.7, 0.5)
    temperatures: tuple[float, float] = (2.0, 100.0)


PUBLISHED = {
    "aasist": AasistConfig(),
    "aasist-l": AasistConfig(channels=(32, 32, 24, 24, 24, 24), pool_ratios=(0.4, 0.5, 0.7)),
}


def sinc_filters(sampling_rate: int = 16_000) -> Tensor:
    """Fixed mel-spaced band-pass filters, float32 (70, 1, 129)."""
    top = 2595 * np.log10(1 + sampling_rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, SINC_FILTERS + 1) / 2595) - 1)
    n = np.arange(SINC_TAPS) - SINC_TAPS // 2
    width = 2 * edges[:, None] / sampling_rate
    low_pass = width * np.sinc(width * n)
    band_pass = np.hamming(SINC_TAPS) * (low_pass[1:] - low_pass[:-1])
    return torch.from_numpy(band_pass.astype(np.float32)).unsqueeze(1)


class ResidualBlock(nn.Module):
    """(B, in, F, T) → (B, out, F, T // 3).

    `bn1` (blocks after the first) is part of the published checkpoints, but what it computes was
    never used: `conv1` takes the block's input as it is. It is kept for its keys alone.

    The maps of the first blocks fill tens of megabytes, and writing and reading these takes most of
    the time on a CPU. For inference there the block runs tile by tile along the time axis, with the
    normalisation folded into `conv1`: several times faster, equal to the plain road within
    rounding.
    """

    def __init__(self, in_channels: int, out_channels: int, first: bool):
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, (2, 3), padding=(1, 1))
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, (2, 3), padding=(0, 1))
        self.conv_downsample = (
            nn.Conv2d(in_channels, out_channels, (1, 3), padding=(0, 1))
            if in_channels != out_channels
            else None
        )

    def forward(self, maps: Tensor) -> Tensor:
        if maps.device.type == "cpu" and not self.training and not torch.is_grad_enabled():
            return torch.cat([self._in_tiles(one) for one in maps.split(1)])
        out = self.conv2(F.selu(self.bn2(self.conv1(maps))))
        identity = maps if self.conv_downsample is None else self.conv_downsample(maps)
        return F.max_pool2d(out + identity, (1, 3))

    def _in_tiles(self, maps: Tensor) -> Tensor:
        weight, bias = self._normalised_conv1()
        length = maps.shape[3]
        padded = F.pad(maps, (2, 2))  # each convolution reaches one column to either side
        tiles = []
        for start in range(0, length // 3, TILE):
            stop = min(start + TILE, length // 3)
            part = padded[..., 3 * start : 3 * stop + 4]
            hidden = _selu_(F.conv2d(part, weight, bias, padding=(1, 0)))
            # What lies beyond the clip is zero for conv2, not conv1's answer to zeros.
            if start == 0:
                hidden[..., 0] = 0
            if 3 * stop == length:
                hidden[..., -1] = 0
            out = F.conv2d(hidden, self.conv2.weight, self.conv2.bias)
            if self.conv_downsample is None:
                out += part[..., 2:-2]
            else:
                down = self.conv_downsample
                out += F.conv2d(part[..., 1:-1], down.weight, down.bias)
            tiles.append(
                torch.maximum(torch.maximum(out[..., ::3], out[..., 1::3]), out[..., 2::3])
            )
        return torch.cat(tiles, dim=3)

    def _normalised_conv1(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of `conv1` followed by `bn2` with its running statistics."""
        conv, norm = self.conv1, self.bn2
        assert conv.bias is not None
        assert norm.running_mean is not None and norm.running_var is not None
        gain = norm.weight * (norm.running_var + norm.eps).rsqrt()
        bias = (conv.bias - norm.running_mean) * gain + norm.bias
        return conv.weight * gain[:, None, None, None], bias


def _selu_(maps: Tensor) -> Tensor:
    """SELU in place, by `exp` rather than torch's much slower `expm1`; equal within 1e-6."""
    negative = maps.clamp(max=0).exp_()
    return maps.clamp_(min=0).add_(negative, alpha=SELU_ALPHA).sub_(SELU_ALPHA).mul_(SELU_SCALE)


class Aasist(nn.Module):
    """float32 waveforms (B, T) in [-1, 1] at 16 kHz → logits (B, 2): [spoof, bona fide].

    T is 64 600 in the published models; any T of at least `MIN_SAMPLES` works.
    """

    filters: Tensor

    def __init__(self, config: AasistConfig):
        super().__init__()
        self.config = config
        self.register_buffer("filters", sinc_filters(), persistent=False)
        self.first_bn = nn.BatchNorm2d(1)
        widths = (1, *config.channels)
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(ResidualBlock(widths[i], widths[i + 1], first=i == 0))
                for i in range(len(config.channels))
            )
        )
        nodes, graph = config.channels[-1], config.graph_channels
        single, hetero = config.temperatures
        spectral_ratio, temporal_ratio, later_ratio = config.pool_ratios
        self.pos_S = nn.Parameter(torch.randn(1, SPECTRAL_NODES, nodes))
        self.master1 = nn.Parameter(torch.randn(1, 1, nodes))
        self.master2 = nn.Parameter(torch.randn(1, 1, nodes))
        self.GAT_layer_S = GraphAttention(nodes, nodes, single)
        self.GAT_layer_T = GraphAttention(nodes, nodes, single)
        self.pool_S = GraphPool(nodes, spectral_ratio)
        self.pool_T = GraphPool(nodes, temporal_ratio)
        self.HtrgGAT_layer_ST11 = HeterogeneousAttention(nodes, graph, hetero)
        self.HtrgGAT_layer_ST12 = HeterogeneousAttention(graph, graph, hetero)
        self.HtrgGAT_layer_ST21 = HeterogeneousAttention(nodes, graph, hetero)
        self.HtrgGAT_layer_ST22 = HeterogeneousAttention(graph, graph, hetero)
        self.pool_hS1 = GraphPool(graph, later_ratio)
        self.pool_hT1 = GraphPool(graph, later_ratio)
        self.pool_hS2 = GraphPool(graph, later_ratio)
        self.pool_hT2 = GraphPool(graph, later_ratio)
        self.drop_way = nn.Dropout(0.2)
        self.drop = nn.Dropout(0.5)
        self.out_layer = nn.Linear(5 * graph, 2)

    def forward(self, waveforms: Tensor) -> Tensor:
        return self.out_layer(self.drop(self._readout(waveforms)))

    def describe(self, waveforms: Tensor) -> Described:
        """Scores and readouts (B, 160 in the published model) of waveforms (B, T)."""
        readout = self._readout(waveforms)
        spoof, bonafide = self.out_layer(self.drop(readout)).unbind(dim=1)
        return Described(bonafide - spoof, readout)

    def _readout(self, waveforms: Tensor) -> Tensor:
        maps = self.encoder(self.spectrogram(waveforms)).abs()
        spectral = maps.amax(dim=3).transpose(1, 2) + self.pos_S
        temporal = maps.amax(dim=2).transpose(1, 2)
        spectral = self.pool_S(self.GAT_layer_S(spectral))
        temporal = self.pool_T(self.GAT_layer_T(temporal))
        branches = (
            self._branch(temporal, spectral, self.master1, "1"),
            self._branch(temporal, spectral, self.master2, "2"),
        )
        temporal, spectral, master = (torch.maximum(a, b) for a, b in zip(*branches, strict=True))
        return torch.cat(
            [
                temporal.abs().amax(dim=1),
                temporal.mean(dim=1),
                spectral.abs().amax(dim=1),
                spectral.mean(dim=1),
                master.squeeze(1),
            ],
            dim=1,
        )

    def spectrogram(self, waveforms: Tensor) -> Tensor:
        """(B, T) → (B, 1, 23, (T - 128) // 3): rectified sinc bands, pooled 3x3, normalised."""
        bands = F.conv1d(waveforms.unsqueeze(1), self.filters).abs_()
        pooled = F.max_pool2d(bands.unsqueeze(1), 3)
        return F.selu(self.first_bn(pooled))

    def _branch(
        self, temporal: Tensor, spectral: Tensor, master: Tensor, number: str
    ) -> tuple[Tensor, ...]:
        """Two heterogeneous layers, the second added to the first: (temporal, spectral, master)."""
        first = getattr(self, f"HtrgGAT_layer_ST{number}1")
        second = getattr(self, f"HtrgGAT_layer_ST{number}2")
        temporal, spectral, master = first(temporal, spectral, master)
        temporal = getattr(self, f"pool_hT{number}")(temporal)
        spectral = getattr(self, f"pool_hS{number}")(spectral)
        more = second(temporal, spectral, master)
        sums = (temporal + more[0], spectral + more[1], master + more[2])
        return tuple(self.drop_way(part) for part in sums)
