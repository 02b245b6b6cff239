"""Distance of two signals' spectra at several resolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

_RESOLUTIONS = ((128, 16), (256, 32), (512, 64), (1024, 80), (2048, 128))  # n_fft, mel bands
LONGEST_SPECTRUM = _RESOLUTIONS[-1][0]  # samples


class SpectralLoss(nn.Module):
    """Mean absolute difference of natural log mel magnitudes, averaged over resolutions.

    (B, T) and (B, T) → scalar; as in the Descript audio codec (Kumar et al., NeurIPS 2023).
    """

    def __init__(self, sampling_rate: int):
        super().__init__()
        for n_fft, bands in _RESOLUTIONS:
            bank = melscale_fbanks(
                n_fft // 2 + 1, 0.0, sampling_rate / 2, bands, sampling_rate, mel_scale="htk"
            )
            self.register_buffer(f"bank_{n_fft}", bank.T.contiguous(), persistent=False)
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft), persistent=False)

    def forward(self, made: Tensor, recorded: Tensor) -> Tensor:
        return torch.stack(
            [
                (self._levels(made, n_fft) - self._levels(recorded, n_fft)).abs().mean()
                for n_fft, _ in _RESOLUTIONS
            ]
        ).mean()

    def _levels(self, samples: Tensor, n_fft: int) -> Tensor:
        window, bank = getattr(self, f"window_{n_fft}"), getattr(self, f"bank_{n_fft}")
        spectra = torch.stft(samples, n_fft, n_fft // 4, window=window, return_complex=True)
        power = spectra.real.square() + spectra.imag.square() + 1e-9
        return (bank @ power.sqrt()).clamp(min=1e-4).log()
