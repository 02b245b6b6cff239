"""A tiny diffusion inpainter with random weights, as a folder that the editor takes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from forensics.networks.inpainter import Inpainter, InpainterNetworkConfig, save_inpainter


def network() -> Inpainter:
    """As if trained: before training the last layer is 0, and every picture a smooth fill."""
    torch.manual_seed(0)
    made = Inpainter(InpainterNetworkConfig(side=16, channels=(8, 16), timesteps=50))
    nn.init.normal_(made.unet.conv_out.weight, std=0.2)
    return made.eval()


def build(folder: Path) -> str:
    save_inpainter(folder, network(), 0, "nothing", "none", None)
    return str(folder)
