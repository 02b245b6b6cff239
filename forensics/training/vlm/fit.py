"""Fits one stage: the detection adapter, or LoRA, beside a frozen model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forensics import shards
from forensics.errors import UsageError
from forensics.networks.vlm.face_vlm import FaceVlm
from forensics.networks.vlm.talk import Talk
from forensics.shards.storage import Url
from forensics.training.detector.batches import Batches
from forensics.training.detector.config import Pairs
from forensics.training.detector.lanes import State
from forensics.training.detector.processes import Processes
from forensics.training.loop import FitLoop
from forensics.training.stepping import Stepper
from forensics.training.vlm.answer_loss import answer_losses
from forensics.training.vlm.config import StageConfig, StageFitConfig
from forensics.training.vlm.lane import TalkLanePlan, Talks
from forensics.training.vlm.questions import Asker


@dataclass(frozen=True)
class StagePlan:
    """What one stage is to do.

    Attributes:
        number: of the stage; two stages draw differently.
        folder: for checkpoint and log; must exist.
    """

    corpus: Url
    stage: StageConfig
    number: int
    asker: Asker
    seed: int
    folder: Path
    tensorboard: bool


class StageLearner(Stepper):
    """What a stage trains; the rest of the model stands still outside."""

    def __init__(
        self, vlm: FaceVlm, trained: nn.Module, fit: StageFitConfig, seed: int, among: Processes
    ):
        self.vlm, self.text_weight = vlm, fit.text_weight
        trained.requires_grad_()
        super().__init__(trained, fit, fit.steps, seed, among, nn.Module())

    def _loss(self, batch: Talks) -> Tensor:
        return self.losses(batch.talks)[0].mean()

    def losses(self, talks: Sequence[Talk]) -> tuple[Tensor, Tensor]:
        reads = self.vlm.read(talks, self.vlm.see_all(talks))
        return answer_losses(self.vlm, reads, self.text_weight)


class StageFit(FitLoop[StageLearner]):
    """A stage's fit, of one process."""

    unit = "questions"

    def __init__(self, vlm: FaceVlm, trained: nn.Module, plan: StagePlan, among: Processes):
        fit = plan.stage.fit
        super().__init__(plan.folder, fit.steps, fit, among, plan.tensorboard)
        self.plan = plan
        torch.manual_seed(plan.seed)
        self.learner = StageLearner(vlm, trained, fit, plan.seed, among)

    def questions(self, split: shards.Split) -> list[Talk]:
        """Always the same ones about a split."""
        fit = self.plan.stage.fit
        whole = shards.open(self.plan.corpus, split, shuffle=False, rank=0, world_size=1)
        pool = list(whole.whole())
        if not pool:
            raise UsageError(f"the {split} split is empty", "build a larger corpus")
        rng = np.random.default_rng([self.plan.seed, 77])
        return [talk for _ in range(fit.looks_at // 2) for talk in self.plan.asker.two(pool, rng)]

    def answered(self, talks: Sequence[Talk]) -> tuple[float, float | None]:
        """Mean loss, and the share of questions with a yes or a no that are answered right."""
        losses, right = [], []
        self.learner.network.eval()
        with torch.inference_mode():
            for start in range(0, len(talks), self.learner.vlm.batch_size):
                some = talks[start : start + self.learner.vlm.batch_size]
                found, gaps = self.learner.losses(some)
                losses += found.tolist()
                for talk, gap in zip(some, gaps.tolist(), strict=True):
                    if talk.verdict is not None and talk.verdict >= 0:
                        right.append((gap > 0) == talk.answer[talk.verdict :].startswith("yes"))
        return float(np.mean(losses)), float(np.mean(right)) if right else None

    def _dev(self) -> list[Talk]:
        return self.questions("dev")

    def _batches(self, states: dict[int, State]) -> Batches:
        plan, fit = self.plan, self.plan.stage.fit
        lanes = TalkLanePlan(
            plan.corpus,
            lambda _system, _group: True,
            plan.asker,
            Pairs(),
            fit.batch // fit.accumulate,
            1,
            plan.seed,
            plan.number,
            fit.pool,
            fit.keep,
        )
        return Batches(lanes, range(1), states, 0)

    def _figures(self, dev: Sequence[Talk]) -> tuple[tuple[float, ...], dict[str, Any]]:
        loss, right = self.answered(dev)
        return (loss,), {"dev_loss": loss, "dev_right": right}
