"""What shapes a speech detector's training: `task: detector` or `ensemble` in `configs/`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    field_validator,
    model_validator,
)

from forensics.conditions.draw import ConditionPolicy
from forensics.draws import Range, within
from forensics.evaluation.sweep import SWEEP
from forensics.training.losses import CrossEntropyConfig, LossConfig
from forensics.training.stepping import StepConfig


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pairs(_Strict):
    """Half of a batch is bona fide, the other half forged copies of the same utterances.

    All systems weigh the same, and neither the voice nor the length tells the classes apart.

    Attributes:
        pool: utterances held in memory, with all their copies; the oldest makes room.
        draws_per_family: pairs drawn for each utterance that is read.
    """

    kind: Literal["pairs"] = "pairs"
    pool: int = Field(default=40, ge=1)
    draws_per_family: int = Field(default=8, ge=1)


class Stream(_Strict):
    """The items as they are, shuffled, each once an epoch; weigh the classes in the loss."""

    kind: Literal["stream"] = "stream"
    shuffle_buffer: int = Field(default=1000, ge=1)


Sampling = Annotated[Pairs | Stream, Field(discriminator="kind")]


class Hiding(_Strict):
    """What of a spectrogram is hidden, as SpecAugment does (Park et al., Interspeech 2019).

    For networks that look at a spectrogram; others hear everything.

    Attributes:
        top_probability: how often all above a random frequency is hidden.
        lowest_top_hz: the lowest such frequency.
        band_share, time_share: the widest hidden stripe, as a share of the axis.
    """

    top_probability: float = Field(default=0.4, ge=0, le=1)
    lowest_top_hz: float = Field(default=3000.0, gt=0)
    band_share: float = Field(default=0.15, ge=0, lt=1)
    time_share: float = Field(default=0.1, ge=0, lt=1)


class FitConfig(StepConfig):
    """How one network is trained.

    Attributes:
        window_samples: heard at once in training.
        batch: windows a step, over all processes and accumulated parts.
        steps, epochs: how long at most; one of them. Epochs only where items come once an epoch.
        lanes: independent readers of the corpus; they share each batch equally. Processes and
            loaders share the lanes, so that these, not the machine, decide what is in a batch.
            None: as many as the run that begins has use for.
        sampling: what a batch is drawn from.
        evaluate_every: steps between two looks at the dev split, which are also checkpoints.
        patience: looks without a better one until training stops.
        log_every: steps between two lines of the log.
        augment: channel conditions, drawn for each window by itself, blind to its label.
        level_db: range of the level that each window is multiplied by.
    """

    window_samples: int = Field(default=32_000, ge=8_000)
    batch: int = Field(default=32, ge=2)
    steps: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    lanes: int | None = Field(default=None, ge=1)
    sampling: Sampling = Pairs()
    evaluate_every: int = Field(default=150, ge=1)
    patience: int = Field(default=5, ge=1)
    log_every: int = Field(default=25, ge=1)
    loss: LossConfig = CrossEntropyConfig()
    augment: ConditionPolicy = ConditionPolicy()
    level_db: Annotated[Range, within(-60, 20)] = (-12.0, 6.0)
    hiding: Hiding = Hiding()

    @model_validator(mode="after")
    def _fits(self) -> FitConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("name either steps or epochs")
        if self.epochs is not None and self.sampling.kind == "pairs":
            raise ValueError("pairs are drawn without end: name steps, not epochs")
        if self.batch % self.smallest_batch:
            raise ValueError(f"batch must be a multiple of {self.smallest_batch}")
        return self

    @property
    def smallest_batch(self) -> int:
        """What a batch must be a multiple of: each lane gives each part its share."""
        window = 2 if self.sampling.kind == "pairs" else 1
        return window * self.accumulate * (self.lanes or 1)


Settled: TypeAlias = Callable[[FitConfig, str], FitConfig]
"""(fit, path of its fields in the config) → the fit with nothing left open."""


class CalibrateConfig(_Strict):
    """Calibration and thresholds from fits that miss some systems and some speakers.

    Attributes:
        leave_out: sets of systems that go missing together; systems that the corpus lacks are
            passed over.
        target_fpr, target_fnr: error rates that the thresholds aim at.
        channels: conditions of `forensics.evaluation.sweep` that unheard real speech is also sent
            through. An alarm is as rare as `target_fpr` in the worst of them.
        vouch_below_eer: EER on the hardest left-out system above which the bundle may raise alarms
            but never says `bonafide`.
    """

    leave_out: tuple[tuple[str, ...], ...] = Field(min_length=2)
    target_fpr: float = Field(default=0.02, gt=0, lt=1)
    target_fnr: float = Field(default=0.05, gt=0, lt=1)
    channels: tuple[str, ...] = ()
    vouch_below_eer: float = Field(default=0.25, gt=0, lt=0.5)

    @field_validator("channels")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(SWEEP))
        if unknown:
            raise ValueError(f"no such channel: {unknown[0]!r}; there are: {', '.join(SWEEP)}")
        return names


class CurriculumConfig(_Strict):
    """Systems with weak fingerprints first, strong ones later, each stage taught by the last.

    Attributes:
        stages: the systems are sorted by the strength of their fingerprint and split in so many
            parts; each stage hears one part more.
        probed: what the linear probe sees that measures the strength: "spectrum" for simple
            statistics of the spectrum, or a weights folder, whose embeddings are probed.
        probe_clips: of each system that the probe sees.
        distill: weight of agreeing with the frozen network of the stage before, on bona fide
            speech and on the systems that it heard.
    """

    stages: int = Field(default=3, ge=2)
    probed: str = "spectrum"
    probe_clips: int = Field(default=60, ge=10)
    distill: float = Field(default=0.5, ge=0)


class ProductConfig(_Strict):
    """What the bundle of any training says of itself, and how it is calibrated.

    Attributes:
        window_samples: heard at once by the detector in use.
        without: systems, or kinds of systems, of the corpus that take no part: not in training, the
            choice of weights, calibration or report. `forensics evaluate` says how they fare.
        calibrate: None leaves the scores as they are, and every verdict `uncertain`.
        limits: what the detector is known not to do, in words that go with every verdict.
        tensorboard: also log for TensorBoard.
    """

    window_samples: int = Field(default=64_600, ge=16_000)
    without: tuple[str, ...] = ()
    calibrate: CalibrateConfig | None = None
    limits: str = ""
    licence: str = "Apache-2.0"
    tensorboard: bool = False


class DetectorConfig(ProductConfig):
    """Everything that shapes the weights, but the corpus.

    Attributes:
        detector: as `forensics list detectors` names it; its network is what is trained.
        architecture: fields of its network's config. Frozen layers, LoRA and gradient checkpointing
            are among them where a network has them.
        seeds: one network each; the one that is best on the dev split is kept.
    """

    task: Literal["detector"] = "detector"
    detector: str
    architecture: dict[str, JsonValue] = {}
    seeds: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)
    fit: FitConfig
    curriculum: CurriculumConfig | None = None

    @model_validator(mode="after")
    def _seeds_differ(self) -> DetectorConfig:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds are named once each")
        return self

    def apart(self) -> dict[str, DetectorConfig]:
        """What is fitted, by the beginning of its fits' names."""
        return {"": self}

    def with_fits(self, settled: Settled) -> DetectorConfig:
        return self.model_copy(update={"fit": settled(self.fit, "fit")})


class MemberConfig(_Strict):
    """One network of an ensemble, and how it is trained; as in `DetectorConfig`."""

    detector: str
    architecture: dict[str, JsonValue] = {}
    fit: FitConfig


class EnsembleTrainConfig(ProductConfig):
    """Several networks, trained apart, whose standardised scores are averaged.

    Attributes:
        members: by names of your own.
    """

    task: Literal["ensemble"] = "ensemble"
    members: dict[str, MemberConfig] = Field(min_length=2)
    seed: NonNegativeInt = 0

    @field_validator("members")
    @classmethod
    def _names(cls, members: dict[str, MemberConfig]) -> dict[str, MemberConfig]:
        for name in members:
            if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
                raise ValueError(f"{name!r} is no name: small letters, digits and hyphens")
        return members

    @property
    def detector(self) -> str:
        return "ensemble"

    @property
    def seeds(self) -> tuple[int, ...]:
        return (self.seed,)

    def apart(self) -> dict[str, DetectorConfig]:
        """The members as detectors of their own, by the beginning of their fits' names."""
        shared = {field: getattr(self, field) for field in ProductConfig.model_fields}
        return {
            f"{name}-": DetectorConfig(**member.model_dump(), **shared, seeds=(self.seed,))
            for name, member in self.members.items()
        }

    def with_fits(self, settled: Settled) -> EnsembleTrainConfig:
        members = {
            name: member.model_copy(update={"fit": settled(member.fit, f"members.{name}.fit")})
            for name, member in self.members.items()
        }
        return self.model_copy(update={"members": members})


SpeechTrainConfig: TypeAlias = DetectorConfig | EnsembleTrainConfig
