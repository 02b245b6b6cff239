"""What shapes a vision-language model's training: a config with `task: identity-vlm`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from forensics.faces.tools import FaceConfig
from forensics.networks.vlm.adapter import AdapterConfig
from forensics.networks.vlm.card import LoraConfig, View
from forensics.training.stepping import StepConfig
from forensics.training.vlm.enrol_settings import EnrolSettings
from forensics.training.vlm.examples import Forms

Ask = Literal["detection", "attributes", "pairs"]


class StageFitConfig(StepConfig):
    """How a stage is trained. The running average is off: it would be of another model.

    Attributes:
        batch: questions a step, in `accumulate` parts; half of them are answered yes where the
            answer is yes or no.
        pool: items of the corpus that questions are drawn from; one is exchanged each `keep` draws.
        forms: how answers are put.
        text_weight: what words beside yes and no count for.
        evaluate_every: steps between two looks at the dev split, which are also checkpoints.
        looks_at: questions that a look is at.
        patience: looks without a better one until training stops.
        log_every: steps between two lines of the log.
    """

    weight_decay: float = Field(default=0.0, ge=0)
    gradient_clip: float | None = Field(default=1.0, gt=0)
    ema: float = Field(default=0.0, ge=0, le=0)
    batch: int = Field(default=8, ge=2)
    steps: int = Field(ge=1)
    pool: int = Field(default=256, ge=2)
    keep: int = Field(default=2, ge=1)
    forms: Forms = Forms(direct=1.0, explained=0.0, reasoned=0.0)
    text_weight: float = Field(default=0.1, ge=0)
    evaluate_every: int = Field(default=200, ge=1)
    looks_at: int = Field(default=120, ge=4)
    patience: int = Field(default=5, ge=1)
    log_every: int = Field(default=25, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> StageFitConfig:
        if self.batch % (2 * self.accumulate):
            raise ValueError(f"batch must be a multiple of {2 * self.accumulate}")
        return self


class StageConfig(BaseModel):
    """One of the trainings that know nobody.

    Attributes:
        name: of its folder in `fits/`.
        asks: detection: is this photo real; attributes: what does it show, as `params.attributes`
            of the corpus has it; pairs: are two photos genuine and of one person.
        trains: the detection adapter, or LoRA; everything else stays frozen.
        similarity: pairs are told how alike `faces` finds them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9-]+$")
    asks: Ask
    trains: Literal["adapter", "lora"]
    similarity: bool = False
    fit: StageFitConfig

    @model_validator(mode="after")
    def _fits(self) -> StageConfig:
        if self.similarity and self.asks != "pairs":
            raise ValueError("only pairs are told a similarity")
        return self


class VlmCalibrateConfig(BaseModel):
    """Calibration and threshold of the question whether a face is real, from the dev split.

    Attributes:
        pictures: that it rests on, at most; a third of them real.
        target_fpr: wanted share of real photos called manipulated; target_fnr: of forgeries called
            real.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    pictures: int = Field(default=600, ge=8)
    target_fpr: float = Field(default=0.05, gt=0, lt=1)
    target_fnr: float = Field(default=0.1, gt=0, lt=1)


class VlmTrainConfig(BaseModel):
    """Everything that shapes the weights, but the corpus and the base's own.

    Attributes:
        base: hub id in the local cache, or folder.
        quantisation: of the base, on CUDA.
        view: what a picture is cut to: left whole, or the face with its surroundings.
        margin: of that cut, times the longer side of the face's box.
        adapter, lora: what there is to train.
        stages: one after another.
        calibrate: None: verdicts on nobody in particular are `uncertain`.
        faces: what tells a similarity.
        enrol: how people are enrolled with the result.
        checkpointing: compute activations twice instead of keeping them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: Literal["identity-vlm"] = "identity-vlm"
    base: str
    quantisation: Literal["4bit", "8bit"] | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    view: View = "picture"
    margin: float = Field(default=1.6, ge=1, le=4)
    adapter: AdapterConfig | None = None
    lora: LoraConfig | None = None
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    calibrate: VlmCalibrateConfig | None = VlmCalibrateConfig()
    faces: FaceConfig = FaceConfig()
    enrol: EnrolSettings = EnrolSettings()
    checkpointing: bool = False
    seed: NonNegativeInt = 0
    limits: str = ""
    licence: str = ""
    tensorboard: bool = False

    @model_validator(mode="after")
    def _fits(self) -> VlmTrainConfig:
        for stage in self.stages:
            if getattr(self, stage.trains) is None:
                raise ValueError(f"stage {stage.name} trains {stage.trains}, and there is none")
        if len({stage.name for stage in self.stages}) < len(self.stages):
            raise ValueError("two stages of one name")
        return self
