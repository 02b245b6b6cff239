"""A small residual CNN on normalised log spectrograms: raw speech → one logit.

Light enough for one CPU core; the shape follows the residual networks on spectral features that
served as countermeasures in ASVspoof 2019 (Alzantot, Wang & Srivastava, Interspeech 2019), with
attentive statistics pooling (Okabe, Koshinaka & Shinoda, Interspeech 2018).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.described import Described
from forensics.networks.explained import Explained
from forensics.networks.log_spectrum import LogSpectrum, SpectrumConfig, any_in_step

_MASKED = -1e4


class SpectralCnnConfig(SpectrumConfig):
    """Sizes of the network; frames that are not active take no part in the pooling.

    Attributes:
        channels: of the four stages; each halves both axes.
        embedding: values per frame before pooling.
        dropout: before the last layer, in training.
    """

    channels: tuple[int, int, int, int] = (16, 32, 64, 96)
    embedding: int = Field(default=96, ge=8, le=512)
    dropout: float = Field(default=0.3, ge=0, lt=1)


class ResidualBlock(nn.Module):
    """(B, in, F, T) → (B, out, F / stride, T / stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = (
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
            if stride != 1 or in_channels != out_channels
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


class SpectralCnn(nn.Module):
    """float32 (B, T) samples → logits float32 (B,), higher = bona fide.

    Any T of a quarter of a second or more; a batch's rows do not influence each other in `eval`.
    """

    explains_for_free = True

    def __init__(self, config: SpectralCnnConfig):
        super().__init__()
        self.config = config
        first, second, third, fourth = config.channels
        self.spectrum = LogSpectrum(config)
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 5, 2, 2, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.stages = nn.Sequential(
            ResidualBlock(first, first, 1),
            ResidualBlock(first, second, 2),
            ResidualBlock(second, third, 2),
            ResidualBlock(third, fourth, 2),
        )
        self.frame = nn.Sequential(
            nn.Linear(fourth * config.bands // 16, config.embedding),
            nn.LayerNorm(config.embedding),
            nn.GELU(),
        )
        self.attention = nn.Sequential(
            nn.Linear(config.embedding, config.embedding // 2),
            nn.Tanh(),
            nn.Linear(config.embedding // 2, 1),
        )
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(2 * config.embedding, 1))

    def forward(self, samples: Tensor, hide: Tensor | None = None) -> Tensor:
        """Logits of samples (B, T); `hide` as in `describe`."""
        return self.describe(samples, hide).score

    def describe(self, samples: Tensor, hide: Tensor | None = None) -> Described:
        """Scores of samples (B, T), and the pooled statistics (B, 2 * embedding) behind them.

        Args:
            hide: float32 (B, bands, 1) or (B, bands, frames), 0 where nothing shall be seen
                (SpecAugment), else 1.
        """
        pooled, _ = self._pooled(samples, hide)
        return Described(self.head(pooled).squeeze(1), pooled)

    def explain(self, samples: Tensor) -> Explained:
        """The logits again, with the attention over time that the pooling used."""
        pooled, weights = self._pooled(samples, None)
        return Explained(score=self.head(pooled).squeeze(1), time=weights)

    def _pooled(self, samples: Tensor, hide: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attentive mean and deviation (B, 2 * embedding), and the attention (B, steps)."""
        level, active = self.spectrum(samples)
        if hide is not None:
            level = level * hide
        maps = self.stages(self.stem(level.unsqueeze(1)))
        frames = self.frame(maps.flatten(1, 2).transpose(1, 2))
        scores = self.attention(frames).squeeze(2)
        weights = scores.masked_fill(~any_in_step(active, frames.shape[1]), _MASKED).softmax(dim=1)
        shares = weights.unsqueeze(2)
        mean = (shares * frames).sum(dim=1)
        variance = (shares * (frames - mean.unsqueeze(1)).square()).sum(dim=1)
        return torch.cat([mean, (variance + 1e-4).sqrt()], dim=1), weights
