"""What tells a vocoder's speech from its model in training; small, to be run on a CPU.

Periods: HiFi-GAN (Kong et al., 2020). Complex spectrograms at several resolutions: after Encodec
(Défossez et al., TMLR 2023).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOPE = 0.1
Judged = tuple[Tensor, list[Tensor]]
"""Logits of any shape (higher = a recording), and the feature maps before them."""


class PeriodDiscriminator(nn.Module):
    """Looks at every `period`-th sample: samples (B, T) → `Judged`."""

    def __init__(self, period: int, width: int):
        super().__init__()
        self.period = period
        sizes = [1, width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, (5, 1), (3, 1), (2, 0))
            for before, after in itertools.pairwise(sizes)
        )
        self.last = nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0))

    def forward(self, samples: Tensor) -> Judged:
        missing = -samples.shape[1] % self.period
        padded = F.pad(samples.unsqueeze(1), (0, missing), mode="reflect")
        return _through(self.layers, self.last, padded.unflatten(2, (-1, self.period)))


class SpectrogramDiscriminator(nn.Module):
    """Looks at the complex STFT: samples (B, T) → `Judged`."""

    def __init__(self, n_fft: int, width: int):
        super().__init__()
        self.n_fft = n_fft
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        sizes = [2, width, width, width]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, (5, 3), (3, 1), (2, 1))
            for before, after in itertools.pairwise(sizes)
        )
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, samples: Tensor) -> Judged:
        spectra = torch.stft(
            samples, self.n_fft, self.n_fft // 4, window=self.window, return_complex=True
        )
        spectra = spectra * spectra.abs().clamp(min=1e-5).pow(-0.7)
        return _through(self.layers, self.last, torch.stack([spectra.real, spectra.imag], dim=1))


class Discriminators(nn.ModuleList):
    """All of them: samples (B, T) → one `Judged` each."""

    def __init__(self, periods: tuple[int, ...], n_ffts: tuple[int, ...], width: int):
        super().__init__(
            [PeriodDiscriminator(period, width) for period in periods]
            + [SpectrogramDiscriminator(n_fft, width) for n_fft in n_ffts]
        )

    def forward(self, samples: Tensor) -> list[Judged]:
        return [member(samples) for member in self]


def _through(layers: nn.ModuleList, last: nn.Module, x: Tensor) -> Judged:
    seen = []
    for layer in layers:
        x = F.leaky_relu(layer(x), _SLOPE)
        seen.append(x)
    return last(x), seen
