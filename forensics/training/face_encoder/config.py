"""What shapes a face encoder's pretraining: the YAML of `configs/` with `task: face-encoder`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, NonNegativeInt, model_validator

from forensics.networks.face_encoder.pretraining import PretrainingConfig
from forensics.training.detector.config import Stream
from forensics.training.stepping import StepConfig


class FaceEncoderFitConfig(StepConfig):
    """How the encoder is pretrained, on real photos alone.

    Attributes:
        hidden: share of the patches that are hidden.
        margin: length of a crop over the longer side of the face's box.
        shift, zoom, flip: how far a crop lies from there, and how often it is mirrored; see
            `FaceFitConfig`.
        batch, steps, lanes, sampling, evaluate_every, looks_at, patience, log_every: as for a
            face classifier; a step is on real photos, each once an epoch.
    """

    ema: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.05, ge=0)
    hidden: float = Field(default=0.75, gt=0, lt=1)
    margin: float = Field(default=1.3, ge=1, le=4)
    shift: float = Field(default=0.08, ge=0, le=0.5)
    zoom: float = Field(default=1.2, ge=1, le=2)
    flip: float = Field(default=0.5, ge=0, le=1)
    batch: int = Field(default=64, ge=1)
    steps: int = Field(ge=1)
    lanes: int | None = Field(default=None, ge=1)
    sampling: Stream = Stream()
    evaluate_every: int = Field(default=500, ge=1)
    looks_at: int = Field(default=64, ge=1)
    patience: int = Field(default=10, ge=1)
    log_every: int = Field(default=25, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> FaceEncoderFitConfig:
        if self.batch % self.smallest_batch:
            raise ValueError(f"batch must be a multiple of {self.smallest_batch}")
        return self

    @property
    def smallest_batch(self) -> int:
        """What a batch must be a multiple of: each lane gives each part a crop."""
        return self.accumulate * (self.lanes or 1)


class FaceEncoderTrainConfig(BaseModel):
    """Everything that shapes the weights, but the corpus.

    Attributes:
        architecture: fields of `FaceEncoderConfig`; without `mean` and `std` those of the training
            photos are measured.
        pretraining: what is trained beside the encoder, and the weights of the costs.
        parsing: folder of `<key>.png` for each photo, of its size, whose grey levels are labels
            below 11 as in `networks.face_encoder.regions`; None: our template, laid over the box.
        tensorboard: also log for TensorBoard.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["face-encoder"] = "face-encoder"
    architecture: dict[str, JsonValue] = {}
    pretraining: PretrainingConfig = PretrainingConfig()
    parsing: str | None = None
    seed: NonNegativeInt = 0
    fit: FaceEncoderFitConfig
    licence: str = "Apache-2.0"
    tensorboard: bool = False
