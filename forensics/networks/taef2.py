"""TAEF2, the tiny autoencoder of FLUX.2 (github.com/madebyollin/taesd, MIT), and its folder.

Two stacks of 3x3 convolutions that stand in for a latent diffusion model's large autoencoder. The
layers are those of the published state dicts, name by name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load, save
from torch import Tensor, nn

from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.shards import storage

FACTOR = 8
"""Pixels to a latent cell, in either direction."""

CHANNELS = 32
"""Of the latents, which span about -3 to 3."""

CONFIG = "config.json"
WEIGHTS = {"encoder": "taef2_encoder.safetensors", "decoder": "taef2_decoder.safetensors"}

_WIDTH = 64


class _Block(nn.Module):
    """Three convolutions past a skip; a gated one first adds what all of the image says."""

    def __init__(self, gated: bool = False):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
        )
        self.pool = _gate() if gated else None

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


def _gate() -> nn.Sequential:
    wide = 4 * _WIDTH
    return nn.Sequential(
        nn.Conv2d(_WIDTH, wide, 1, bias=False),
        nn.GroupNorm(4, wide),
        nn.ReLU(),
        nn.Conv2d(wide, _WIDTH, 1, bias=False),
    )


class _Bounded(nn.Module):
    """Latents beyond ±3 are pressed back softly."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


def encoder() -> nn.Sequential:
    """RGB (B, 3, H, W) in 0..1, sides multiples of 8 → latents (B, 32, H/8, W/8)."""
    layers: list[nn.Module] = [nn.Conv2d(3, _WIDTH, 3, padding=1), _Block()]
    for gated in (False, False, True):
        layers.append(nn.Conv2d(_WIDTH, _WIDTH, 3, stride=2, padding=1, bias=False))
        layers += [_Block(gated) for _ in range(3)]
    return nn.Sequential(*layers, nn.Conv2d(_WIDTH, CHANNELS, 3, padding=1))


def decoder() -> nn.Sequential:
    """Latents (B, 32, h, w) → RGB (B, 3, 8h, 8w), about 0..1: clamp it."""
    layers: list[nn.Module] = [_Bounded(), nn.Conv2d(CHANNELS, _WIDTH, 3, padding=1), nn.ReLU()]
    for gated in (True, False, False):
        layers += [_Block(gated) for _ in range(3)]
        layers.append(nn.Upsample(scale_factor=2))
        layers.append(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, bias=False))
    return nn.Sequential(*layers, _Block(), nn.Conv2d(_WIDTH, 3, 3, padding=1))


class Taef2Card(BaseModel):
    """The folder's `config.json`.

    Attributes:
        sha256: of the weight files, by "encoder" and "decoder".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    autoencoder: str = "taef2"
    sha256: dict[str, str]
    origin: str
    licence: str


def save_taef2(
    folder: Path, parts: dict[str, dict[str, Tensor]], origin: str, licence: str
) -> Taef2Card:
    """Write a folder, in float16 as published.

    Args:
        parts: the state dicts of "encoder" and "decoder".
    """
    folder.mkdir(parents=True, exist_ok=True)
    pinned = {}
    for part, name in WEIGHTS.items():
        data = save({key: value.half().contiguous() for key, value in parts[part].items()})
        storage.publish(str(folder / name), data)
        pinned[part] = hashlib.sha256(data).hexdigest()
    card = Taef2Card(sha256=pinned, origin=origin, licence=licence)
    storage.publish(str(folder / CONFIG), card.model_dump_json(indent=2).encode() + b"\n")
    return card


def load_taef2(folder: Path) -> tuple[nn.Module, nn.Module, Taef2Card]:
    """Encoder and decoder in `eval`, float32 on the CPU, and their card.

    Raises:
        MissingRequirement: a file is not there.
        UsageError: the config is another's.
        CorpusError: weights that do not match their pinned hash or the layers.
    """
    for name in (CONFIG, *WEIGHTS.values()):
        if not (folder / name).is_file():
            raise MissingRequirement(
                f"{folder} has no {name}", "forensics import-weights taef2 DIR --out FOLDER"
            )
    try:
        card = Taef2Card.model_validate_json((folder / CONFIG).read_bytes())
    except ValidationError as error:
        raise UsageError(
            f"{folder / CONFIG} is not TAEF2's: {error.errors()[0]['msg']}", "import it again"
        ) from error
    networks = {"encoder": encoder(), "decoder": decoder()}
    for part, network in networks.items():
        data = (folder / WEIGHTS[part]).read_bytes()
        if hashlib.sha256(data).hexdigest() != card.sha256.get(part):
            raise CorpusError(f"{folder / WEIGHTS[part]} does not match its config", "get it again")
        try:
            network.load_state_dict(load(data))
        except RuntimeError as error:
            raise CorpusError(f"{folder}: {part} does not fit ({error})", "get it again") from error
        network.eval().requires_grad_(False)
    return networks["encoder"], networks["decoder"], card
