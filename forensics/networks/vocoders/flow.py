"""A rectified-flow vocoder on Fourier coefficients.

Rectified flow: Liu, Gong & Liu, ICLR 2023. On frames of a spectrogram: RFWave (Liu et al.,
ICLR 2025). The noise starts with the mel spectrogram's envelope, after PriorGrad (Lee et al., ICLR
2022), so that a small network has less to do.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from forensics.networks.vocoders.convnext import ConvNeXtBlock
from forensics.networks.vocoders.frames import FourierFrames, MelConfig, mel_bank

_POWER = 0.5  # magnitudes are compressed, else the loudest few are all that is learned
_FLOOR = 0.02


class FlowConfig(BaseModel):
    """Sizes.

    Attributes:
        steps: of Euler's method when speech is made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Literal["flow"] = "flow"
    mel: MelConfig = MelConfig(n_fft=512, hop=128)
    width: int = Field(default=224, ge=32, le=1024)
    layers: int = Field(default=6, ge=1, le=24)
    steps: int = Field(default=10, ge=1, le=200)


class FlowVocoder(nn.Module):
    """Log mel (B, n_mels, frames) → samples (B, frames * hop), drawn from torch's generator."""

    def __init__(self, config: FlowConfig):
        super().__init__()
        self.config = config
        self.frames = FourierFrames(config.mel.n_fft, config.mel.hop)
        self.spread: Tensor
        bank = mel_bank(config.mel)
        mean = bank / bank.sum(dim=1, keepdim=True)  # a band's value / its sum: a mean magnitude
        spread = mean.T / mean.sum(dim=0).clamp(min=1e-5).unsqueeze(1) / bank.sum(dim=1)
        self.register_buffer("spread", spread, persistent=False)
        coefficients = config.mel.n_fft + 2
        self.enter = nn.Conv1d(coefficients + config.mel.n_mels, config.width, 3, padding=1)
        self.time = nn.Sequential(
            nn.Linear(64, config.width), nn.SiLU(), nn.Linear(config.width, config.width)
        )
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(config.width, config.layers) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, coefficients)

    def forward(self, mel: Tensor) -> Tensor:
        envelope = self._envelope(mel)
        x = torch.randn_like(envelope) * envelope
        step = 1 / self.config.steps
        for number in range(self.config.steps):
            at = torch.full((len(mel),), number * step, device=mel.device)
            x = x + step * self._velocity(x, at, mel, envelope)
        return self.frames.inverse(_expanded(x))

    def loss(self, mel: Tensor, samples: Tensor) -> Tensor:
        """Mean squared error of the velocity, relative to the envelope; samples (B, T)."""
        target = _compressed(self.frames(samples))
        envelope = self._envelope(mel)
        noise = torch.randn_like(envelope) * envelope
        at = torch.rand(len(mel), device=mel.device)
        between = torch.lerp(noise, target, at.view(-1, 1, 1))
        velocity = self._velocity(between, at, mel, envelope)
        return ((velocity - (target - noise)) / envelope).square().mean()

    def _envelope(self, mel: Tensor) -> Tensor:
        """What magnitudes the mel spectrogram lets expect of real and imaginary parts."""
        magnitude = (self.spread @ mel.exp()).clamp(min=1e-5)
        part = magnitude.pow(_POWER) / math.sqrt(2) + _FLOOR
        return torch.cat([part, part], dim=1)

    def _velocity(self, x: Tensor, at: Tensor, mel: Tensor, envelope: Tensor) -> Tensor:
        """What changes x (B, coefficients, frames) at the times `at` (B,) in [0, 1]."""
        hidden = self.enter(torch.cat([x / envelope, mel], dim=1))
        shift = self.time(_waves(at)).unsqueeze(2)
        for block in self.blocks:
            hidden = block(hidden, shift)
        return self.leave(self.norm(hidden.transpose(1, 2))).transpose(1, 2) * envelope


def _waves(at: Tensor) -> Tensor:
    """Times (B,) in [0, 1] as sines and cosines (B, 64)."""
    rates = torch.logspace(0, 2, 32, device=at.device)
    angles = at.unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _compressed(spectra: Tensor) -> Tensor:
    """complex (B, F, T) → real (B, 2 F, T)."""
    scaled = spectra * spectra.abs().clamp(min=1e-6).pow(_POWER - 1)
    return torch.cat([scaled.real, scaled.imag], dim=1)


def _expanded(coefficients: Tensor) -> Tensor:
    real, imaginary = coefficients.float().chunk(2, dim=1)
    spectra = torch.complex(real, imaginary)
    return spectra * spectra.abs().pow(1 / _POWER - 1)
