"""Our own small encoder, with the interface of a self-supervised one: convolutions, transformer.

It hears normalised log spectra rather than raw samples. Learned filters on raw speech need the
thousands of hours that self-supervised models have; from scratch on little data a fixed linear
spectrogram starts where they would end, and costs a hundredth of wav2vec 2.0's seven convolutions,
which a CPU cannot afford. Bands are equally wide, see `log_spectrum`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.backbone import Backbone
from forensics.networks.log_spectrum import LogSpectrum, SpectrumConfig


class CompactConfig(SpectrumConfig):
    """Sizes of the encoder. The spectra are finer in frequency than in time.

    Attributes:
        stem: channels of the four convolution stages, multiples of 4. The first halves both axes,
            so that a step is two hops; the others halve the frequency axis.
        width: channels of the transformer.
        depth: transformer layers; the layer-wise heads group them, HierCon by three.
        heads: of the attention; they divide `width`.
        dropout: in the transformer.
    """

    kind: Literal["compact"] = "compact"
    n_fft: int = Field(default=1024, ge=128, le=2048)
    hop: int = Field(default=256, ge=64, le=512)
    bands: int = Field(default=224, ge=16, le=256, multiple_of=16)
    stem: tuple[int, int, int, int] = (16, 32, 48, 64)
    width: int = Field(default=192, ge=16, le=512)
    depth: int = Field(default=6, ge=1, le=24)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _parts_are_whole(self) -> CompactConfig:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")
        if any(channels < 4 or channels % 4 for channels in self.stem):
            raise ValueError(f"stem channels {self.stem} are not multiples of 4")
        return self


class ConvStage(nn.Module):
    """(B, in, F, T) → (B, out, F / 2, T), residual; group norm, so that no row sees another."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, (2, 1), 1, bias=False)
        self.norm1 = nn.GroupNorm(4, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(4, out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(maps)))))
        # Not by a stride: for 1x1, channels last, torch 2.14 overruns memory in the backward pass.
        return F.relu(inner + self.shortcut(maps[:, :, ::2]))


class EncoderLayer(nn.Module):
    """A pre-norm transformer layer (B, T, C) → (B, T, C)."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self._attended(self.norm1(x)))
        return x + self.drop(self.feed_forward(self.norm2(x)))

    def _attended(self, x: Tensor) -> Tensor:
        rows, steps, width = x.shape
        qkv = self.qkv(x).view(rows, steps, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out(mixed.transpose(1, 2).reshape(rows, steps, width))


class CompactBackbone(Backbone[CompactConfig]):
    """Log spectrum → residual convolutions → position by a wide convolution → transformer."""

    def __init__(self, config: CompactConfig):
        super().__init__()
        self.config = config
        self.channels, self.depth, self.hop = config.width, config.depth, 2 * config.hop
        first, *others = config.stem
        self.spectrum = LogSpectrum(config)
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 5, 2, 2, bias=False), nn.GroupNorm(4, first), nn.ReLU()
        )
        widths = list(zip(config.stem, others, strict=False))
        self.stages = nn.Sequential(*(ConvStage(low, high) for low, high in widths))
        self.project = nn.Sequential(
            nn.Linear(config.stem[-1] * config.bands // 16, config.width),
            nn.LayerNorm(config.width),
        )
        self.position = nn.Conv1d(config.width, config.width, 31, padding=15, groups=config.width)
        self.drop = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(config.width, config.heads, config.dropout) for _ in range(config.depth)
        )

    def forward(self, samples: Tensor, hide: Tensor | None = None) -> list[Tensor]:
        """As `Backbone.forward`.

        Args:
            hide: float32 (B, bands, 1) or (B, bands, frames), 0 where nothing shall be seen
                (SpecAugment), else 1.
        """
        level, _ = self.spectrum(samples)
        if hide is not None:
            level = level * hide
        maps = self.stages(self.stem(level.unsqueeze(1)))
        x = self.project(maps.flatten(1, 2).transpose(1, 2))
        x = self.drop(x + F.gelu(self.position(x.transpose(1, 2)).transpose(1, 2)))
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs

    def steps(self, samples: int) -> int:
        return samples // self.config.hop // 2 + 1
