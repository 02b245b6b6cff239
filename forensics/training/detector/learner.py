"""A network, its running average, and how one batch moves them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from forensics.networks.described import Described
from forensics.networks.log_spectrum import SpectrumConfig
from forensics.training.detector.config import FitConfig
from forensics.training.detector.processes import Processes, with_shared_statistics
from forensics.training.detector.windows import HidingShape, Windows
from forensics.training.losses import build_loss


class Learner:
    """One fit's moving parts.

    Args:
        network: with random or pretrained weights, the same in every process.
        steps: after which a cosine schedule is at 0.
        distill: weight of agreeing with a teacher, once there is one.
    """

    def __init__(
        self,
        network: nn.Module,
        config: FitConfig,
        steps: int,
        seed: int,
        among: Processes,
        distill: float,
    ):
        self.config, self.steps, self.seed, self.among = config, steps, seed, among
        network = with_shared_statistics(network, among)
        self.network = network.to(among.device, memory_format=torch.channels_last)  # pyright: ignore
        self.average = (
            AveragedModel(
                self.network, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True
            )
            if config.ema
            else None
        )
        self.loss = build_loss(config.loss).to(among.device)
        self.trained = [p for p in self.network.parameters() if p.requires_grad]
        self.trained += list(self.loss.parameters())
        kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
        self.optimiser = kind(self.trained, config.learning_rate, weight_decay=config.weight_decay)
        self._described = _Describing(self.network)
        self._run: Callable[..., Any] = self._described
        if among.count > 1:
            # Unused parameters: a projection head without a contrastive loss, and the like.
            self._run = DistributedDataParallel(
                self._described, find_unused_parameters=True, broadcast_buffers=False
            )
        self.distill, self.teacher, self._known = distill, None, frozenset[str]()

    @property
    def judged(self) -> nn.Module:
        """What is looked at and kept: the average where there is one."""
        return self.network if self.average is None else self.average.module

    def taught_by(self, teacher: nn.Module, known: frozenset[str]) -> None:
        """From now on agree with a frozen network on the systems that it heard."""
        self.teacher = teacher.eval().requires_grad_(False)
        self._known = known | {"bonafide"}

    def snapshot(self) -> nn.Module:
        return copy.deepcopy(self.judged)

    def step(self, take: Callable[[], Windows], number: int) -> Tensor:
        """One step on a batch, taken in parts; the mean loss of the parts, detached.

        What the network draws (dropout) depends on the seed, the step and the process alone.
        """
        torch.manual_seed(((self.seed * 1_000_003 + number) * 65_537 + self.among.rank) % 2**63)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self.rate(number)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        parts = self.config.accumulate
        total = torch.zeros((), device=self.among.device)
        for part in range(1, parts + 1):
            with self._travelling(last=part == parts):
                loss = self._loss(take().to(self.among.device)) / parts
                loss.backward()
            total += loss.detach()
        if self.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.trained, self.config.gradient_clip)
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return total

    def rate(self, number: int) -> float:
        """Share of the learning rate at a step: up, then down along a cosine or level."""
        config = self.config
        if number <= config.warmup:
            return number / config.warmup
        if config.schedule == "constant":
            return 1.0
        done = (number - config.warmup) / max(1, self.steps - config.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        parts = {"network": self.network, "loss": self.loss, "optimiser": self.optimiser}
        return parts if self.average is None else {**parts, "average": self.average}

    def _travelling(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients go between processes once a step, with the last part."""
        if last or not isinstance(self._run, DistributedDataParallel):
            return nullcontext()
        return self._run.no_sync()

    def _loss(self, batch: Windows) -> Tensor:
        own = self._heard(self._run, batch)
        whole = Described(
            self.among.joined(own.score),
            self.among.joined(own.embedding),
            None if own.projection is None else self.among.joined(own.projection),
        )
        loss = self.loss(whole, self.among.joined(batch.bonafide))
        if self.teacher is None or self.distill == 0:
            return loss
        with torch.no_grad():
            taught = self._heard(_Describing(self.teacher), batch)
        known = torch.tensor([s in self._known for s in batch.systems], device=loss.device)
        return loss + self.distill * disagreement(own, taught, known)

    def _heard(self, run: Callable[..., Any], batch: Windows) -> Described:
        kind, wanted = self.among.device.type, self.config.precision == "bf16"
        with torch.autocast(kind, torch.bfloat16, enabled=wanted and kind == "cuda"):
            score, embedding, projection = run(batch.samples, batch.shown)
        return Described(
            score.float(), embedding.float(), None if projection is None else projection.float()
        )


class _Describing(nn.Module):
    """`describe` as a `forward` that returns a tuple, which is what data parallelism wraps."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(
        self, samples: Tensor, shown: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        given = () if shown is None else (shown,)
        described: Described = self.network.describe(samples, *given)
        return described.score, described.embedding, described.projection


def disagreement(student: Described, teacher: Described, known: Tensor) -> Tensor:
    """How far a student is from its teacher on rows that the teacher knows; others count 0.

    The cross-entropy with the teacher's soft label (Hinton et al., 2015, arXiv 1503.02531), and
    the cosine distance of the embeddings.

    Args:
        known: bool (B,).
    """
    soft = F.binary_cross_entropy_with_logits(
        student.score, teacher.score.sigmoid(), reduction="none"
    )
    apart = 1 - F.cosine_similarity(student.embedding, teacher.embedding, dim=1)
    return ((soft + apart) * known).mean()


def hiding_shape(network: nn.Module, samples: int) -> HidingShape | None:
    """The spectrogram that a network makes of that many samples; None if it makes none."""
    config: Any = getattr(network, "config", None)
    spectrum = config if isinstance(config, SpectrumConfig) else getattr(config, "backbone", None)
    if not isinstance(spectrum, SpectrumConfig):
        return None
    return HidingShape(spectrum.bands, samples // spectrum.hop + 1, spectrum.top_hz)
