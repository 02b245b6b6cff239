"""What shapes a face classifier's training: the YAML of `configs/` with `task: face-classifier`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, NonNegativeInt, model_validator

from forensics.conditions.image.draw import ImageConditionPolicy
from forensics.training.detector.config import Pairs
from forensics.training.localiser.config import LocaliserCalibrateConfig
from forensics.training.localiser.losses import LocaliserLossConfig
from forensics.training.stepping import StepConfig


class SelfBlended(BaseModel):
    """Forgeries made while training reads, of the real photo itself.

    They leave the seam of a blend and nothing else, so that seams are learned rather than the
    corpus's own engines (Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images",
    CVPR 2022).

    Attributes:
        probability: how often the forged crop of a pair is such a one.
        use: the forger, as registered; a fit that leaves it or its kind out makes none.
        params: of the forger.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: float = Field(default=0.5, ge=0, le=1)
    use: str = "self-blend"
    params: dict[str, Any] = {}


class FaceFitConfig(StepConfig):
    """How one network is trained. Half of a batch are real photos, the other half forgeries of the
    same photos.

    Attributes:
        batch: crops a step, over all processes and accumulated parts.
        steps: at most.
        lanes: independent readers of the corpus; as for detectors.
        sampling: families (a photo with its forgeries) held in memory, and pairs drawn of each.
        shift, zoom: how far a crop lies from where detection would cut it: share of its side, and
            factor of its length either way.
        augment: conditions, drawn for each pair of crops by itself, blind to labels.
        recompress: how often a pair is saved as JPEG in the end; a self-blended one always is.
        quality: of that, IJG scale.
        flip: how often a crop is mirrored.
        evaluate_every: steps between two looks at the dev split, which are also checkpoints.
        looks_at: photos of the dev split that a look is at.
        patience: looks without a better one until training stops.
        log_every: steps between two lines of the log.
    """

    batch: int = Field(default=16, ge=2)
    steps: int = Field(ge=1)
    lanes: int | None = Field(default=None, ge=1)
    sampling: Pairs = Pairs(pool=60, draws_per_family=8)
    self_blended: SelfBlended = SelfBlended()
    shift: float = Field(default=0.06, ge=0, le=0.5)
    zoom: float = Field(default=1.15, ge=1, le=2)
    augment: ImageConditionPolicy = ImageConditionPolicy()
    recompress: float = Field(default=0.1, ge=0, le=1)
    quality: tuple[int, int] = (60, 95)
    flip: float = Field(default=0.5, ge=0, le=1)
    evaluate_every: int = Field(default=200, ge=1)
    looks_at: int = Field(default=150, ge=4)
    patience: int = Field(default=5, ge=1)
    log_every: int = Field(default=25, ge=1)
    loss: LocaliserLossConfig = LocaliserLossConfig(pixel=0.1, tversky=0.0)

    @model_validator(mode="after")
    def _fits(self) -> FaceFitConfig:
        if self.batch % self.smallest_batch:
            raise ValueError(f"batch must be a multiple of {self.smallest_batch}")
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError("quality is a range within 1 to 100")
        return self

    @property
    def smallest_batch(self) -> int:
        """What a batch must be a multiple of: each lane gives each part a pair at least."""
        return 2 * self.accumulate * (self.lanes or 1)


class FaceClassifierTrainConfig(BaseModel):
    """Everything that shapes the weights, but the corpus.

    Attributes:
        architecture: fields of `FaceClassifierConfig`.
        calibrate: fits that miss some kinds of forgeries and some people, for the calibration.
        limits: what the detector is known not to do, in words that go with every verdict.
        tensorboard: also log for TensorBoard.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["face-classifier"] = "face-classifier"
    architecture: dict[str, JsonValue] = {}
    seed: NonNegativeInt = 0
    fit: FaceFitConfig
    calibrate: LocaliserCalibrateConfig | None = None
    limits: str = ""
    licence: str = "Apache-2.0"
    tensorboard: bool = False
