"""A HiFi-GAN generator as its authors publish it, written from the paper: a checkpoint with weight
norms, its config, and the network itself to compare with."""

from __future__ import annotations

import json
import warnings

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import weight_norm

CONFIG = {
    "resblock": "1",
    "upsample_rates": [8, 4],
    "upsample_kernel_sizes": [16, 8],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3], [1, 2]],
    "num_mels": 12,
    "n_fft": 128,
    "hop_size": 32,
    "win_size": 128,
    "sampling_rate": 16_000,
    "fmin": 0,
    "fmax": 8000,
    "learning_rate": 0.0002,  # one of those that are not read
}


class ResBlock(nn.Module):
    def __init__(self, channels, size, dilations):
        super().__init__()
        normed = [
            [
                weight_norm(nn.Conv1d(channels, channels, size, 1, d * (size - 1) // 2, d))
                for d in ds
            ]
            for ds in (dilations, [1] * len(dilations))
        ]
        self.convs1, self.convs2 = map(nn.ModuleList, normed)

    def forward(self, x):
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, 0.1)), 0.1))
        return x


class Generator(nn.Module):
    """(B, bins, T) → (B, 1, T · hop)."""

    def __init__(self, config=CONFIG):
        super().__init__()
        width, kinds = config["upsample_initial_channel"], len(config["resblock_kernel_sizes"])
        self.kinds = kinds
        self.conv_pre = weight_norm(nn.Conv1d(config["num_mels"], width, 7, 1, 3))
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, size in zip(
            config["upsample_rates"], config["upsample_kernel_sizes"], strict=True
        ):
            up = nn.ConvTranspose1d(width, width // 2, size, rate, (size - rate) // 2)
            self.ups.append(weight_norm(up))
            width //= 2
            self.resblocks.extend(
                ResBlock(width, size, dilations)
                for size, dilations in zip(
                    config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True
                )
            )
        self.conv_post = weight_norm(nn.Conv1d(width, 1, 7, 1, 3))

    def forward(self, mel):
        x = self.conv_pre(mel)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, 0.1))
            blocks = self.resblocks[i * self.kinds : (i + 1) * self.kinds]
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return torch.tanh(self.conv_post(F.leaky_relu(x)))


def publish(folder, config=CONFIG):
    """`g.pth` and `config.json` in a folder; the network whose weights they are."""
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # weight norms as they were saved then
        network = Generator(config).eval()
    for name, value in network.named_parameters():
        if name.endswith("weight_g"):
            value.data *= torch.linspace(0.5, 1.5, value.numel()).view(value.shape)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"generator": network.state_dict()}, folder / "g.pth")
    (folder / "config.json").write_text(json.dumps(config))
    return network
