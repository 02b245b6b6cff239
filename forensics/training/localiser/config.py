"""What shapes a localiser's training: the YAML of `configs/` with `task: localiser`."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    field_validator,
    model_validator,
)

from forensics.conditions.image.draw import IMAGE_SWEEP, ImageConditionPolicy
from forensics.networks.localiser.network import GRID
from forensics.training.detector.config import CalibrateConfig, Pairs
from forensics.training.localiser.losses import LocaliserLossConfig
from forensics.training.stepping import StepConfig


class LocaliserFitConfig(StepConfig):
    """How one network is trained. Half of a batch is pristine, the other half edits of the same
    frames, cut at the same place.

    Attributes:
        side: of a crop, pixels.
        batch: crops a step, over all processes and accumulated parts.
        steps: at most.
        lanes: independent readers of the corpus; as for detectors.
        sampling: families (a frame with its edits) held in memory, and crops drawn of each.
        on_mask: how often a crop of an edited picture is placed on its mask, else anywhere.
        aligned: how often a crop keeps the phase of the JPEG grid, and with it the table.
        augment: conditions, drawn for each pair of crops by itself, blind to labels.
        recompress: how often a crop is saved as JPEG in the end; always after a condition.
        quality: of that, IJG scale.
        flip: how often a crop is mirrored, along each axis by itself.
        simulated: how often the edit of a pair is not the corpus's but one made while reading, of
            two pristine frames; see `forensics.training.localiser.simulated`.
        evaluate_every: steps between two looks at the dev split, which are also checkpoints.
        looks_at: whole pictures of the dev split that a look is at.
        patience: looks without a better one until training stops.
        log_every: steps between two lines of the log.
    """

    side: int = Field(default=256, ge=64, multiple_of=GRID)
    batch: int = Field(default=8, ge=2)
    steps: int = Field(ge=1)
    lanes: int | None = Field(default=None, ge=1)
    sampling: Pairs = Pairs(pool=60, draws_per_family=6)
    on_mask: float = Field(default=0.8, ge=0, le=1)
    aligned: float = Field(default=0.7, ge=0, le=1)
    augment: ImageConditionPolicy = ImageConditionPolicy()
    recompress: float = Field(default=0.3, ge=0, le=1)
    quality: tuple[int, int] = (60, 95)
    flip: float = Field(default=0.5, ge=0, le=1)
    simulated: float = Field(default=0.0, ge=0, le=1)
    evaluate_every: int = Field(default=200, ge=1)
    looks_at: int = Field(default=120, ge=4)
    patience: int = Field(default=5, ge=1)
    log_every: int = Field(default=25, ge=1)
    loss: LocaliserLossConfig = LocaliserLossConfig()

    @model_validator(mode="after")
    def _fits(self) -> LocaliserFitConfig:
        if self.batch % self.smallest_batch:
            raise ValueError(f"batch must be a multiple of {self.smallest_batch}")
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError("quality is a range within 1 to 100")
        return self

    @property
    def smallest_batch(self) -> int:
        """What a batch must be a multiple of: each lane gives each part a pair at least."""
        return 2 * self.accumulate * (self.lanes or 1)


class LocaliserCalibrateConfig(CalibrateConfig):
    """Calibration and thresholds from fits that miss some editors and some cameras.

    Attributes:
        leave_out: sets of systems, or of kinds of editors, that go missing together.
        channels: of `IMAGE_SWEEP`: pristine pictures are also scored through these, and the
            threshold holds in the worst of them.
        steps: of the fits that miss something; None: as many as of the final one.
    """

    steps: int | None = Field(default=None, ge=1)

    @field_validator("channels")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(IMAGE_SWEEP))
        if unknown:
            known = ", ".join(IMAGE_SWEEP)
            raise ValueError(f"no such channel: {unknown[0]!r}; there are: {known}")
        return names


class LocaliserTrainConfig(BaseModel):
    """Everything that shapes the weights, but the corpus.

    Attributes:
        architecture: fields of `LocaliserConfig`.
        leave_out: systems, or kinds of editors, that neither training nor the choice of weights
            sees; the report says how they fare on the test split. Not with `calibrate`.
        limits: what the detector is known not to do, in words that go with every verdict.
        tensorboard: also log for TensorBoard.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["localiser"] = "localiser"
    architecture: dict[str, JsonValue] = {}
    seed: NonNegativeInt = 0
    leave_out: tuple[str, ...] = ()
    fit: LocaliserFitConfig
    calibrate: LocaliserCalibrateConfig | None = None
    limits: str = ""
    licence: str = "Apache-2.0"
    tensorboard: bool = False

    @model_validator(mode="after")
    def _left_out(self) -> LocaliserTrainConfig:
        if self.leave_out and self.calibrate is not None:
            raise ValueError("leave_out measures, it does not calibrate: set calibrate=null")
        return self
