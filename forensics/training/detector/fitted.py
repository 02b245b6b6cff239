"""A finished fit: its weights, and the scores it gave to what it did not hear."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from forensics.evaluation.sweep import CLEAN
from forensics.networks.export import exported
from forensics.shards import storage
from forensics.shards.format import Split
from forensics.training.detector.fit import CHECKPOINT, Fit, FitPlan
from forensics.training.detector.held_out import Scored, clips, concatenated
from forensics.training.detector.processes import Processes
from forensics.training.detector.windows import Keep

_WEIGHTS, _RECORD = "model.safetensors", "fit.json"


@dataclass(frozen=True)
class Fitted:
    """What is kept of a fit.

    Attributes:
        architecture, weights: for a bundle.
        dev_eer: of the weights that were kept, the mean over systems.
        steps: that were done.
        dev: scores of real speech of the dev split, and of what of it the fit left out; of all of
            it when nothing was left out.
        unheard: bona fide of left-out speakers, also through the channels of the calibration, and
            forgeries of left-out systems; None when nothing was left out.
        test: scores of the test split; None when something was left out.
    """

    folder: Path
    architecture: dict[str, Any]
    weights: dict[str, Tensor]
    dev_eer: float
    steps: int
    dev: Scored
    unheard: Scored | None
    test: Scored | None

    def save(self) -> None:
        """The record last: its presence means that all is there."""
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in self.weights.items()},
            self.folder / _WEIGHTS,
        )
        for name in ("dev", "unheard", "test"):
            if (scored := getattr(self, name)) is not None:
                scored.save(self.folder / f"{name}.npz")
        record = {"architecture": self.architecture, "dev_eer": self.dev_eer, "steps": self.steps}
        storage.publish(str(self.folder / _RECORD), json.dumps(record, indent=1).encode())
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    @classmethod
    def saved(cls, folder: Path) -> Fitted | None:
        """What an earlier run finished; None where it did not."""
        if not (folder / _RECORD).exists():
            return None
        record = json.loads((folder / _RECORD).read_text())
        return cls(
            folder,
            record["architecture"],
            load_file(folder / _WEIGHTS),
            record["dev_eer"],
            record["steps"],
            Scored.load(folder / "dev.npz"),
            _loaded(folder / "unheard.npz"),
            _loaded(folder / "test.npz"),
        )


def _loaded(path: Path) -> Scored | None:
    return Scored.load(path) if path.exists() else None


def fitted(plan: FitPlan, among: Processes, loaders: int) -> Fitted:
    """Fit, score what was not heard, and keep that; or what an earlier run kept."""
    if among.is_first:
        plan.folder.mkdir(parents=True, exist_ok=True)
    if not among.agreed(lambda: (plan.folder / _RECORD).exists()):
        made = _made(plan, among, loaders)
        if among.is_first:
            made.save()
        among.gathered(None)  # nobody reads before all is written
    done = Fitted.saved(plan.folder)
    assert done is not None
    return done


def _made(plan: FitPlan, among: Processes, loaders: int) -> Fitted:
    fit = Fit(plan, among, loaders)
    network = fit.run()
    fold, window = plan.fold, plan.config.window_samples

    def scored(split: Split, keep: Keep, channel: str = CLEAN) -> Scored:
        own = clips(plan.corpus, split, keep, window, among.rank, among.count, channel)
        return fit.scored(network, own)

    dev = scored("dev", fold.compared)
    unheard = test = None
    if fold.parts:
        channels = plan.config.calibrate.channels if plan.config.calibrate else ()
        unheard = concatenated(
            [
                scored("train", fold.unheard),
                dev.where(~dev.is_bonafide),
                *(scored("train", fold.unheard_real, channel) for channel in channels),
            ]
        )
    else:
        test = scored("test", fold.present)
    architecture, weights = exported(network)
    return Fitted(plan.folder, architecture, weights, fit.best[0], fit.step, dev, unheard, test)
