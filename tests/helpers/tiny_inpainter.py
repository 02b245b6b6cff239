"""A tiny diffusion inpainter with random weights, as a folder that the editor takes."""

from __future__ import annotations

from pathlib import Path

import torch

from forensics.networks.inpainter import Inpainter, InpainterNetworkConfig, save_inpainter


def build(folder: Path) -> str:
    torch.manual_seed(0)
    config = InpainterNetworkConfig(side=16, channels=(8, 16), timesteps=50)
    save_inpainter(folder, Inpainter(config), 0, "nothing", "none", None)
    return str(folder)
