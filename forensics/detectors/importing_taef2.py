"""Converts the published TAEF2 checkpoints to safetensors, once and explicitly."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from forensics.detectors.importing import converted, differences
from forensics.errors import MediaError, UsageError

# By the SHA-256 of both checkpoints, as published at github.com/madebyollin/taesd.
_PUBLISHED = {
    "encoder": "10a4e1021e89d7551eaf161352da8dbd0b1aa83872ae28b150c1df1ce2f147b6",
    "decoder": "0a44a31e1ae59eb9dbf9359d24942fd3ef5928162c1800d97a28c61d51be0ab5",
}
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class ImportedAutoencoder:
    """What was written: `keys` tensors, from where, under which licence."""

    keys: int
    origin: str
    licence: str


def import_taef2(source: Path, folder: Path) -> ImportedAutoencoder:
    """Convert `taef2_encoder.pth` and `taef2_decoder.pth` of a folder to `folder`.

    Each file is opened in a separate process that unpickles tensors only, under limits.

    Raises:
        MediaError: a checkpoint is missing, or too large.
        UsageError: it is more than a state dict of tensors or not TAEF2's, or `folder` already
            holds weights.
    """
    from forensics.networks import taef2

    if (folder / taef2.CONFIG).exists():
        raise UsageError(f"{folder} already holds weights", "name another folder with --out")
    networks = {"encoder": taef2.encoder(), "decoder": taef2.decoder()}
    parts, hashes = {}, {}
    for part, network in networks.items():
        path = source / f"taef2_{part}.pth"
        if not path.is_file():
            raise MediaError("not_found", f"{path}: no such file", "name the folder of both files")
        if path.stat().st_size > _MAX_BYTES:
            raise MediaError("too_large", f"{path} is larger than {_MAX_BYTES} bytes", "not TAEF2?")
        tensors = converted(path)
        wrong = differences(
            {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()},
            {name: tuple(tensor.shape) for name, tensor in tensors.items()},
        )
        if wrong:
            raise UsageError(
                f"{path} is no {part} of TAEF2: {'; '.join(wrong[:6])}",
                "import the unchanged published files",
            )
        parts[part] = tensors
        hashes[part] = hashlib.sha256(path.read_bytes()).hexdigest()
    known = hashes == _PUBLISHED
    origin = "TAEF2 of madebyollin/taesd" if known else f"unknown ({source.name}, {hashes})"
    card = taef2.save_taef2(folder, parts, origin, "MIT" if known else "unknown")
    return ImportedAutoencoder(sum(map(len, parts.values())), card.origin, card.licence)
