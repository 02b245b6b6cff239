"""Fits one network: stages, looks at the dev split, checkpoints, and going on from one."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from forensics.detectors.base import DETECTORS
from forensics.detectors.network_detector import NetworkDetector
from forensics.errors import UsageError
from forensics.progress import Progress
from forensics.shards.storage import Url
from forensics.training import checkpoint
from forensics.training.detector.batches import Batches
from forensics.training.detector.config import DetectorConfig
from forensics.training.detector.folds import Fold, Limited
from forensics.training.detector.held_out import (
    CutClip,
    Scored,
    clips,
    concatenated,
    score_clips,
    scorer,
)
from forensics.training.detector.lanes import LanePlan, State
from forensics.training.detector.learner import Learner, hiding_shape
from forensics.training.detector.processes import Processes
from forensics.training.detector.windows import Cutter
from forensics.training.journal import Journal

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class FitPlan:
    """What one fit is to do.

    Attributes:
        config: with `fit.lanes` set.
        steps: at most.
        order: systems from the weakest fingerprint to the strongest, for a curriculum; else empty.
        folder: for checkpoint and log; must exist.
    """

    corpus: Url
    config: DetectorConfig
    fold: Fold
    seed: int
    steps: int
    order: tuple[str, ...]
    folder: Path

    @property
    def detector(self) -> type[NetworkDetector]:
        kind = DETECTORS.get(self.config.detector)
        if not issubclass(kind, NetworkDetector):
            raise UsageError(
                f"{self.config.detector} has no network to train", "name another detector"
            )
        return kind

    def stages(self) -> list[frozenset[str] | None]:
        """The systems that each stage hears; None: all that the fold does."""
        heard = [name for name in self.order if name not in self.fold.systems]
        if self.config.curriculum is None or not heard:
            return [None]
        parts = np.array_split(np.array(heard), min(self.config.curriculum.stages, len(heard)))
        ends = np.cumsum([len(part) for part in parts])
        return [frozenset(heard[:end]) for end in ends]


class Fit:
    """A fit in the making; `run` brings it to its end. Every process of a run has one.

    Args:
        loaders: processes that decode and augment, for each process of the run.
    """

    def __init__(self, plan: FitPlan, among: Processes, loaders: int):
        self.plan, self.among, self.loaders = plan, among, loaders
        config = plan.config
        torch.manual_seed(plan.seed)
        network = plan.detector.network(config.architecture)
        shape = hiding_shape(network, config.fit.window_samples)
        distill = config.curriculum.distill if config.curriculum else 0.0
        self.learner = Learner(network, config.fit, plan.steps, plan.seed, among, distill)
        self.cutter = Cutter(
            plan.detector.sampling_rate,
            config.fit.window_samples,
            config.fit.augment,
            config.fit.level_db,
            config.fit.hiding,
            shape,
        )
        self.stages = plan.stages()
        self.step, self.stage, self.worse = 0, 0, 0
        self.best: tuple[float, float] = (np.inf, np.inf)
        self.best_weights: dict[str, Tensor] = {}
        self.loss_sum, self.losses = torch.zeros((), device=among.device), 0
        self.batches: Batches | None = None

    def run(self) -> nn.Module:
        """The network with the weights that were best on the dev split, in evaluation mode."""
        states = self._resumed()
        plan, among = self.plan, self.among
        window = plan.config.window_samples
        dev = list(
            clips(plan.corpus, "dev", plan.fold.system_heard, window, among.rank, among.count)
        )
        self._started, self._from = time.monotonic(), self.step
        with ExitStack() as stack:
            journal = progress = None
            if among.is_first:
                journal = stack.enter_context(
                    Journal(plan.folder, plan.config.tensorboard, kept=self.step)
                )
                title = f"training {plan.folder.name}"
                progress = stack.enter_context(Progress(plan.steps - self.step, title, "steps"))
            while not self._finished:
                self._one_step(states)
                if progress is not None:
                    progress.advance()
                if self._is_due(plan.config.fit.log_every):
                    self._log(journal)
                if self._is_due(plan.config.fit.evaluate_every):
                    self._look(dev, journal)
                    self._save()
        chosen = self.learner.judged
        chosen.load_state_dict(self.best_weights)
        return chosen.eval()

    @property
    def _finished(self) -> bool:
        waiting = self.stage == len(self.stages) - 1
        given_up = waiting and self.worse >= self.plan.config.fit.patience
        return self.step >= self.plan.steps or given_up

    def _is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.plan.steps

    def _one_step(self, states: dict[int, State]) -> None:
        self.step += 1
        stage = min((self.step - 1) * len(self.stages) // self.plan.steps, len(self.stages) - 1)
        if stage != self.stage:
            self._teach(self.learner.snapshot())
            self.stage, self.batches, self.worse, states = stage, None, 0, {}
        if self.batches is None:
            self.batches = self._batches(states)
        self.loss_sum += self.learner.step(self.batches.__next__, self.step)
        self.losses += 1

    def _teach(self, teacher: nn.Module) -> None:
        heard = self.stages[self.stage]
        assert heard is not None
        self.learner.taught_by(teacher, heard)

    def _batches(self, states: dict[int, State]) -> Batches:
        config, fold = self.plan.config.fit, self.plan.fold
        systems = self.stages[self.stage]
        assert config.lanes is not None
        plan = LanePlan(
            self.plan.corpus,
            fold.heard if systems is None else Limited(fold, systems).heard,
            self.cutter,
            config.sampling,
            config.batch // config.lanes // config.accumulate,
            config.lanes,
            self.plan.seed,
            self.stage,
        )
        own = config.lanes // self.among.count
        numbers = range(self.among.rank * own, (self.among.rank + 1) * own)
        return Batches(plan, numbers, states, self.loaders)

    def _log(self, journal: Journal | None) -> None:
        mean = float(self.loss_sum) / self.losses
        if not math.isfinite(mean):
            raise UsageError(
                f"the loss is not finite any more at step {self.step}",
                "with another --out, lower fit.learning_rate or limit fit.gradient_clip",
            )
        self.loss_sum.zero_()
        self.losses = 0
        if journal is not None:
            seconds = time.monotonic() - self._started
            done = (self.step - self._from) * self.plan.config.fit.batch
            journal.append(
                step=self.step,
                loss=mean,
                learning_rate=self.plan.config.fit.learning_rate * self.learner.rate(self.step),
                stage=self.stage,
                windows_per_second=round(done / seconds, 1),
            )

    def _look(self, dev: list[CutClip], journal: Journal | None) -> None:
        found = self.scored(self.learner.judged, dev).by_system()
        if not found:
            raise UsageError(
                "the dev split holds no forgery that may be looked at",
                "build the corpus from more recordings, or leave fewer systems out",
            )
        eers = {name: error for name, (error, _) in found.items()}
        # Systems weigh the same; where EERs are equal, as on few clips, the area decides.
        areas = [area for _, area in found.values()]
        error = float(np.mean(list(eers.values()))), float(1 - np.mean(areas))
        self.worse = 0 if error < self.best else self.worse + 1
        if error < self.best:
            self.best = error
            weights = self.learner.judged.state_dict()
            self.best_weights = {name: value.cpu().clone() for name, value in weights.items()}
        if journal is not None:
            rounded = {name: round(value, 4) for name, value in eers.items()}
            journal.append(step=self.step, dev_eer=error[0], dev_1_auc=error[1], dev=rounded)

    def scored(self, network: nn.Module, own: Iterable[CutClip]) -> Scored:
        """The scores of all processes' clips."""
        return concatenated(
            self.among.gathered(score_clips(scorer(network, self.among.device), own))
        )

    def _save(self) -> None:
        assert self.batches is not None
        lanes: dict[int, State] = {}
        for states in self.among.gathered(self.batches.states):
            lanes |= states
        if not self.among.is_first:
            return
        teacher = self.learner.teacher
        checkpoint.save(
            self.plan.folder / CHECKPOINT,
            {
                "learner": self.learner.state(),
                "lanes": lanes,
                "step": self.step,
                "stage": self.stage,
                "worse": self.worse,
                "best": self.best,
                "best_weights": self.best_weights,
                "loss": [float(self.loss_sum), self.losses],
                "teacher": None if teacher is None else dict(teacher.state_dict()),
            },
        )

    def _resumed(self) -> dict[int, State]:
        """Go on where a checkpoint was left, if there is one; where its lanes were."""
        path = self.plan.folder / CHECKPOINT
        if not self.among.agreed(path.exists):
            return {}
        state = checkpoint.load(path)
        if state["teacher"] is not None:
            teacher = self.learner.snapshot()
            teacher.load_state_dict(state["teacher"])
            self.stage = state["stage"] - 1
            self._teach(teacher)
        self.learner.load_state(state["learner"])
        self.step, self.stage, self.worse = state["step"], state["stage"], state["worse"]
        self.best, self.best_weights = state["best"], state["best_weights"]
        self.loss_sum += state["loss"][0]
        self.losses = state["loss"][1]
        return state["lanes"]
