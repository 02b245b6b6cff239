"""A small Vocos (Siuzdak, ICLR 2024): magnitudes and phases in one pass, then the inverse STFT."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from forensics.networks.vocoders.convnext import ConvNeXtBlock
from forensics.networks.vocoders.frames import FourierFrames, MelConfig

_LOUDEST = 1e2


class FourierConfig(BaseModel):
    """Sizes: channels and number of ConvNeXt blocks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Literal["fourier"] = "fourier"
    mel: MelConfig = MelConfig()
    width: int = Field(default=192, ge=32, le=1024)
    layers: int = Field(default=6, ge=1, le=24)


class FourierVocoder(nn.Module):
    """Log mel (B, n_mels, frames) → samples (B, frames * hop)."""

    def __init__(self, config: FourierConfig):
        super().__init__()
        self.frames = FourierFrames(config.mel.n_fft, config.mel.hop)
        self.enter = nn.Conv1d(config.mel.n_mels, config.width, 7, padding=3)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(config.width, config.layers) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, config.mel.n_fft + 2)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.enter(mel)
        for block in self.blocks:
            x = block(x)
        x = self.leave(self.norm(x.transpose(1, 2))).transpose(1, 2)
        level, phase = x.chunk(2, dim=1)
        # The Fourier transform is taken in full precision under autocast, too.
        magnitude = level.float().exp().clamp(max=_LOUDEST)
        return self.frames.inverse(torch.polar(magnitude, phase.float()))
