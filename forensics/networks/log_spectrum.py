"""Log spectra of equally wide bands, normalised so that neither gain nor a fixed channel shows.

Bands are linear in frequency, not mel: vocoders driven by mel spectra leave their traces between
the upper harmonics, where mel bands are too wide to show them.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class SpectrumConfig(BaseModel):
    """What is heard of a window.

    Attributes:
        n_fft: samples of a spectrum; also the analysis window (Hann).
        hop: samples between spectra.
        bands: equally wide bands that the spectrum is averaged to, from 0 Hz to `top_hz`.
        top_hz: nothing above is heard; the corpora are band-limited near 7.4 kHz.
        range_db: what lies further below the loudest band of the window counts as that far below,
            so that neither silence nor a noise floor says anything.
        active_db: frames quieter than this below the loudest frame are not active.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampling_rate: int = 16_000
    n_fft: int = Field(default=512, ge=128, le=2048)
    hop: int = Field(default=160, ge=64, le=512)
    bands: int = Field(default=112, ge=16, le=256, multiple_of=16)
    top_hz: float = Field(default=7000.0, gt=1000.0, le=24_000.0)
    range_db: float = Field(default=60.0, gt=0)
    active_db: float = Field(default=35.0, gt=0)


class LogSpectrum(nn.Module):
    """(B, T) samples → log spectra float32 (B, bands, frames) and active frames bool (B, frames).

    The loudest band sets the level, and each band's mean over the active frames is taken off, so
    that neither gain nor a fixed channel response is seen.
    """

    def __init__(self, config: SpectrumConfig):
        super().__init__()
        self.config = config
        self.window: Tensor
        self.averaging: Tensor
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("averaging", band_matrix(config), persistent=False)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        config = self.config
        spectra = torch.stft(
            samples, config.n_fft, config.hop, window=self.window, return_complex=True
        )
        power = self.averaging @ spectra.abs().square()
        level = 10 * torch.log10(power.clamp(min=1e-12))
        level = level - level.amax(dim=(1, 2), keepdim=True)
        frames = 10 * torch.log10(power.sum(dim=1).clamp(min=1e-12))
        active = frames > frames.amax(dim=1, keepdim=True) - config.active_db
        level = level.clamp(min=-config.range_db)
        kept = active.unsqueeze(1)
        mean = (level * kept).sum(dim=2, keepdim=True) / kept.sum(dim=2, keepdim=True)
        return (level - mean) / 10, active


def band_matrix(config: SpectrumConfig) -> Tensor:
    """Averages bins to equally wide bands, float32 (bands, n_fft // 2 + 1).

    Triangles whose feet are their neighbours' tips; each row sums to 1.
    """
    bins = torch.arange(config.n_fft // 2 + 1) * config.sampling_rate / config.n_fft
    width = config.top_hz / config.bands
    tips = (torch.arange(config.bands) + 0.5) * width
    rise = 1 - (bins - tips.unsqueeze(1)).abs() / max(width, config.sampling_rate / config.n_fft)
    weights = rise.clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)


def any_in_step(active: Tensor, steps: int) -> Tensor:
    """bool (B, frames) → bool (B, steps): whether any frame of a step is active."""
    return active.to(torch.float32) @ _members(active, steps).T > 0


def mean_in_step(values: Tensor, steps: int) -> Tensor:
    """float32 (B, frames) → (B, steps): mean of the frames of a step."""
    members = _members(values, steps)
    return values @ members.T / members.sum(dim=1)


def _members(frames_of: Tensor, steps: int) -> Tensor:
    """float32 (steps, frames): 1 where a frame is of a step.

    As in adaptive pooling, which is written as a product because ONNX has no operator for it.
    """
    frames = frames_of.shape[1]
    step = torch.arange(steps, device=frames_of.device).unsqueeze(1)
    frame = torch.arange(frames, device=frames_of.device)
    first, end = (step * frames) // steps, -((-(step + 1) * frames) // steps)
    return ((frame >= first) & (frame < end)).to(torch.float32)
