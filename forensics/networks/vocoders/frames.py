"""What the vocoders share: the log mel spectrogram, and Fourier frames that add up again."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks


class MelConfig(BaseModel):
    """The spectrogram that a vocoder turns into speech.

    Attributes:
        n_fft: samples of a spectrum and of its Hann window.
        hop: samples between spectra; divides `n_fft`.
        n_mels: bands from 0 Hz to half the sampling rate (Slaney's scale).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampling_rate: int = Field(default=16_000, ge=8_000, le=48_000)
    n_fft: int = Field(default=1024, ge=128, le=4096)
    hop: int = Field(default=256, ge=32, le=1024)
    n_mels: int = Field(default=80, ge=20, le=256)

    @model_validator(mode="after")
    def _overlap(self) -> MelConfig:
        if self.n_fft % (2 * self.hop):
            raise ValueError("n_fft must be a multiple of twice the hop")
        if not bool(mel_bank(self).any(dim=1).all()):
            raise ValueError(
                f"{self.n_mels} mel bands are finer than a spectrum of {self.n_fft} samples: "
                "some would be empty"
            )
        return self


class FourierFrames(nn.Module):
    """STFT with one frame for each hop and no half frames at the ends, and its inverse."""

    def __init__(self, n_fft: int, hop: int):
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """float32 (B, T), T a multiple of the hop → complex64 (B, n_fft // 2 + 1, T / hop)."""
        padding = (self.n_fft - self.hop) // 2
        padded = F.pad(samples.unsqueeze(1), (padding, padding), mode="reflect").squeeze(1)
        return torch.stft(
            padded, self.n_fft, self.hop, window=self.window, center=False, return_complex=True
        )

    def inverse(self, spectra: Tensor) -> Tensor:
        """complex64 (B, n_fft // 2 + 1, frames) → float32 (B, frames * hop)."""
        pieces = torch.fft.irfft(spectra, self.n_fft, dim=1) * self.window.unsqueeze(1)
        energy = self.window.square().view(1, -1, 1).expand(1, -1, spectra.shape[2])
        total = self._add_up(pieces)
        # No frame reaches the outermost samples with more than its foot.
        return total / self._add_up(energy).clamp(min=1e-2)

    def _add_up(self, pieces: Tensor) -> Tensor:
        frames = pieces.shape[2]
        length = (frames - 1) * self.hop + self.n_fft
        added = F.fold(pieces, (1, length), (1, self.n_fft), stride=(1, self.hop))
        padding = (self.n_fft - self.hop) // 2
        return added[:, 0, 0, padding : padding + frames * self.hop]


class LogMel(nn.Module):
    """float32 (B, T), T a multiple of the hop → natural log mel magnitudes (B, n_mels, T / hop)."""

    def __init__(self, config: MelConfig):
        super().__init__()
        self.frames = FourierFrames(config.n_fft, config.hop)
        self.bank: Tensor
        self.register_buffer("bank", mel_bank(config), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        return (self.bank @ self.frames(samples).abs()).clamp(min=1e-5).log()


def mel_bank(config: MelConfig) -> Tensor:
    """float32 (n_mels, n_fft // 2 + 1)."""
    rate = config.sampling_rate
    bins = config.n_fft // 2 + 1
    return melscale_fbanks(
        bins, 0.0, rate / 2, config.n_mels, rate, norm="slaney", mel_scale="slaney"
    ).T.contiguous()
