"""A fit's course: steps, looks at the dev split, checkpoints, and going on from one."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from forensics.errors import UsageError
from forensics.progress import Progress
from forensics.training import checkpoint
from forensics.training.detector.batches import Batches
from forensics.training.detector.lanes import State
from forensics.training.detector.processes import Processes
from forensics.training.journal import Journal
from forensics.training.stepping import Stepper

CHECKPOINT = "checkpoint.safetensors"
L = TypeVar("L", bound=Stepper)


class Pace(Protocol):
    """What a loop reads of a config's `fit`; see `FitConfig`."""

    @property
    def batch(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def evaluate_every(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def log_every(self) -> int: ...


class FitLoop(ABC, Generic[L]):
    """A fit in the making; `run` brings it to its end. Every process of a run has one.

    Subclasses set `learner` and say what a batch and a look are.

    Args:
        folder: for checkpoint and log; must exist.
        steps: at most.
        tensorboard: also log for TensorBoard.

    Attributes:
        unit: what a batch holds, for the log.
        best: figures of the weights that were kept, the first deciding; lower is better.
    """

    unit: ClassVar[str]
    learner: L

    def __init__(self, folder: Path, steps: int, pace: Pace, among: Processes, tensorboard: bool):
        self.folder, self.steps, self.pace = folder, steps, pace
        self.among, self.tensorboard = among, tensorboard
        self.step, self.worse = 0, 0
        self.best: tuple[float, ...] = (np.inf,)
        self.best_weights: dict[str, Tensor] = {}
        self.loss_sum, self.losses = torch.zeros((), device=among.device), 0
        self.batches: Batches | None = None

    def run(self) -> nn.Module:
        """The network with the weights that were best on the dev split, in evaluation mode."""
        states = self._resumed()
        dev = self._dev()
        self._started, self._from = time.monotonic(), self.step
        with ExitStack() as stack:
            journal = progress = None
            if self.among.is_first:
                journal = stack.enter_context(
                    Journal(self.folder, self.tensorboard, kept=self.step)
                )
                title = f"training {self.folder.name}"
                progress = stack.enter_context(Progress(self.steps - self.step, title, "steps"))
            while not self._finished:
                self._one_step(states)
                if progress is not None:
                    progress.advance()
                if self._is_due(self.pace.log_every):
                    self._log(journal)
                if self._is_due(self.pace.evaluate_every):
                    self._look(dev, journal)
                    self._save()
        chosen = self.learner.judged
        chosen.load_state_dict(self.best_weights)
        return chosen.eval()

    @abstractmethod
    def _dev(self) -> Sequence[Any]:
        """This process's share of what looks are at."""

    @abstractmethod
    def _batches(self, states: dict[int, State]) -> Batches: ...

    @abstractmethod
    def _figures(self, dev: Sequence[Any]) -> tuple[tuple[float, ...], dict[str, Any]]:
        """What the weights as they are get on dev: figures that choose among weights, the first
        deciding, lower being better; and what the log says."""

    def _extra(self) -> dict[str, Any]:
        """What a checkpoint holds besides."""
        return {}

    def _restore(self, state: dict[str, Any]) -> None:
        """Take `_extra` back; comes before everything else."""

    def _drawn_along(self) -> dict[str, Any]:
        """What each line on the loss says besides."""
        return {}

    def _may_give_up(self) -> bool:
        return True

    @property
    def _finished(self) -> bool:
        given_up = self._may_give_up() and self.worse >= self.pace.patience
        return self.step >= self.steps or given_up

    def _is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.steps

    def _one_step(self, states: dict[int, State]) -> None:
        self.step += 1
        if self.batches is None:
            self.batches = self._batches(states)
        self.loss_sum += self.learner.step(self.batches.__next__, self.step)
        self.losses += 1

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
            done = (self.step - self._from) * self.pace.batch
            journal.append(
                step=self.step,
                loss=mean,
                learning_rate=self.pace.learning_rate * self.learner.rate(self.step),
                **self._drawn_along(),
                **{f"{self.unit}_per_second": round(done / seconds, 1)},
            )

    def _look(self, dev: Sequence[Any], journal: Journal | None) -> None:
        found, said = self._figures(dev)
        self.worse = 0 if found < self.best else self.worse + 1
        if found < self.best:
            self.best = found
            weights = self.learner.judged.state_dict()
            self.best_weights = {name: value.cpu().clone() for name, value in weights.items()}
        if journal is not None:
            journal.append(step=self.step, **said)

    def _save(self) -> None:
        assert self.batches is not None
        lanes: dict[int, State] = {}
        for states in self.among.gathered(self.batches.states):
            lanes |= states
        if not self.among.is_first:
            return
        checkpoint.save(
            self.folder / CHECKPOINT,
            {
                "learner": self.learner.state(),
                "lanes": lanes,
                "step": self.step,
                "worse": self.worse,
                "best": self.best,
                "best_weights": self.best_weights,
                "loss": [float(self.loss_sum), self.losses],
                **self._extra(),
            },
        )

    def _resumed(self) -> dict[int, State]:
        """Go on where a checkpoint was left, if there is one; where its lanes were."""
        path = self.folder / CHECKPOINT
        if not self.among.agreed(path.exists):
            return {}
        state = checkpoint.load(path)
        self._restore(state)
        self.learner.load_state(state["learner"])
        self.step, self.worse = state["step"], state["worse"]
        self.best, self.best_weights = state["best"], state["best_weights"]
        self.loss_sum += state["loss"][0]
        self.losses = state["loss"][1]
        return state["lanes"]
