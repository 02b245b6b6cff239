"""How near a vocoder's copies are to the recordings, beside Griffin-Lim's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from forensics.networks.vocoders.folder import VocoderQuality, copy_synthesis
from forensics.networks.vocoders.frames import LogMel, MelConfig, mel_bank

_FLOOR_DB = 60.0
_SEED = 20_000


def measure(
    network: nn.Module, config: MelConfig, clips: Sequence[np.ndarray], speakers: int
) -> VocoderQuality:
    """Copy synthesis of clips float32 (T,) at the vocoder's rate."""
    ours = distances(network, config, clips)
    theirs = _distances(lambda x: griffinlim_copy(x, config), LogMel(config), clips, config)
    return VocoderQuality(
        clips=len(clips),
        speakers=speakers,
        mel_distance=round(ours[0], 4),
        log_spectral_distance_db=round(ours[1], 3),
        griffinlim_mel_distance=round(theirs[0], 4),
        griffinlim_log_spectral_distance_db=round(theirs[1], 3),
    )


def distances(
    network: nn.Module, config: MelConfig, clips: Sequence[np.ndarray]
) -> tuple[float, float]:
    """(mel distance, log-spectral distance in dB) of the network's copies, see `VocoderQuality`."""
    mel = LogMel(config)
    return _distances(lambda x: copy_synthesis(network, mel, config.hop, x), mel, clips, config)


def mel_distance(mel: LogMel, made: Tensor, recorded: Tensor, hop: int) -> float:
    """Mean absolute difference of natural log mels of samples (T,)."""
    whole = len(recorded) // hop * hop
    return float((mel(made[None, :whole]) - mel(recorded[None, :whole])).abs().mean())


def log_spectral_distance(made: Tensor, recorded: Tensor) -> float:
    """dB, see `VocoderQuality`; samples (T,), spectra of 512 samples."""
    window = torch.hann_window(512)
    levels = []
    for samples in (made, recorded):
        power = torch.stft(samples, 512, 128, window=window, return_complex=True).abs().square()
        levels.append(10 * power.clamp(min=1e-12).log10())
    floor = levels[1].max() - _FLOOR_DB
    apart = levels[0].clamp(min=floor) - levels[1].clamp(min=floor)
    return float(apart.square().mean(dim=0).sqrt().mean())


@torch.inference_mode()
def griffinlim_copy(samples: Tensor, config: MelConfig) -> Tensor:
    """Griffin-Lim (32 iterations) from the same mel magnitudes, (T,) → (T,)."""
    from torchaudio.functional import griffinlim

    window = torch.hann_window(config.n_fft)
    magnitude = torch.stft(
        samples, config.n_fft, config.hop, window=window, return_complex=True
    ).abs()
    bank = mel_bank(config)
    restored = (torch.linalg.pinv(bank) @ (bank @ magnitude)).clamp(min=0)
    return griffinlim(
        restored, window, config.n_fft, config.hop, config.n_fft, 1.0, 32, 0.99, len(samples), True
    )


def _distances(
    copy: Callable[[Tensor], Tensor], mel: LogMel, clips: Sequence[np.ndarray], config: MelConfig
) -> tuple[float, float]:
    found = []
    for number, clip in enumerate(clips):
        recorded = torch.from_numpy(clip)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED + number)
            made = copy(recorded)
        found.append(
            (mel_distance(mel, made, recorded, config.hop), log_spectral_distance(made, recorded))
        )
    mels, spectra = zip(*found, strict=True)
    return float(np.mean(mels)), float(np.mean(spectra))
