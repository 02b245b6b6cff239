"""Autoencoders with random weights, as folders that the editors take."""

from __future__ import annotations

from pathlib import Path

import diffusers
import torch

from forensics.networks.taef2 import decoder, encoder, save_taef2


def taef2(folder: Path) -> str:
    """The published layers, of one size only, with random weights."""
    torch.manual_seed(0)
    parts = {"encoder": encoder().state_dict(), "decoder": decoder().state_dict()}
    save_taef2(folder, parts, "random", "none")
    return str(folder)


def tiny(folder: Path) -> str:
    torch.manual_seed(0)
    channels = (8, 8, 8)
    network = diffusers.AutoencoderTiny(
        encoder_block_out_channels=channels,
        decoder_block_out_channels=channels,
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    )
    network.save_pretrained(folder, safe_serialization=True)
    return str(folder)


def kl(folder: Path) -> str:
    torch.manual_seed(0)
    network = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
    )
    network.save_pretrained(folder, safe_serialization=True)
    return str(folder)
