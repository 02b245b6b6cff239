"""The detection adapter of the tiny LLaVA, trained as stage 1 trains it, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from forensics.demo.identity.people import anybody
from forensics.demo.identity.portraits import EDITS, Edit, edited
from forensics.evaluation.metrics import auc
from forensics.networks.vlm import FaceVlm, Question
from forensics.networks.vlm.adapter import AdapterConfig, DetectionAdapter
from forensics.training.detector.processes import Processes
from forensics.training.vlm.config import StageFitConfig
from forensics.training.vlm.examples import Forms, Shown, asked
from forensics.training.vlm.fit import StageLearner
from forensics.training.vlm.lane import Talks

_DIRECT = Forms(direct=1, explained=0, reasoned=0)
_PHOTOS = 3000


def trained_adapter(vlm: FaceVlm, steps: int, seed: int) -> DetectionAdapter:
    """Listens to the tower's first layer; taught photos of anybody, and the same with an edit."""
    adapter = vlm.add_adapter(AdapterConfig(layer=1, tokens=12, hidden=64), seed)
    fit = StageFitConfig(steps=steps, batch=32, learning_rate=3e-3, warmup=20, forms=_DIRECT)
    learner = StageLearner(vlm, adapter, fit, seed, Processes(torch.device("cpu")))
    rng = np.random.default_rng([seed, 4])
    photos = [anybody(rng) for _ in range(_PHOTOS)]

    def take() -> Talks:
        chosen = [photos[int(i)] for i in rng.integers(len(photos), size=fit.batch // 2)]
        kinds: list[Edit] = [EDITS[int(i)] for i in rng.integers(len(EDITS), size=len(chosen))]
        touched = [_touched(one, edit, rng) for one, edit in zip(chosen, kinds, strict=True)]
        pairs = [(one, True) for one in chosen] + [(one, False) for one in touched]
        return Talks(
            tuple(asked(Question("real"), one, real, "direct", {}, {}, rng) for one, real in pairs)
        )

    for step in range(1, steps + 1):
        learner.step(take, step)
    return adapter.requires_grad_(False).eval()


@dataclass(frozen=True)
class Detection:
    """How edited patches were found.

    Attributes:
        right: share right at logit 0, half of the pictures being edited.
        auc: area under the curve, by edit; "all" of them together.
    """

    name: str
    right: float
    auc: dict[str, float]


def detection(vlm: FaceVlm, adapter: DetectionAdapter | None, seed: int) -> list[Detection]:
    """On new photos, without the adapter and with it; none is left in place."""
    rng = np.random.default_rng([seed, 5])
    photos = [anybody(rng) for _ in range(100 * len(EDITS))]
    kinds = np.arange(len(photos)) % len(EDITS)
    touched = [
        _touched(one, EDITS[kind], rng) for one, kind in zip(photos, kinds.tolist(), strict=True)
    ]
    pictures = [one.pixels for one in (*photos, *touched)]
    rows = []
    for name, vlm.adapter in (("no adapter", None), ("adapter", adapter)):
        scores = vlm.score(pictures, [Question("real")] * len(pictures))
        real, fake = scores[: len(photos)], scores[len(photos) :]
        areas = {"all": auc(real, fake)}
        areas |= {edit: auc(real, fake[kinds == i]) for i, edit in enumerate(EDITS)}
        rows.append(Detection(name, float(np.mean([*(real > 0), *(fake <= 0)])), areas))
    vlm.adapter = None
    return rows


def _touched(one: Shown, edit: Edit, rng: np.random.Generator) -> Shown:
    return Shown(edited(one.pixels, edit, rng))
