"""What a batch of windows costs a detector in the making."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.described import Described
from forensics.networks.log_spectrum import SpectrumConfig
from forensics.training.detector.config import FitConfig
from forensics.training.detector.processes import Processes
from forensics.training.detector.windows import HidingShape, Windows
from forensics.training.losses import build_loss
from forensics.training.stepping import Stepper


class Learner(Stepper):
    """A detector in the making, and the teacher it may have.

    Args:
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
        super().__init__(network, config, steps, seed, among, build_loss(config.loss))
        self.distill, self.teacher, self._known = distill, None, frozenset[str]()

    def taught_by(self, teacher: nn.Module, known: frozenset[str]) -> None:
        """From now on agree with a frozen network on the systems that it heard."""
        self.teacher = teacher.eval().requires_grad_(False)
        self._known = known | {"bonafide"}

    def snapshot(self) -> nn.Module:
        return copy.deepcopy(self.judged)

    def _wrapped(self, network: nn.Module) -> nn.Module:
        return _Describing(network)

    def _loss(self, batch: Windows) -> Tensor:
        own = self._heard(self._run, batch)
        whole = Described(
            self.among.joined(own.score),
            self.among.joined(own.embedding),
            None if own.projection is None else self.among.joined(own.projection),
        )
        loss = self.beside(whole, self.among.joined(batch.bonafide))
        if self.teacher is None or self.distill == 0:
            return loss
        with torch.no_grad():
            taught = self._heard(_Describing(self.teacher), batch)
        known = torch.tensor([s in self._known for s in batch.systems], device=loss.device)
        return loss + self.distill * disagreement(own, taught, known)

    def _heard(self, run: Callable[..., Any], batch: Windows) -> Described:
        with self.autocast():
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
