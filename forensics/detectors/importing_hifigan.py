"""Converts a published HiFi-GAN generator (arXiv 2010.05646) to what transformers reads."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from forensics.detectors.importing import LISTED, converted, differences
from forensics.errors import MediaError, UsageError

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
_MAX_BYTES = 1 << 30
# By the SHA-256 of the checkpoint: jik876/hifi-gan's weights as ming024/FastSpeech2 has them.
_PUBLISHED = {
    "771eaf4876485a35e25577563d390c262e23c2421e4a8c929eacfde34a5b7a60": "UNIVERSAL_V1",
    "bb4b0cb7f9df59b8e57bb2e51a1bede57b43e9f0454863e3971c491f255505e4": "LJ_V1",
}


_Size = Annotated[int, Field(gt=0, le=8192)]


class HifiganCheckpointConfig(BaseModel):
    """What is read of the `config.json` that HiFi-GAN's authors publish beside each checkpoint."""

    model_config = ConfigDict(frozen=True)

    resblock: str = Field(pattern="^1$")  # the other kind of block is not in transformers
    upsample_rates: list[_Size] = Field(min_length=1, max_length=8)
    upsample_kernel_sizes: list[_Size]
    upsample_initial_channel: _Size
    resblock_kernel_sizes: list[_Size] = Field(min_length=1, max_length=8)
    resblock_dilation_sizes: list[list[_Size]]
    num_mels: _Size
    n_fft: _Size
    hop_size: _Size
    win_size: _Size
    sampling_rate: int = Field(ge=8_000, le=192_000)
    fmin: float = Field(ge=0)
    fmax: float | None = Field(gt=0)

    @model_validator(mode="after")
    def _fits(self) -> HifiganCheckpointConfig:
        if len(self.upsample_kernel_sizes) != len(self.upsample_rates):
            raise ValueError("upsample_kernel_sizes and upsample_rates differ in length")
        if len(self.resblock_dilation_sizes) != len(self.resblock_kernel_sizes):
            raise ValueError("resblock_dilation_sizes and resblock_kernel_sizes differ in length")
        if math.prod(self.upsample_rates) != self.hop_size or self.hop_size > self.n_fft:
            raise ValueError("hop_size is not the product of upsample_rates, or above n_fft")
        return self


@dataclass(frozen=True)
class ImportedVocoder:
    """What was written: `keys` tensors, from where, under which licence, at which rate in Hz."""

    keys: int
    origin: str
    licence: str
    sampling_rate: int


def import_hifigan(checkpoint: Path, folder: Path) -> ImportedVocoder:
    """Convert a generator's checkpoint, with its `config.json` beside it, to `folder`.

    The file is opened in a separate process that unpickles tensors only, under limits. The weight
    norm is folded into the weights. The new config says how the mel spectrogram is made that the
    vocoder was trained on.

    Raises:
        MediaError: a file is missing, or too large.
        UsageError: it is more than a state dict of tensors or none of that config's, or `folder`
            already holds weights.
    """
    from safetensors.torch import save_file
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    if (folder / CONFIG).exists():
        raise UsageError(f"{folder} already holds weights", "name another folder with --out")
    if not checkpoint.is_file():
        raise MediaError("not_found", f"{checkpoint}: no such file", "check the path")
    if checkpoint.stat().st_size > _MAX_BYTES:
        raise MediaError(
            "too_large", f"{checkpoint} is larger than {_MAX_BYTES} bytes", "not a generator?"
        )
    config = _read_config(checkpoint.with_name(CONFIG))
    tensors = _folded(converted(checkpoint))
    network = SpeechT5HifiGan(SpeechT5HifiGanConfig(**_architecture(config)))
    state = network.state_dict()
    tensors |= {name: state[name] for name in ("mean", "scale")}  # not used: normalize_before
    wrong = differences(
        {name: tuple(tensor.shape) for name, tensor in state.items()},
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
    )
    if wrong:
        raise UsageError(
            f"{checkpoint} is no generator of its config.json: {'; '.join(wrong[:LISTED])}",
            "import the unchanged published files",
        )
    folder.mkdir(parents=True, exist_ok=True)
    network.config.architectures = [type(network).__name__]
    network.config.save_pretrained(str(folder))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    known = _PUBLISHED.get(sha256)
    origin = f"{known} of jik876/hifi-gan" if known else f"unknown ({checkpoint.name}, {sha256})"
    licence = "MIT" if known else "unknown"
    _describe(folder, config, {"origin": origin, "licence": licence})
    return ImportedVocoder(len(tensors) - 2, origin, licence, config.sampling_rate)


def _read_config(path: Path) -> HifiganCheckpointConfig:
    if not path.is_file():
        raise MediaError(
            "not_found", f"{path}: no such file", "put the published config.json there"
        )
    try:
        return HifiganCheckpointConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{path} is no config of a HiFi-GAN that is known here: {place}: {first['msg']}",
            "V1 and V2 (resblock 1) can be imported, with the config that they are published with",
        ) from error


def _architecture(config: HifiganCheckpointConfig) -> dict[str, Any]:
    return {
        "model_in_dim": config.num_mels,
        "sampling_rate": config.sampling_rate,
        "upsample_initial_channel": config.upsample_initial_channel,
        "upsample_rates": config.upsample_rates,
        "upsample_kernel_sizes": config.upsample_kernel_sizes,
        "resblock_kernel_sizes": config.resblock_kernel_sizes,
        "resblock_dilation_sizes": config.resblock_dilation_sizes,
        "normalize_before": False,
    }


def _folded(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of transformers; g · v / ‖v‖, a norm for each first index, in place of g and v."""
    weights = {}
    for name, value in tensors.items():
        name = name.replace("ups.", "upsampler.", 1) if name.startswith("ups.") else name
        if name.endswith(".weight_g"):
            continue
        if name.endswith(".weight_v"):
            scale = tensors.get(name.replace("upsampler.", "ups.", 1)[:-1] + "g")
            if scale is None:
                continue  # told as a missing weight
            norm = value.flatten(1).norm(dim=1).view(scale.shape)
            name, value = name.removesuffix("_v"), value * (scale / norm)
        weights[name] = value
    return weights


def _describe(folder: Path, config: HifiganCheckpointConfig, more: dict[str, Any]) -> None:
    path = folder / CONFIG
    mel = {
        "n_fft": config.n_fft,
        "win_length": config.win_size,
        "hop_length": config.hop_size,
        "fmin": config.fmin,
        "fmax": config.fmax or config.sampling_rate / 2,
    }
    described = {**json.loads(path.read_text(encoding="utf-8")), "mel": mel, **more}
    path.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
