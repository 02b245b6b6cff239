"""Converts a published FSFM checkpoint to a face encoder's folder, once and explicitly.

The names are those of MAE's ViT, as FSFM's published code saves them. Its decoders, heads and its
target network are left out. The weights are CC BY-NC 4.0: they are not for commercial use, and
neither is what is trained from them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from forensics.detectors.importing import MAX_BYTES, converted, differences
from forensics.errors import MediaError, UsageError

if TYPE_CHECKING:
    import torch

    from forensics.networks.face_encoder.encoder import FaceEncoderConfig

LICENCE = "CC BY-NC 4.0 (weights of FSFM: no commercial use)"
STATISTICS = "pretrain_ds_mean_std.txt"
# Of VGGFace2's crops, which published code falls back to; ImageNet's would be wrong.
_VGGFACE2 = {
    "mean": (0.5482207536697388, 0.42340534925460815, 0.3654651641845703),
    "std": (0.2789176106452942, 0.2438540756702423, 0.23493893444538116),
}
_HEADS = {384: 12, 768: 12, 1024: 16}
_OWN = re.compile(r"(patch_embed|blocks|norm)\.|cls_token$|pos_embed$")


@dataclass(frozen=True)
class ImportedEncoder:
    """What was written: `keys` tensors, without `left_out`; from where, under which licence."""

    keys: int
    left_out: tuple[str, ...]
    trained_on: str
    licence: str


def import_fsfm(source: Path, folder: Path, heads: int | None = None) -> ImportedEncoder:
    """Convert the encoder of a checkpoint to `folder`.

    Mean and spread of the colours are read from `pretrain_ds_mean_std.txt` beside the checkpoint;
    without it they are those of VGGFace2, which the published encoders were trained on.

    Args:
        heads: of the attention, which shapes do not show; None for published sizes (S, B, L).

    Raises:
        MediaError: there is no such file, or it is too large.
        UsageError: it holds more than tensors and a trainer's arguments, or no such encoder;
            `folder` already holds weights.
    """
    from forensics.networks.face_encoder.encoder import FaceEncoder
    from forensics.networks.face_encoder.folder import save_encoder

    if not source.is_file():
        raise MediaError("not_found", f"{source}: no such file", "check the path")
    if source.stat().st_size > MAX_BYTES:
        raise MediaError("too_large", f"{source} is larger than {MAX_BYTES} bytes", "not weights?")
    found = converted(source)
    tensors = {name: value for name, value in found.items() if _OWN.match(name)}
    config = _config(source, tensors, heads)
    expected = FaceEncoder(config).state_dict()
    wrong = differences(
        {name: tuple(value.shape) for name, value in expected.items()},
        {name: tuple(value.shape) for name, value in tensors.items()},
    )
    if wrong:
        raise _no_encoder(source, "; ".join(wrong[:6]))
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    trained_on = f"real faces, by FSFM ({source.name}, SHA-256 {sha256})"
    save_encoder(folder, config, tensors, trained_on, LICENCE)
    left_out = tuple(sorted({name.partition(".")[0] for name in found.keys() - tensors.keys()}))
    return ImportedEncoder(len(tensors), left_out, trained_on, LICENCE)


def _config(source: Path, tensors: dict[str, torch.Tensor], heads: int | None) -> FaceEncoderConfig:
    """What shapes and the file of statistics say."""
    from forensics.networks.face_encoder.encoder import FaceEncoderConfig

    projection, places = tensors.get("patch_embed.proj.weight"), tensors.get("pos_embed")
    if projection is None or places is None or projection.ndim != 4 or places.ndim != 3:
        raise _no_encoder(source, "no patch_embed.proj.weight and pos_embed of a ViT")
    width, patch = projection.shape[0], projection.shape[2]
    depth = len({name.split(".")[1] for name in tensors if name.startswith("blocks.")})
    heads = heads or _HEADS.get(width)
    if heads is None:
        raise UsageError(
            f"{source} is of no published size: {width} wide", "name its attention's --heads"
        )
    grid = round((places.shape[1] - 1) ** 0.5)
    colours = _statistics(source.parent / STATISTICS)
    try:
        return FaceEncoderConfig(
            side=grid * patch, patch=patch, width=width, depth=depth, heads=heads, **colours
        )
    except ValidationError as error:
        raise _no_encoder(source, error.errors()[0]["msg"]) from error


def _statistics(path: Path) -> dict[str, tuple[float, float, float]]:
    if not path.is_file():
        return _VGGFACE2
    try:
        said = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
        return {name: tuple(map(float, said[name])) for name in ("mean", "std")}  # pyright: ignore
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise UsageError(
            f"{path} does not hold a JSON line with mean and std", "take the published file"
        ) from error


def _no_encoder(source: Path, why: str) -> UsageError:
    return UsageError(
        f"{source} is no FSFM checkpoint: {why}", "import a published, unchanged checkpoint"
    )
