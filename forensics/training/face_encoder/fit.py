"""Pretrains one face encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forensics import shards
from forensics.networks.face_encoder.encoder import FaceEncoder, FaceEncoderConfig
from forensics.networks.face_encoder.pretraining import FacePretrainer
from forensics.shards.format import Item, Split
from forensics.shards.storage import Url
from forensics.training.detector.batches import Batches
from forensics.training.detector.lanes import Lane, LanePlan, State, StreamLane
from forensics.training.detector.processes import Processes
from forensics.training.face_encoder.config import FaceEncoderTrainConfig
from forensics.training.face_encoder.crops import FaceMasker, MaskedFaces
from forensics.training.loop import FitLoop
from forensics.training.stepping import Stepper

_AT_ONCE = 16  # crops of a look


class FaceStreamLane(StreamLane):
    """Masked crops of real photos."""

    def _batch(self, drawn: list[Any]) -> MaskedFaces:
        return MaskedFaces.joined([crop for crop, _, _ in drawn])


@dataclass(frozen=True)
class FaceStreamPlan(LanePlan):
    def lane(self, number: int, state: State | None) -> Lane:
        return FaceStreamLane(self, number, state)


def is_real(system: str, group: str) -> bool:
    return system == "bonafide"


def photos(corpus: Url, split: Split) -> Iterator[Item]:
    """The real ones of a split, in the corpus's order."""
    found = shards.open(corpus, split, shuffle=False, rank=0, world_size=1)
    return (item for item in found if item.meta.label == "bonafide")


class EncoderLearner(Stepper):
    """An encoder in the making, with all that teaches it."""

    network: FacePretrainer

    def step(self, take: Callable[[], Any], number: int) -> Tensor:
        self._done = number / max(1, self.steps)
        return super().step(take, number)

    def _wrapped(self, network: nn.Module) -> nn.Module:
        return _Total(network)

    def _loss(self, batch: MaskedFaces) -> Tensor:
        with self.autocast():
            return self._run(batch.pixels.float(), batch.hidden, batch.covered)

    def _moved(self) -> None:
        self.network.follow(self._done)


class _Total(nn.Module):
    """A `forward` that returns a tensor, which is what data parallelism wraps."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, hidden: Tensor, covered: Tensor) -> Tensor:
        return self.network(pixels, hidden, covered).total


class EncoderFit(FitLoop[EncoderLearner]):
    """A face encoder's fit. Every process of a run has one.

    Args:
        encoder: what it is built from.
        loaders: processes that decode, for each process of the run.
    """

    unit = "crops"

    def __init__(
        self,
        corpus: Url,
        config: FaceEncoderTrainConfig,
        encoder: FaceEncoderConfig,
        folder: Path,
        among: Processes,
        loaders: int,
    ):
        fit = config.fit
        super().__init__(folder, fit.steps, fit, among, config.tensorboard)
        self.corpus, self.config, self.loaders = corpus, config, loaders
        torch.manual_seed(config.seed)
        network = FacePretrainer(FaceEncoder(encoder), config.pretraining)
        self.learner = EncoderLearner(
            network, fit, fit.steps, config.seed, among, beside=nn.Identity()
        )
        self.masker = masker(config, encoder)

    def _dev(self) -> list[Item]:
        def order(item: Item) -> bytes:
            return hashlib.sha256(item.key.encode()).digest()

        some = sorted(photos(self.corpus, "dev"), key=order)[: self.config.fit.looks_at]
        return some[self.among.rank :: self.among.count]

    def _batches(self, states: dict[int, State]) -> Batches:
        config = self.config.fit
        assert config.lanes is not None
        plan = FaceStreamPlan(
            self.corpus,
            is_real,
            self.masker,
            config.sampling,
            config.batch // config.lanes // config.accumulate,
            config.lanes,
            self.config.seed,
            0,
        )
        own = config.lanes // self.among.count
        numbers = range(self.among.rank * own, (self.among.rank + 1) * own)
        return Batches(plan, numbers, states, self.loaders)

    @torch.inference_mode()
    def _figures(self, dev: Sequence[Item]) -> tuple[tuple[float, ...], dict[str, Any]]:
        network = self.learner.judged.eval()
        rows: list[list[float]] = []
        waiting = iter(dev)
        while some := list(islice(waiting, _AT_ONCE)):
            crops = [self.masker.crop(item, _rng(item), still=True) for item in some]
            batch = MaskedFaces.joined(crops).to(self.among.device)
            costs = network(batch.pixels.float(), batch.hidden, batch.covered)
            row = [float(one) for one in (costs.pixels, costs.covered, costs.instance)]
            rows += [row] * len(some)
        every = [row for share in self.among.gathered(rows) for row in share]
        pixels, covered, instance = np.mean(every, 0).tolist()
        return (pixels,), {"dev_pixels": pixels, "dev_covered": covered, "dev_instance": instance}


def masker(config: FaceEncoderTrainConfig, encoder: FaceEncoderConfig) -> FaceMasker:
    fit = config.fit
    sizes = encoder.side, encoder.patch
    return FaceMasker(*sizes, fit.margin, fit.shift, fit.zoom, fit.flip, fit.hidden, config.parsing)


def _rng(item: Item) -> np.random.Generator:
    """The same masking of a photo at every look."""
    return np.random.default_rng(
        np.frombuffer(hashlib.sha256(item.key.encode()).digest(), np.uint32)
    )
