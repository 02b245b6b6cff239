"""What the answers of a vision-language model mean: kept beside its detection adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forensics.detectors.calibration import Calibration, Threshold
from forensics.errors import CorpusError, MachineError

FILE = "calibration.json"


class VlmCalibration(BaseModel):
    """Of the question whether a face is a real photo.

    Attributes:
        tensors_sha256: of the adapter and LoRA whose answers these were.
        calibration: logit of yes less logit of no → LLR.
        threshold: None where too few pictures were left for one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    format: Literal[1] = 1
    tensors_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    calibration: Calibration
    threshold: Threshold | None = None

    def save(self, folder: Path) -> None:
        """Raises:
        MachineError: it cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise MachineError(f"{folder} cannot be written: {error}", "name another") from error

    @classmethod
    def load(cls, folder: Path, tensors_sha256: str) -> VlmCalibration | None:
        """What lies beside these weights; None where nothing does.

        Raises:
            CorpusError: it cannot be read, or is of other weights.
        """
        path = folder / FILE
        if not path.exists():
            return None
        try:
            found = cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise CorpusError(
                f"{path} cannot be read: {error}", "get the folder again, or delete that file"
            ) from error
        if found.tensors_sha256 != tensors_sha256:
            raise CorpusError(
                f"{path} belongs to other weights", "get the folder again, or delete that file"
            )
        return found
