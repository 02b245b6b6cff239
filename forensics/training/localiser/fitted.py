"""A finished fit: its weights, and what it said of pictures that it did not see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load_file, save_file
from torch import Tensor

from forensics.evaluation.sweep import CLEAN
from forensics.shards import storage
from forensics.shards.format import Split
from forensics.training.detector.folds import Fold, everything
from forensics.training.detector.held_out import Scored
from forensics.training.detector.processes import Processes
from forensics.training.detector.windows import Keep
from forensics.training.localiser.held_out import Pictures, joined
from forensics.training.loop import CHECKPOINT

_WEIGHTS, _RECORD = "model.safetensors", "fit.json"


@dataclass(frozen=True)
class LocaliserFitted:
    """What is kept of a fit.

    Attributes:
        architecture, weights: for a bundle.
        steps: that were done.
        dev_pictures: of the dev split: all that the run may see, or of a fit for calibration the
            bona fide and what it left out.
        unheard_pictures: the same, and what of the training split is of cameras and editors that
            were left out; None when nothing was.
        test_pictures: the test split; None when something was left out.
    """

    folder: Path
    architecture: dict[str, Any]
    weights: dict[str, Tensor]
    steps: int
    dev_pictures: Pictures
    unheard_pictures: Pictures | None
    test_pictures: Pictures | None

    @property
    def dev(self) -> Scored:
        return self.dev_pictures.scored

    @property
    def unheard(self) -> Scored | None:
        return None if self.unheard_pictures is None else self.unheard_pictures.scored

    def save(self) -> None:
        """The record last: its presence means that all is there."""
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in self.weights.items()},
            self.folder / _WEIGHTS,
        )
        for name in ("dev", "unheard", "test"):
            if (found := getattr(self, f"{name}_pictures")) is not None:
                found.save(self.folder / f"{name}.npz")
        record = {"architecture": self.architecture, "steps": self.steps}
        storage.publish(str(self.folder / _RECORD), json.dumps(record, indent=1).encode())
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    @classmethod
    def saved(cls, folder: Path) -> LocaliserFitted:
        """What an earlier run finished."""
        record = json.loads((folder / _RECORD).read_text())
        return cls(
            folder,
            record["architecture"],
            load_file(folder / _WEIGHTS),
            record["steps"],
            Pictures.load(folder / "dev.npz"),
            _loaded(folder / "unheard.npz"),
            _loaded(folder / "test.npz"),
        )


def _loaded(path: Path) -> Pictures | None:
    return Pictures.load(path) if path.exists() else None


class Begun(Protocol):
    """A fit of a network that marks places in pictures."""

    step: int

    def run(self) -> Any:
        """The network with the best weights; it has `exported`."""
        ...

    def found(self, network: Any, split: Split, keep: Keep, channel: str = CLEAN) -> Pictures:
        """What it says of the pictures of a split that `keep` wants: this process's share."""
        ...


class Plan(Protocol):
    """What a fit is to do. `channels`: those that pristine pictures are also scored through."""

    @property
    def fold(self) -> Fold: ...
    @property
    def folder(self) -> Path: ...
    @property
    def channels(self) -> tuple[str, ...]: ...
    def begun(self, among: Processes, loaders: int) -> Begun: ...


def fitted(plan: Plan, among: Processes, loaders: int) -> LocaliserFitted:
    """Fit, look at what was not seen, and keep that; or what an earlier run kept."""
    if among.is_first:
        plan.folder.mkdir(parents=True, exist_ok=True)
    if not among.agreed(lambda: (plan.folder / _RECORD).exists()):
        made = _made(plan, among, loaders)
        if among.is_first:
            made.save()
        among.gathered(None)  # nobody reads before all is written
    return LocaliserFitted.saved(plan.folder)


def _made(plan: Plan, among: Processes, loaders: int) -> LocaliserFitted:
    fit = plan.begun(among, loaders)
    network = fit.run()
    fold = plan.fold

    def found(split: Split, keep: Keep, channel: str = CLEAN) -> Pictures:
        return joined(among.gathered(fit.found(network, split, keep, channel)))

    dev = found("dev", fold.compared if fold.parts else fold.system_heard)
    unheard = test = None
    if fold.parts:
        unheard = joined(
            [
                found("train", fold.unheard),
                dev.where(~dev.scored.is_bonafide),
                *(found("train", fold.unheard_real, channel) for channel in plan.channels),
            ]
        )
    else:
        test = found("test", everything)
    architecture, weights = network.exported()
    return LocaliserFitted(plan.folder, architecture, weights, fit.step, dev, unheard, test)
