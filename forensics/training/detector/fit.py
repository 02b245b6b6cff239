"""Fits one detector: stages, and looks at the dev split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from forensics.detectors.base import DETECTORS
from forensics.detectors.network_detector import NetworkDetector
from forensics.detectors.speech.ensemble import EnsembleDetector
from forensics.errors import UsageError
from forensics.shards.storage import Url
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
from forensics.training.loop import CHECKPOINT, FitLoop

__all__ = ["CHECKPOINT", "Fit", "FitPlan"]


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
        if kind is EnsembleDetector:
            raise UsageError(
                "the members of an ensemble are trained apart", "write task: ensemble, and members"
            )
        if not issubclass(kind, NetworkDetector):
            raise UsageError(
                f"{self.config.detector} has no network to train", "name another detector"
            )
        return kind

    def stages(self) -> list[frozenset[str] | None]:
        """The systems that each stage hears; None: all that the fold does."""
        heard = [name for name in self.order if self.fold.system_heard(name, "")]
        if self.config.curriculum is None or not heard:
            return [None]
        parts = np.array_split(np.array(heard), min(self.config.curriculum.stages, len(heard)))
        ends = np.cumsum([len(part) for part in parts])
        return [frozenset(heard[:end]) for end in ends]


class Fit(FitLoop[Learner]):
    """A detector's fit; `run` brings it to its end. Every process of a run has one.

    Args:
        loaders: processes that decode and augment, for each process of the run.
    """

    unit = "windows"

    def __init__(self, plan: FitPlan, among: Processes, loaders: int):
        config = plan.config
        super().__init__(plan.folder, plan.steps, config.fit, among, config.tensorboard)
        self.plan, self.loaders = plan, loaders
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
        self.stage = 0

    def _dev(self) -> list[CutClip]:
        plan, among = self.plan, self.among
        window = plan.config.window_samples
        return list(
            clips(plan.corpus, "dev", plan.fold.system_heard, window, among.rank, among.count)
        )

    def _may_give_up(self) -> bool:
        return self.stage == len(self.stages) - 1

    def _one_step(self, states: dict[int, State]) -> None:
        stage = min(self.step * len(self.stages) // self.plan.steps, len(self.stages) - 1)
        if stage != self.stage:
            self._teach(self.learner.snapshot())
            self.stage, self.batches, self.worse, states = stage, None, 0, {}
        super()._one_step(states)

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

    def _drawn_along(self) -> dict[str, Any]:
        return {"stage": self.stage}

    def _figures(self, dev: Sequence[CutClip]) -> tuple[tuple[float, ...], dict[str, Any]]:
        found = self.scored(self.learner.judged, dev).by_system()
        if not found:
            raise UsageError(
                "the dev split holds no forgery that may be looked at",
                "build the corpus from more recordings, or leave fewer systems out",
            )
        eers = {name: error for name, (error, _) in found.items()}
        # Systems weigh the same; where EERs are equal, as on few clips, the area decides.
        error, area = float(np.mean(list(eers.values()))), np.mean([a for _, a in found.values()])
        rounded = {name: round(value, 4) for name, value in eers.items()}
        one_less = float(1 - area)
        return (error, one_less), {"dev_eer": error, "dev_1_auc": one_less, "dev": rounded}

    def scored(self, network: nn.Module, own: Iterable[CutClip]) -> Scored:
        """The scores of all processes' clips."""
        return concatenated(
            self.among.gathered(score_clips(scorer(network, self.among.device), own))
        )

    def _extra(self) -> dict[str, Any]:
        teacher = self.learner.teacher
        return {
            "stage": self.stage,
            "teacher": None if teacher is None else dict(teacher.state_dict()),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        if state["teacher"] is not None:
            teacher = self.learner.snapshot()
            teacher.load_state_dict(state["teacher"])
            self.stage = state["stage"] - 1
            self._teach(teacher)
        self.stage = state["stage"]
