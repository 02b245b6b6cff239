"""Fits one face classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forensics import shards
from forensics.detectors.face.window import Window
from forensics.detectors.network_detector import checked_architecture
from forensics.errors import UsageError
from forensics.evaluation.sweep import CLEAN
from forensics.generators.face.base import FORGERS, FaceForger
from forensics.networks.face_classifier import FaceClassifier, FaceClassifierConfig
from forensics.networks.face_encoder.folder import load_encoder
from forensics.shards.format import Item, ItemMeta, Split
from forensics.shards.storage import Url
from forensics.training.detector.batches import Batches
from forensics.training.detector.folds import Fold
from forensics.training.detector.held_out import Scored
from forensics.training.detector.lanes import Family, Lane, LanePlan, PairLane, State
from forensics.training.detector.processes import Processes
from forensics.training.detector.windows import Keep
from forensics.training.face_classifier.config import FaceClassifierTrainConfig
from forensics.training.face_classifier.crops import FaceCropper, box_of, people
from forensics.training.localiser.crops import Crops, decode
from forensics.training.localiser.fit import figures_of
from forensics.training.localiser.held_out import (
    LOGITS,
    Pictures,
    chosen,
    f1_at_cuts,
    joined,
    through,
)
from forensics.training.localiser.losses import LocaliserLoss
from forensics.training.loop import FitLoop
from forensics.training.stepping import Stepper


@dataclass(frozen=True)
class FacePlan:
    """What one fit is to do.

    Attributes:
        config: with `fit.lanes` set.
        folder: for checkpoint and log; must exist.
        blends: whether photos are blended with themselves; not in a fit that leaves that out.
    """

    corpus: Url
    config: FaceClassifierTrainConfig
    fold: Fold
    folder: Path
    blends: bool = True

    @property
    def channels(self) -> tuple[str, ...]:
        calibrate = self.config.calibrate
        return () if calibrate is None else calibrate.channels

    def begun(self, among: Processes, loaders: int) -> FaceFit:
        return FaceFit(self, among, loaders)


class FaceLane(PairLane):
    """Pairs of crops: of a real photo, and of a forgery of it."""

    def _items(self, epoch: int, done: int = 0) -> Iterator[Item]:
        """Without forgeries that hold a person who is not heard."""
        keep = self.plan.keep
        found = super()._items(epoch, done)
        return (item for item in found if wanted(item.meta, keep))

    def _drawn(self, pool: list[Family], rng: np.random.Generator) -> list[Any]:
        family = pool[rng.integers(len(pool))]
        systems = sorted(family.spoof)
        fakes = family.spoof[systems[rng.integers(len(systems))]]
        real = _item(family.bonafide[rng.integers(len(family.bonafide))])
        fake = _item(fakes[rng.integers(len(fakes))])
        cropper: FaceCropper = self.plan.cutter
        pair = None
        if rng.random() < cropper.blended:
            pair = cropper.blended_pair(real, rng)
        return pair or cropper.pair(real, fake, rng)

    def _batch(self, pairs: list[Any]) -> Crops:
        return Crops.joined(pairs)


def _item(copy: Any) -> Item:
    return copy.item


def wanted(meta: ItemMeta, keep: Keep) -> bool:
    """Whether `keep` holds for everybody whose pixels an item holds."""
    return all(keep(meta.system, person) for person in people(meta))


@dataclass(frozen=True)
class FaceLanePlan(LanePlan):
    def lane(self, number: int, state: State | None) -> Lane:
        return FaceLane(self, number, state)


class FaceLearner(Stepper):
    """A face classifier in the making."""

    network: FaceClassifier

    def _wrapped(self, network: nn.Module) -> nn.Module:
        return _Judging(network)

    def _loss(self, batch: Crops) -> Tensor:
        pixels = batch.pixels.float().contiguous(memory_format=torch.channels_last)
        with self.autocast():
            logits, score = self._run(pixels)
        places = batch.share, batch.weights, batch.counted
        return self.beside(logits.float(), score.float(), *places, batch.forged, batch.judged)


class _Judging(nn.Module):
    """A `forward` that returns a tuple, which is what data parallelism wraps."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        judged = self.network(pixels)
        return judged.logits, judged.score


class FaceFit(FitLoop[FaceLearner]):
    """A face classifier's fit. Every process of a run has one.

    Args:
        loaders: processes that decode and augment, for each process of the run.
    """

    unit = "crops"

    def __init__(self, plan: FacePlan, among: Processes, loaders: int):
        config, fit = plan.config, plan.config.fit
        super().__init__(plan.folder, fit.steps, fit, among, config.tensorboard)
        self.plan, self.loaders = plan, loaders
        torch.manual_seed(config.seed)
        network = built(config.architecture)
        loss = LocaliserLoss(fit.loss)
        self.learner = FaceLearner(network, fit, fit.steps, config.seed, among, loss)
        own = network.config
        blender = _blender(config) if plan.blends else None
        self.cropper = FaceCropper(
            own.side,
            own.margin,
            fit.shift,
            fit.zoom,
            fit.augment,
            fit.recompress,
            fit.quality,
            fit.flip,
            fit.self_blended.probability if blender else 0.0,
            blender,
        )

    def found(self, network: Any, split: Split, keep: Keep, channel: str = CLEAN) -> Pictures:
        """What it says of the photos of a split that `keep` wants: this process's share."""
        own = islice(self._photos(split, keep), self.among.rank, None, self.among.count)
        return look(network, self.among.device, own, channel)

    def _photos(self, split: Split, keep: Keep) -> Iterator[Item]:
        whole = shards.open(self.plan.corpus, split, shuffle=False, rank=0, world_size=1)
        return (item for item in whole if wanted(item.meta, keep))

    def _dev(self) -> list[Item]:
        plan, among = self.plan, self.among
        some = chosen(self._photos("dev", plan.fold.system_heard), plan.config.fit.looks_at)
        labels = {item.meta.label for item in some}
        if len(labels) < 2:
            raise UsageError(
                f"the dev split holds only {sorted(labels)} that may be looked at",
                "build the corpus of more people, or leave fewer systems out",
            )
        return some[among.rank :: among.count]

    def _batches(self, states: dict[int, State]) -> Batches:
        config, fold = self.plan.config.fit, self.plan.fold
        assert config.lanes is not None
        plan = FaceLanePlan(
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
        own = look(self.learner.judged, self.among.device, dev)
        return figures_of(joined(self.among.gathered(own)))


def built(architecture: Any) -> FaceClassifier:
    """A new network; with the weights of `encoder_weights` where that is named.

    Raises:
        UsageError: it cannot be built.
    """
    config = checked_architecture(FaceClassifierConfig, architecture, "the face classifier")
    encoder = None
    if config.backbone == "encoder" and config.encoder_weights is not None:
        encoder, card = load_encoder(Path(config.encoder_weights))
        config = config.model_copy(update={"encoder": card.architecture})
        if card.architecture.side != config.side:
            raise UsageError(
                f"the encoder of {config.encoder_weights} takes crops of {card.architecture.side}",
                f"--set architecture.side={card.architecture.side}",
            )
    try:
        return FaceClassifier(config, encoder)
    except ValueError as error:
        raise UsageError(
            str(error), "--set architecture.encoder_weights=FOLDER of a face encoder"
        ) from error


def _blender(config: FaceClassifierTrainConfig) -> FaceForger | None:
    """What blends photos with themselves.

    Raises:
        UsageError: no such forger, or wrong parameters. MissingRequirement: it lacks something.
    """
    wanted = config.fit.self_blended
    if wanted.probability == 0:
        return None
    forger = FORGERS.get(wanted.use)(**wanted.params)
    for lack in forger.check():
        raise lack
    forger.load()
    return forger


@torch.inference_mode()
def look(
    network: Any, device: torch.device, photos: Iterable[Item], channel: str = CLEAN
) -> Pictures:
    """Score faces where the corpus says that they are, cut as detection cuts them.

    Args:
        channel: that each photo goes through first, a name of `IMAGE_SWEEP`.
    """
    network.eval()
    config: FaceClassifierConfig = network.config
    score, system, group, mode, f1 = [], [], [], [], []
    for item in photos:
        labelled, box = decode(item), np.array(box_of(item.meta), float)
        pixels, mask = labelled.picture.pixels, labelled.mask
        if channel != CLEAN:
            before = pixels.shape
            pixels, mask, _ = through(channel, item.key, pixels, mask)
            box *= pixels.shape[1] / before[1]
        left, top, right, bottom = box.round().astype(int).tolist()
        window = Window.around((left, top, right, bottom), config.margin)
        crop = torch.from_numpy(window.cut(pixels, config.side)).permute(2, 0, 1)[None]
        judged = network(crop.to(device).float())
        score.append(float(judged.score))
        system.append(item.meta.system)
        group.append(item.meta.group)
        forged = item.meta.label != "bonafide"
        inside = window.cut(mask.astype(np.uint8), config.side) > 0
        placed = forged and bool(inside.any())
        mode.append(str(item.meta.params.get("mode", "composite")) if placed else "")
        found = judged.logits[0, 0].float().cpu().numpy()
        f1.append(f1_at_cuts(found, inside) if placed else np.full(len(LOGITS), np.nan))
    return Pictures(
        Scored(
            np.array(score, float),
            np.array(system, str),
            np.array(group, str),
            np.full(len(score), channel),
        ),
        np.array(mode, str),
        np.array(f1, float).reshape(-1, len(LOGITS)),
    )
