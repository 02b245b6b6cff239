"""One step of training: against spectra and discriminators, or along a flow."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.vocoders.build import build_vocoder
from forensics.networks.vocoders.discriminators import Discriminators, Judged
from forensics.networks.vocoders.flow import FlowVocoder
from forensics.networks.vocoders.frames import LogMel
from forensics.training.vocoder.config import VocoderConfig
from forensics.training.vocoder.spectral_loss import SpectralLoss

_CLIP = 5.0


class Fit(ABC):
    """A network, its running average, and how one batch moves them."""

    def __init__(self, config: VocoderConfig, device: torch.device):
        self.config = config
        torch.manual_seed(config.seed)
        self.network = build_vocoder(config.network).to(device)
        self.average = build_vocoder(config.network).to(device).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.mel = LogMel(config.network.mel).to(device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), config.learning_rate, betas=(0.8, 0.99), weight_decay=0.01
        )

    def step(self, samples: Tensor, number: int) -> dict[str, float]:
        """One step on samples (B, T); the same for the same state, samples and number."""
        torch.manual_seed(self.config.seed * 1_000_003 + number)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self.rate(number)
        losses = self._losses(samples, number)
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimiser.step()
        self._follow(number)
        return {name: float(value.detach()) for name, value in losses.items()}

    def rate(self, number: int) -> float:
        """Share of the learning rate at a step: up, then down along a cosine."""
        config = self.config
        if number <= config.warmup:
            return number / config.warmup
        done = (number - config.warmup) / max(1, config.steps - config.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self.average, "optimiser": self.optimiser}

    @torch.no_grad()
    def _follow(self, number: int) -> None:
        """The average follows faster at first, else it would long remember random weights."""
        keep = min(self.config.ema, (1 + number) / (10 + number))
        for mean, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(new, 1 - keep)

    @abstractmethod
    def _losses(self, samples: Tensor, number: int) -> dict[str, Tensor]:
        """`loss` is what falls; the others are for the log."""


class FlowFit(Fit):
    """Along a flow; the network brings its loss."""

    def _losses(self, samples: Tensor, number: int) -> dict[str, Tensor]:
        assert isinstance(self.network, FlowVocoder)
        return {"loss": self.network.loss(self.mel(samples), samples)}


class AdversarialFit(Fit):
    """Against spectra, and from `from_step` on against discriminators (least squares GAN)."""

    def __init__(self, config: VocoderConfig, device: torch.device):
        super().__init__(config, device)
        self.spectral = SpectralLoss(config.network.mel.sampling_rate).to(device)
        self.against = config.adversarial
        if self.against:
            self.judges = Discriminators(
                self.against.periods, self.against.n_ffts, self.against.width
            ).to(device)
            self.judges_optimiser = torch.optim.AdamW(
                self.judges.parameters(), self.against.learning_rate, betas=(0.8, 0.99)
            )

    def _parts(self) -> dict[str, Any]:
        if not self.against:
            return super()._parts()
        return {
            **super()._parts(),
            "judges": self.judges,
            "judges_optimiser": self.judges_optimiser,
        }

    def _losses(self, samples: Tensor, number: int) -> dict[str, Tensor]:
        made = self.network(self.mel(samples))
        spectral = self.spectral(made, samples)
        if not self.against or number <= self.against.from_step:
            return {"loss": spectral, "spectral": spectral}
        judging = self._teach_judges(made.detach(), samples)
        adversarial, features = self._judged(made, samples)
        loss = spectral + self.against.weight * adversarial + self.against.feature_weight * features
        return {
            "loss": loss,
            "spectral": spectral,
            "adversarial": adversarial,
            "features": features,
            "judging": judging,
        }

    def _teach_judges(self, made: Tensor, recorded: Tensor) -> Tensor:
        loss = torch.stack(
            [
                (1 - true).square().mean() + false.square().mean()
                for (true, _), (false, _) in zip(
                    self.judges(recorded), self.judges(made), strict=True
                )
            ]
        ).mean()
        self.judges_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.judges.parameters(), _CLIP)
        self.judges_optimiser.step()
        return loss.detach()

    def _judged(self, made: Tensor, recorded: Tensor) -> tuple[Tensor, Tensor]:
        """How the judges see through it, and how far their feature maps are apart."""
        self.judges.requires_grad_(False)
        with torch.no_grad():
            true: list[Judged] = self.judges(recorded)
        false: list[Judged] = self.judges(made)
        self.judges.requires_grad_(True)
        adversarial = torch.stack([(1 - logits).square().mean() for logits, _ in false]).mean()
        features = torch.stack(
            [
                F.l1_loss(mine, theirs) / theirs.abs().mean().clamp(min=1e-3)
                for (_, maps), (_, targets) in zip(false, true, strict=True)
                for mine, theirs in zip(maps, targets, strict=True)
            ]
        ).mean()
        return adversarial, features


def new_fit(config: VocoderConfig, device: torch.device) -> Fit:
    """A fit with random weights."""
    return (FlowFit if config.network.family == "flow" else AdversarialFit)(config, device)
