"""A recording and its copy, to look at and to listen to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn

from forensics.networks.vocoders.folder import copy_synthesis
from forensics.networks.vocoders.frames import LogMel, MelConfig

_SECONDS = 4.0


def show_copies(network: nn.Module, config: MelConfig, clip: np.ndarray, out: Path) -> None:
    """Write `copies.png`, `recording.wav` and `copy.wav` for one clip float32 (T,)."""
    clip = clip[: int(_SECONDS * config.sampling_rate)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = copy_synthesis(network, LogMel(config), config.hop, torch.from_numpy(clip))
    copy = np.clip(made.numpy(), -1, 1)
    soundfile.write(out / "recording.wav", clip, config.sampling_rate, subtype="PCM_16")
    soundfile.write(out / "copy.wav", copy, config.sampling_rate, subtype="PCM_16")
    _plot(clip, copy, config.sampling_rate, out / "copies.png")


def _plot(recording: np.ndarray, copy: np.ndarray, rate: int, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    for axis, samples, title in zip(
        axes, (recording, copy), ("recording", "copy synthesis"), strict=True
    ):
        axis.specgram(samples, NFFT=512, Fs=rate, noverlap=384, vmin=-140, vmax=-40)
        axis.set_title(title)
        axis.set_ylabel("Hz")
    axes[1].set_xlabel("s")
    figure.savefig(path, dpi=110)
