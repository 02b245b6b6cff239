"""Latent autoencoders on this machine: TAEF2, or a diffusers `AutoencoderTiny`/`AutoencoderKL`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.errors import MissingRequirement, UsageError
from forensics.requirements import RequirementKind

if TYPE_CHECKING:
    import torch

_CONFIG = "config.json"
_CLASSES = ("AutoencoderTiny", "AutoencoderKL")
_TILE, _OVERLAP = 512, 64  # pixels
_WHOLE = 1_200_000  # pixels that go through at once


@dataclass(frozen=True)
class AutoencoderWeights:
    """A folder with safetensors of an autoencoder that `load_autoencoder` knows."""

    path: str | None
    kind: RequirementKind = "weights"

    def missing(self) -> str | None:
        if self.path is None:
            return "no autoencoder is named (parameter 'weights')"
        folder = Path(self.path).expanduser()
        try:
            named = _named(folder)
        except (OSError, ValueError):
            return f"{folder} has no {_CONFIG} of an autoencoder"
        if named not in ("taef2", *_CLASSES):
            return f"{folder} holds {named or 'no autoencoder'}, not TAEF2 or {_CLASSES}"
        if not any(folder.glob("*.safetensors")):
            return f"{folder} has no safetensors, and pickled weights are not read"
        return None

    def fix(self) -> str:
        return (
            "forensics import-weights taef2 DIR --out FOLDER, or save_pretrained a diffusers "
            "autoencoder, and set 'weights' to that folder"
        )


def _named(folder: Path) -> str | None:
    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    return config.get("autoencoder") or config.get("_class_name")


@dataclass(frozen=True)
class Autoencoder:
    """An encoder and a decoder.

    Attributes:
        name: "taef2" or the diffusers class.
        factor: pixels to a latent cell, in either direction.
        encode: float32 (1, 3, H, W) in 0..1, sides multiples of `factor` → latents (1, C, h, w).
        decode: latents → float32 (1, 3, H, W) in 0..1.
    """

    name: str
    factor: int
    encode: Callable[[torch.Tensor], torch.Tensor]
    decode: Callable[[torch.Tensor], torch.Tensor]
    device: str

    def latents(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3), any size → float32 (h, w, C); sides are rounded up to whole cells."""
        import torch

        height, width = pixels.shape[:2]
        rest = (-height % self.factor, -width % self.factor)
        padded = np.pad(pixels, ((0, rest[0]), (0, rest[1]), (0, 0)), mode="edge")
        image = torch.from_numpy(padded).permute(2, 0, 1)[None].float().div_(255)
        made = _tiled(self.encode, image.to(self.device), 1, self.factor)
        return made[0].permute(1, 2, 0).cpu().numpy()

    def pixels(self, latents: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """float32 (h, w, C) → uint8 (H, W, 3) of `size` (height, width)."""
        import torch

        given = torch.from_numpy(np.ascontiguousarray(latents, np.float32)).permute(2, 0, 1)[None]
        made = _tiled(self.decode, given.to(self.device), self.factor, 1)
        image = made[0].clamp(0, 1).mul(255).round().permute(1, 2, 0)
        return image.cpu().numpy().astype(np.uint8)[: size[0], : size[1]]


def load_autoencoder(folder: Path, device: str) -> Autoencoder:
    """The autoencoder of a folder.

    Raises:
        MissingRequirement: no such folder, no safetensors, or no such device.
        UsageError: the weights are not those of an autoencoder that is known.
        CorpusError: weights of TAEF2 that do not match their pinned hash.
    """
    import torch

    needed = AutoencoderWeights(str(folder))
    if (what := needed.missing()) is not None:
        raise MissingRequirement(what, needed.fix())
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise MissingRequirement("torch finds no CUDA device", "use the device cpu")
    named = _named(folder)
    if named == "taef2":
        from forensics.networks.taef2 import FACTOR, load_taef2

        encode, decode, _ = load_taef2(folder)
        return Autoencoder("taef2", FACTOR, encode.to(device), decode.to(device), device)
    return _of_diffusers(str(named), folder, device)


def _of_diffusers(name: str, folder: Path, device: str) -> Autoencoder:
    import diffusers
    import torch

    try:
        network: Any = getattr(diffusers, name).from_pretrained(
            folder, use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{folder} cannot be loaded as {name} ({error})", "save_pretrained it again"
        ) from error
    network = network.to(device, torch.float32).eval()

    def encode(image: torch.Tensor) -> torch.Tensor:
        made = network.encode(image * 2 - 1)
        return made.latents if name == "AutoencoderTiny" else made.latent_dist.mode()

    def decode(latents: torch.Tensor) -> torch.Tensor:
        return network.decode(latents).sample / 2 + 0.5

    return Autoencoder(name, _factor(encode, device), encode, decode, device)


def _factor(encode: Callable[[torch.Tensor], torch.Tensor], device: str) -> int:
    import torch

    with torch.inference_mode():
        side = 64
        return side // encode(torch.zeros(1, 3, side, side, device=device)).shape[-1]


def _tiled(
    step: Callable[[torch.Tensor], torch.Tensor], given: torch.Tensor, grown: int, shrunk: int
) -> torch.Tensor:
    """`step` in overlapping tiles where the picture is large, blended along the overlaps.

    Args:
        grown, shrunk: the step's output has `grown / shrunk` times the sides of its input.
    """
    import torch

    height, width = given.shape[2:]
    if height * width * grown**2 <= _WHOLE:
        return step(given)
    tile, overlap = _TILE // grown, _OVERLAP // grown
    total: torch.Tensor | None = None
    weights = torch.zeros(1, 1, height * grown // shrunk, width * grown // shrunk).to(given.device)
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            made = step(given[:, :, top : top + tile, left : left + tile])
            weight = _ramp(made.shape[2], overlap * grown // shrunk)[:, None]
            weight = (weight * _ramp(made.shape[3], overlap * grown // shrunk)).to(given.device)
            if total is None:
                total = made.new_zeros(1, made.shape[1], *weights.shape[2:])
            y, x = top * grown // shrunk, left * grown // shrunk
            place = np.s_[:, :, y : y + made.shape[2], x : x + made.shape[3]]
            total[place] += made * weight
            weights[place] += weight
    assert total is not None
    return total / weights


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin, on a grid that keeps cells whole; the last one ends at the border."""
    if length <= tile:
        return [0]
    step = tile - overlap
    return [*range(0, length - tile, step), length - tile]


def _ramp(length: int, overlap: int) -> torch.Tensor:
    import torch

    steps = torch.arange(length, dtype=torch.float32)
    return torch.minimum(steps, length - 1 - steps).add(1).div(overlap + 1).clamp(max=1)
