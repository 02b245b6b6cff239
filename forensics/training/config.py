"""What shapes a training: the YAML of `configs/`, validated."""

from __future__ import annotations

from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forensics import resources
from forensics.conditions.draw import ConditionPolicy
from forensics.errors import UsageError
from forensics.networks.spectral_cnn import SpectralCnnConfig

C = TypeVar("C", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hiding(_Strict):
    """What of a spectrogram is hidden, as SpecAugment does (Park et al., Interspeech 2019).

    Attributes:
        top_probability: how often all above a random frequency is hidden.
        lowest_top_hz: the lowest such frequency.
        band_share, time_share: the widest hidden stripe, as a share of the axis.
    """

    top_probability: float = Field(default=0.4, ge=0, le=1)
    lowest_top_hz: float = Field(default=3000.0, gt=0)
    band_share: float = Field(default=0.15, ge=0, lt=1)
    time_share: float = Field(default=0.1, ge=0, lt=1)


class FitConfig(_Strict):
    """How one network is trained.

    Attributes:
        window_samples: heard at once in training and when scored.
        steps: at most; the learning rate falls to 0 along them (cosine, after `warmup` steps).
        ema: share of the running average of the weights that a step keeps.
        smoothing: of the labels.
        evaluate_every: steps between two looks at the dev split.
        patience: looks without a better one until training stops.
        pool, draws_per_family: see `PairedWindows`.
    """

    window_samples: int = Field(default=32_000, ge=8_000)
    pairs: int = Field(default=16, ge=2)
    steps: int = Field(default=1500, ge=1)
    warmup: int = Field(default=50, ge=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    ema: float = Field(default=0.99, ge=0, lt=1)
    smoothing: float = Field(default=0.05, ge=0, lt=0.5)
    evaluate_every: int = Field(default=150, ge=1)
    patience: int = Field(default=5, ge=1)
    pool: int = Field(default=40, ge=1)
    draws_per_family: int = Field(default=8, ge=1)
    augment: ConditionPolicy = ConditionPolicy()
    hiding: Hiding = Hiding()


class FirstSpeechConfig(_Strict):
    """Everything that shapes the weights, but the corpus.

    Attributes:
        window_samples: heard at once by the detector.
        leave_out: sets of systems that go missing together; systems that the corpus lacks are
            passed over.
        target_fpr, target_fnr: error rates that the thresholds aim at.
        vouch_below_eer: EER on the hardest left-out system above which the bundle may raise alarms
            but never says `bonafide`.
        limits: what the detector is known not to do, in words that go with every verdict.
    """

    seed: int = 0
    network: SpectralCnnConfig = SpectralCnnConfig()
    window_samples: int = Field(default=64_600, ge=16_000)
    fit: FitConfig = FitConfig()
    leave_out: tuple[tuple[str, ...], ...] = Field(min_length=2)
    target_fpr: float = Field(default=0.02, gt=0, lt=1)
    target_fnr: float = Field(default=0.05, gt=0, lt=1)
    vouch_below_eer: float = Field(default=0.25, gt=0, lt=0.5)
    limits: str = ""


def read_config(kind: type[C], name: str) -> C:
    """A shipped config by name, or a YAML file.

    Raises:
        UsageError: no such config, not YAML, or fields that are wrong; all are named.
    """
    path = resources.find("configs", name)
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}", "mend the file") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors()
        )
        known = ", ".join(kind.model_fields)
        raise UsageError(f"{path}: {problems}", f"fields: {known}") from error
