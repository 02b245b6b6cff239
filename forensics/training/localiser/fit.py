"""Fits one localiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forensics.detectors.network_detector import checked_architecture
from forensics.errors import UsageError
from forensics.evaluation.sweep import CLEAN
from forensics.networks.localiser.network import Localiser, LocaliserConfig
from forensics.shards.format import Item, Split
from forensics.shards.storage import Url
from forensics.training.detector.batches import Batches
from forensics.training.detector.folds import Fold
from forensics.training.detector.lanes import Family, Lane, LanePlan, PairLane, State
from forensics.training.detector.processes import Processes
from forensics.training.detector.windows import Keep
from forensics.training.localiser.config import LocaliserTrainConfig
from forensics.training.localiser.crops import Cropper, Crops
from forensics.training.localiser.held_out import LOGITS, Pictures, chosen, items, joined, look
from forensics.training.localiser.losses import LocaliserLoss
from forensics.training.loop import FitLoop
from forensics.training.stepping import Stepper


@dataclass(frozen=True)
class LocaliserPlan:
    """What one fit is to do.

    Attributes:
        config: with `fit.lanes` set.
        folder: for checkpoint and log; must exist.
    """

    corpus: Url
    config: LocaliserTrainConfig
    fold: Fold
    folder: Path

    @property
    def channels(self) -> tuple[str, ...]:
        calibrate = self.config.calibrate
        return () if calibrate is None else calibrate.channels

    def begun(self, among: Processes, loaders: int) -> LocaliserFit:
        return LocaliserFit(self, among, loaders)


class CropLane(PairLane):
    """Pairs of crops: of a frame, and of an edit of it."""

    def _drawn(self, pool: list[Family], rng: np.random.Generator) -> list[Any]:
        family = pool[rng.integers(len(pool))]
        systems = sorted(family.spoof)
        edits = family.spoof[systems[rng.integers(len(systems))]]
        real = family.bonafide[rng.integers(len(family.bonafide))].item
        fake = edits[rng.integers(len(edits))].item
        cropper = self.plan.cutter
        if rng.random() < cropper.simulated:
            donors = pool[rng.integers(len(pool))].bonafide
            return cropper.simulated_pair(real, donors[rng.integers(len(donors))].item, rng)
        return cropper.pair(real, fake, rng)

    def _batch(self, pairs: list[Any]) -> Crops:
        return Crops.joined(pairs)


@dataclass(frozen=True)
class CropLanePlan(LanePlan):
    def lane(self, number: int, state: State | None) -> Lane:
        return CropLane(self, number, state)


class LocaliserLearner(Stepper):
    """A localiser in the making. In several processes each one's loss is of its own crops."""

    network: Localiser

    def _wrapped(self, network: nn.Module) -> nn.Module:
        return _Localising(network)

    def _loss(self, batch: Crops) -> Tensor:
        pixels = batch.pixels.float().contiguous(memory_format=torch.channels_last)
        with self.autocast():
            logits, score = self._run(pixels, batch.tables)
        return self.beside(
            logits.float(),
            score.float(),
            batch.share,
            batch.weights,
            batch.counted,
            batch.forged,
            batch.judged,
        )

    def _moved(self) -> None:
        self.network.project()


class _Localising(nn.Module):
    """A `forward` that returns a tuple, which is what data parallelism wraps."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, tables: Tensor) -> tuple[Tensor, Tensor]:
        localised = self.network(pixels, tables)
        return localised.logits, localised.score


class LocaliserFit(FitLoop[LocaliserLearner]):
    """A localiser's fit. Every process of a run has one.

    Args:
        loaders: processes that decode and augment, for each process of the run.
    """

    unit = "crops"

    def __init__(self, plan: LocaliserPlan, among: Processes, loaders: int):
        config, fit = plan.config, plan.config.fit
        super().__init__(plan.folder, fit.steps, fit, among, config.tensorboard)
        self.plan, self.loaders = plan, loaders
        torch.manual_seed(config.seed)
        network = Localiser(
            checked_architecture(LocaliserConfig, config.architecture, "the localiser")
        )
        loss = LocaliserLoss(fit.loss)
        self.learner = LocaliserLearner(network, fit, fit.steps, config.seed, among, loss)
        self.cropper = Cropper(
            fit.side,
            fit.on_mask,
            fit.aligned,
            fit.augment,
            fit.recompress,
            fit.quality,
            fit.flip,
            fit.simulated,
        )

    def looked(self, network: Any, own: Sequence[Item]) -> Pictures:
        """What all processes' pictures get."""
        return joined(self.among.gathered(look(network, self.among.device, own)))

    def found(self, network: Any, split: Split, keep: Keep, channel: str = CLEAN) -> Pictures:
        """What it says of the pictures of a split that `keep` wants: this process's share."""
        among = self.among
        own = items(self.plan.corpus, split, keep, among.rank, among.count)
        return look(network, among.device, own, channel)

    def _dev(self) -> list[Item]:
        plan, among = self.plan, self.among
        found = items(plan.corpus, "dev", plan.fold.system_heard)
        some = chosen(found, plan.config.fit.looks_at)
        labels = {item.meta.label for item in some}
        if len(labels) < 2:
            raise UsageError(
                f"the dev split holds only {sorted(labels)} that may be looked at",
                "build the corpus from more cameras, or leave fewer systems out",
            )
        return some[among.rank :: among.count]

    def _batches(self, states: dict[int, State]) -> Batches:
        config, fold = self.plan.config.fit, self.plan.fold
        assert config.lanes is not None
        plan = CropLanePlan(
            self.plan.corpus,
            fold.heard,
            self.cropper,
            config.sampling,
            config.batch // config.lanes // config.accumulate,
            config.lanes,
            self.plan.config.seed,
            0,
        )
        own = config.lanes // self.among.count
        numbers = range(self.among.rank * own, (self.among.rank + 1) * own)
        return Batches(plan, numbers, states, self.loaders)

    def _figures(self, dev: Sequence[Item]) -> tuple[tuple[float, ...], dict[str, Any]]:
        return figures_of(self.looked(self.learner.judged, dev))


def figures_of(found: Pictures) -> tuple[tuple[float, ...], dict[str, Any]]:
    """What chooses among weights, lower being better, and what the log says."""
    areas = found.auc()
    mean = float(np.mean(list(areas.values())))
    f1 = found.pixel_f1()
    at_zero = float("nan") if f1 is None else float(f1[len(LOGITS) // 2])
    best = float("nan") if f1 is None else float(f1.max())
    wanted = mean if f1 is None else (mean + best) / 2
    rounded = {name: round(value, 4) for name, value in areas.items()}
    said = {"dev_auc": mean, "dev_f1": at_zero, "dev_best_f1": best, "dev": rounded}
    return (1 - wanted,), said
