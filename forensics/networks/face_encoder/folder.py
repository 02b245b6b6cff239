"""A face encoder's folder: `config.json` and `encoder.safetensors`, tied by a SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load, save
from torch import Tensor

from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.networks.face_encoder.encoder import FaceEncoder, FaceEncoderConfig
from forensics.shards import storage

CONFIG, WEIGHTS = "config.json", "encoder.safetensors"


class FaceEncoderCard(BaseModel):
    """The folder's `config.json`.

    Attributes:
        architecture: what the encoder is built from.
        sha256: of the weights.
        trained_on, licence: in words; the licence of published weights goes with what is trained
            from them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: str = "face-encoder"
    architecture: FaceEncoderConfig
    sha256: str
    trained_on: str
    licence: str


def save_encoder(
    folder: Path,
    config: FaceEncoderConfig,
    tensors: Mapping[str, Tensor],
    trained_on: str,
    licence: str,
) -> FaceEncoderCard:
    """Write a new folder.

    Raises:
        UsageError: it already holds weights.
    """
    if (folder / CONFIG).exists():
        raise UsageError(f"{folder} already holds weights", "name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    data = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    card = FaceEncoderCard(
        architecture=config,
        sha256=hashlib.sha256(data).hexdigest(),
        trained_on=trained_on,
        licence=licence,
    )
    storage.publish(str(folder / WEIGHTS), data)
    storage.publish(str(folder / CONFIG), card.model_dump_json(indent=1).encode() + b"\n")
    return card


def load_encoder(folder: Path) -> tuple[FaceEncoder, FaceEncoderCard]:
    """The encoder on the CPU, in evaluation mode, and its card.

    Raises:
        MissingRequirement: a file is not there.
        UsageError: the config is another's.
        CorpusError: weights that do not match their pinned hash or the layers.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise MissingRequirement(
                f"{folder} is no face encoder: no {name}",
                "forensics train face-encoder --shards CORPUS --out RUN and name RUN/encoder, or "
                "forensics import-weights fsfm checkpoint-400.pth --out FOLDER",
            )
    try:
        card = FaceEncoderCard.model_validate_json((folder / CONFIG).read_bytes())
    except ValidationError as error:
        raise UsageError(
            f"{folder / CONFIG} is no face encoder's: {error.errors()[0]['msg']}", "make it again"
        ) from error
    data = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise CorpusError(f"{folder / WEIGHTS} does not match its config", "get it again")
    encoder = FaceEncoder(card.architecture)
    try:
        encoder.load_state_dict(load(data))
    except RuntimeError as error:
        raise CorpusError(f"{folder}: the weights do not fit ({error})", "get it again") from error
    return encoder.eval(), card
