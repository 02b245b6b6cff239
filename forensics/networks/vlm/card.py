"""The folder that stage 1 writes: adapter and LoRA weights, and which base they belong to.

`vlm.safetensors` holds the tensors, `vlm.json` all else, pinning them by SHA-256. The base is only
named: its weights stay where they are, and are recognised by their hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forensics.errors import CorpusError, MachineError, UsageError
from forensics.networks.vlm.adapter import AdapterConfig

if TYPE_CHECKING:
    from torch import Tensor

CARD, TENSORS = "vlm.json", "vlm.safetensors"
View = Literal["picture", "face"]


class LoraConfig(BaseModel):
    """Attributes:
    rank, alpha: of the low-rank updates.
    targets: names of linear layers of the language model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    rank: int = Field(default=16, ge=1, le=1024)
    alpha: float = Field(default=32.0, gt=0)
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


class VlmCard(BaseModel):
    """What is known of the weights.

    Attributes:
        base: hub id or folder of the base model; base_sha256: over its files, 16 hex digits.
        prompts: version of `prompts.yaml`.
        view: what pictures were cut to: left whole, or the face with its surroundings; margin: of
            that cut, times the longer side of the face's box.
        trained_on, limits, licence: in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    format: Literal[1] = 1
    base: str
    base_sha256: str = Field(pattern=r"^[0-9a-f]{16}$")
    prompts: int
    adapter: AdapterConfig | None = None
    lora: LoraConfig | None = None
    view: View = "picture"
    margin: float = Field(default=1.6, ge=1, le=4)
    trained_on: str = ""
    limits: str = ""
    licence: str = ""
    tensors_sha256: str = Field(default="0" * 64, pattern=r"^[0-9a-f]{64}$")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """What a card pins these by."""
    return hashlib.sha256(_packed(tensors)).hexdigest()


def _packed(tensors: Mapping[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})


@dataclass(frozen=True)
class VlmFolder:
    """A folder whose tensors match their hash."""

    folder: Path
    card: VlmCard

    @classmethod
    def load(cls, folder: Path) -> VlmFolder:
        """Raises:
        CorpusError: the card cannot be read, or the tensors are not those it pins.
        """
        try:
            card = VlmCard.model_validate_json((folder / CARD).read_bytes())
            data = (folder / TENSORS).read_bytes()
        except (OSError, ValidationError) as error:
            raise CorpusError(f"{folder} cannot be read: {error}", "train it again") from error
        if hashlib.sha256(data).hexdigest() != card.tensors_sha256:
            raise CorpusError(
                f"{folder / TENSORS} is not the file that {CARD} pins", "get the folder again"
            )
        return cls(folder, card)

    @classmethod
    def save(cls, folder: Path, card: VlmCard, tensors: Mapping[str, Tensor]) -> VlmFolder:
        """Raises:
        UsageError: the folder holds one already.
        MachineError: it cannot be written.
        """
        if (folder / CARD).exists():
            raise UsageError(f"{folder} already holds weights", "name another folder")
        data = _packed(tensors)
        card = card.model_copy(update={"tensors_sha256": hashlib.sha256(data).hexdigest()})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / TENSORS).write_bytes(data)
            (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise MachineError(f"{folder} cannot be written: {error}", "name another") from error
        return cls(folder, card)

    def tensors(self) -> dict[str, Tensor]:
        from safetensors.torch import load_file

        return load_file(self.folder / TENSORS)
