"""A small HiFi-GAN generator (Kong, Kim & Bae, NeurIPS 2020): from frames to samples by steps."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.vocoders.frames import MelConfig

_SLOPE = 0.1


class UpsamplingConfig(BaseModel):
    """Sizes.

    Attributes:
        rates: of the upsampling stages; their product is the hop.
        width: channels before the first stage; each stage halves them.
        kernels: of the residual blocks that are averaged at each stage.
        dilations: of the convolutions in a residual block.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Literal["upsampling"] = "upsampling"
    mel: MelConfig = MelConfig()
    rates: tuple[int, ...] = Field(default=(8, 8, 4), min_length=1)
    width: int = Field(default=128, ge=16, le=512)
    kernels: tuple[int, ...] = Field(default=(3, 7), min_length=1)
    dilations: tuple[int, ...] = Field(default=(1, 3), min_length=1)

    @model_validator(mode="after")
    def _adds_up(self) -> UpsamplingConfig:
        if math.prod(self.rates) != self.mel.hop:
            raise ValueError(f"the product of rates {self.rates} is not the hop {self.mel.hop}")
        if any(rate % 2 for rate in self.rates) or any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError("rates must be even and kernels odd")
        if self.width % 2 ** len(self.rates):
            raise ValueError(f"a width of {self.width} cannot be halved {len(self.rates)} times")
        return self


class ResidualBlock(nn.Module):
    """(B, channels, T) → the same shape."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(
                channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation
            )
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convolutions:
            x = x + convolution(F.leaky_relu(x, _SLOPE))
        return x


class UpsamplingVocoder(nn.Module):
    """Log mel (B, n_mels, frames) → samples (B, frames * hop) in (-1, 1)."""

    def __init__(self, config: UpsamplingConfig):
        super().__init__()
        self.enter = nn.Conv1d(config.mel.n_mels, config.width, 7, padding=3)
        self.upsample = nn.ModuleList()
        self.blocks = nn.ModuleList()
        channels = config.width
        for rate in config.rates:
            self.upsample.append(
                nn.ConvTranspose1d(channels, channels // 2, 2 * rate, rate, padding=rate // 2)
            )
            channels //= 2
            self.blocks.append(
                nn.ModuleList(
                    ResidualBlock(channels, kernel, config.dilations) for kernel in config.kernels
                )
            )
        self.leave = nn.Conv1d(channels, 1, 7, padding=3)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.enter(mel)
        for upsample, blocks in zip(self.upsample, self.blocks, strict=True):
            x = upsample(F.leaky_relu(x, _SLOPE))
            x = torch.stack([block(x) for block in blocks]).mean(dim=0)  # type: ignore[attr-defined]
        return torch.tanh(self.leave(F.leaky_relu(x, _SLOPE))).squeeze(1)
