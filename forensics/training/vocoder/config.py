"""What shapes a vocoder's training."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from forensics.networks.vocoders.build import VocoderNetworkConfig
from forensics.training.vocoder.spectral_loss import LONGEST_SPECTRUM


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AdversarialConfig(_Strict):
    """Training against discriminators, as in HiFi-GAN; a flow needs none.

    Attributes:
        from_step: before it, only spectra are compared: quicker, and a good start.
        periods, n_ffts, width: of the discriminators.
        weight: of the adversarial loss, beside spectra with weight 1.
        feature_weight: of the distance between the discriminators' feature maps.
    """

    from_step: int = Field(default=2000, ge=0)
    periods: tuple[int, ...] = (2, 3, 5, 7)
    n_ffts: tuple[int, ...] = (256, 512, 1024)
    width: int = Field(default=16, ge=4, le=128)
    learning_rate: float = Field(default=2e-4, gt=0)
    weight: float = Field(default=0.06, ge=0)
    feature_weight: float = Field(default=0.12, ge=0)


class VocoderConfig(_Strict):
    """Everything that shapes a vocoder's weights, but the recordings.

    Attributes:
        network: family and sizes, see `forensics.networks.vocoders`.
        segment: samples heard at once; a multiple of the hop.
        ema: share of the running average of the weights that a step keeps; the average is kept.
        adversarial: None trains on spectra (or a flow's own loss) alone.
        held_out_share: of the speakers, kept from training to measure quality.
        checkpoint_every: steps between checkpoints, which are also looks at the held-out speakers.
        cache_mb: recordings kept decoded in memory; what exceeds it is decoded again each time.
    """

    task: Literal["vocoder"] = "vocoder"
    seed: NonNegativeInt = 0
    network: VocoderNetworkConfig
    segment: int = Field(default=8192, ge=1024)
    batch: int = Field(default=16, ge=1)
    steps: int = Field(ge=1)
    warmup: int = Field(default=200, ge=0)
    learning_rate: float = Field(default=5e-4, gt=0)
    ema: float = Field(default=0.999, ge=0, lt=1)
    adversarial: AdversarialConfig | None = None
    held_out_share: float = Field(default=0.1, ge=0, lt=1)
    checkpoint_every: int = Field(default=500, ge=1)
    cache_mb: int = Field(default=1024, ge=0)
    tensorboard: bool = False

    @model_validator(mode="after")
    def _fits(self) -> VocoderConfig:
        if self.segment % self.network.mel.hop:
            raise ValueError(f"segment must be a multiple of the hop {self.network.mel.hop}")
        if self.segment <= self._longest_spectrum // 2:
            raise ValueError(f"segment must exceed half a spectrum of {self._longest_spectrum}")
        if self.network.family == "flow" and self.adversarial:
            raise ValueError("a flow vocoder has its own loss and no adversarial part")
        return self

    @property
    def _longest_spectrum(self) -> int:
        """Samples of the longest spectrum in training, which mirrors half of them at both ends."""
        judging = self.adversarial.n_ffts if self.adversarial else ()
        return max(LONGEST_SPECTRUM, self.network.mel.n_fft, *judging)
