"""A finished fit: its weights, and what it said of pictures that it did not see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from forensics.evaluation.sweep import CLEAN
from forensics.networks.localiser.network import Localiser
from forensics.shards import storage
from forensics.shards.format import Split
from forensics.training.detector.folds import everything
from forensics.training.detector.held_out import Scored
from forensics.training.detector.processes import Processes
from forensics.training.detector.windows import Keep
from forensics.training.localiser.fit import LocaliserFit, LocaliserPlan
from forensics.training.localiser.held_out import Pictures, items, joined, look
from forensics.training.loop import CHECKPOINT

_WEIGHTS, _RECORD = "model.safetensors", "fit.json"


@dataclass(frozen=True)
class LocaliserFitted:
    """What is kept of a fit.

    Attributes:
        architecture, weights: for a bundle.
        steps: that were done.
        dev_pictures: of the dev split: all, or of a fit that left something out the bona fide and
            what it left out.
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


def fitted(plan: LocaliserPlan, among: Processes, loaders: int) -> LocaliserFitted:
    """Fit, look at what was not seen, and keep that; or what an earlier run kept."""
    if among.is_first:
        plan.folder.mkdir(parents=True, exist_ok=True)
    if not among.agreed(lambda: (plan.folder / _RECORD).exists()):
        made = _made(plan, among, loaders)
        if among.is_first:
            made.save()
        among.gathered(None)  # nobody reads before all is written
    return LocaliserFitted.saved(plan.folder)


def _made(plan: LocaliserPlan, among: Processes, loaders: int) -> LocaliserFitted:
    fit = LocaliserFit(plan, among, loaders)
    network = fit.run()
    assert isinstance(network, Localiser)
    fold, calibrate = plan.fold, plan.config.calibrate

    def found(split: Split, keep: Keep, channel: str = CLEAN) -> Pictures:
        own = items(plan.corpus, split, keep, among.rank, among.count)
        return joined(among.gathered(look(network, among.device, own, channel)))

    dev = found("dev", fold.compared if fold.parts else everything)
    unheard = test = None
    if fold.parts:
        channels = calibrate.channels if calibrate is not None else ()
        unheard = joined(
            [
                found("train", fold.unheard),
                dev.where(~dev.scored.is_bonafide),
                *(found("train", fold.unheard_real, channel) for channel in channels),
            ]
        )
    else:
        test = found("test", everything)
    architecture, weights = network.exported()
    return LocaliserFitted(plan.folder, architecture, weights, fit.step, dev, unheard, test)
