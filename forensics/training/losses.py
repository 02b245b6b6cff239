"""Losses on what a network says of a batch (`Described`) and on which rows are bona fide.

Every loss is a module `(described, bonafide) -> scalar`, where `bonafide` is bool (B,). They are
computed in float32, whatever the network was computed in.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.errors import UsageError
from forensics.networks.described import Described


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Contrastive(_Strict):
    """The margin contrastive term that is added to another loss, with its weight."""

    weight: float = Field(default=0.1, gt=0)
    margin: float = Field(default=0.5, gt=0)
    distance: Literal["euclidean", "cosine"] = "euclidean"


class CrossEntropyConfig(_Strict):
    """Cross-entropy over two classes.

    Attributes:
        spoof_weight, bonafide_weight: of the classes; the loss is divided by the sum of its rows'
            weights. HierCon, SLS and AASIST use 0.1 and 0.9.
        smoothing: share of each label that is spread over both classes.
    """

    kind: Literal["cross-entropy"] = "cross-entropy"
    spoof_weight: float = Field(default=1.0, gt=0)
    bonafide_weight: float = Field(default=1.0, gt=0)
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    contrastive: Contrastive | None = None


class PartialAucConfig(_Strict):
    """Two-way partial AUC.

    Attributes:
        hardest_bonafide, hardest_spoof: share of each class's rows, at least one, that are ranked
            against each other: bona fide with the lowest and spoof with the highest scores.
        margin: by which a bona fide score shall exceed a spoof one.
    """

    kind: Literal["partial-auc"] = "partial-auc"
    hardest_bonafide: float = Field(default=0.5, gt=0, le=1)
    hardest_spoof: float = Field(default=0.5, gt=0, le=1)
    margin: float = Field(default=1.0, gt=0)
    contrastive: Contrastive | None = None


class OcSoftmaxConfig(_Strict):
    """One-class softmax; for networks whose score is a cosine (`output: cosine`).

    Attributes:
        scale: of the cosines, alpha in the paper.
        bonafide_margin: cosine that bona fide shall exceed; spoof_margin: that spoof shall not.
    """

    kind: Literal["oc-softmax"] = "oc-softmax"
    scale: float = Field(default=20.0, gt=0)
    bonafide_margin: float = Field(default=0.9, ge=-1, le=1)
    spoof_margin: float = Field(default=0.2, ge=-1, le=1)
    contrastive: Contrastive | None = None


LossConfig = Annotated[
    CrossEntropyConfig | PartialAucConfig | OcSoftmaxConfig, Field(discriminator="kind")
]


def build_loss(config: CrossEntropyConfig | PartialAucConfig | OcSoftmaxConfig) -> nn.Module:
    """The loss, with the contrastive term where there is one."""
    if isinstance(config, CrossEntropyConfig):
        loss: nn.Module = CrossEntropy(config)
    elif isinstance(config, PartialAucConfig):
        loss = PartialAuc(config)
    else:
        loss = OcSoftmax(config)
    return loss if config.contrastive is None else WithContrastive(loss, config.contrastive)


class CrossEntropy(nn.Module):
    """Equal to torch's cross-entropy of the two logits, since only their difference matters."""

    def __init__(self, config: CrossEntropyConfig):
        super().__init__()
        self.smoothing = config.smoothing
        self.weights: Tensor
        weights = torch.tensor([config.spoof_weight, config.bonafide_weight])
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, described: Described, bonafide: Tensor) -> Tensor:
        score = described.score.float()
        logits = torch.stack([torch.zeros_like(score), score], dim=1)
        weights = self.weights.to(score.device)
        return F.cross_entropy(logits, bonafide.long(), weights, label_smoothing=self.smoothing)


class PartialAuc(nn.Module):
    """Squared hinge over the pairs of the hardest bona fide and the hardest spoof rows.

    The two-way partial AUC is that of Yang et al., "When All We Need is a Piece of the Pie: A
    Generic Framework for Optimizing Two-way Partial AUC" (ICML 2021): the area where the true
    positive rate is high and the false positive rate low. Their surrogate weighs all rows; here
    the rows are selected, batch by batch. 0 when a class is missing.
    """

    def __init__(self, config: PartialAucConfig):
        super().__init__()
        self.config = config

    def forward(self, described: Described, bonafide: Tensor) -> Tensor:
        score = described.score.float()
        real, fake = score[bonafide], score[~bonafide]
        if not len(real) or not len(fake):
            return 0 * score.sum()
        real = real.topk(_at_least_one(self.config.hardest_bonafide, len(real)), largest=False)[0]
        fake = fake.topk(_at_least_one(self.config.hardest_spoof, len(fake)))[0]
        short = self.config.margin - (real.unsqueeze(1) - fake.unsqueeze(0))
        return short.clamp(min=0).square().mean()


class OcSoftmax(nn.Module):
    """Zhang, Jiang & Duan, "One-class Learning Towards Synthetic Voice Spoofing Detection" (IEEE
    Signal Processing Letters, 2021, arXiv 2010.13995): a tight cone for bona fide alone.

    The direction that the cosine is taken with belongs to the network.
    """

    def __init__(self, config: OcSoftmaxConfig):
        super().__init__()
        self.config = config

    def forward(self, described: Described, bonafide: Tensor) -> Tensor:
        cosine = described.score.float()
        if bool((cosine.detach().abs() > 1.001).any()):
            raise UsageError(
                "oc-softmax needs a network whose score is a cosine", "set its output to cosine"
            )
        config = self.config
        short = torch.where(bonafide, config.bonafide_margin - cosine, cosine - config.spoof_margin)
        return F.softplus(config.scale * short).mean()


class WithContrastive(nn.Module):
    """Another loss, plus the weighted contrastive term of HierCon (arXiv 2602.01032).

    It acts on the projection, or on the embedding of a network without one.
    """

    def __init__(self, loss: nn.Module, config: Contrastive):
        super().__init__()
        self.loss, self.config = loss, config

    def forward(self, described: Described, bonafide: Tensor) -> Tensor:
        vectors = described.embedding if described.projection is None else described.projection
        pull = contrastive(vectors, bonafide, self.config.margin, self.config.distance)
        return self.loss(described, bonafide) + self.config.weight * pull


def contrastive(
    vectors: Tensor,
    bonafide: Tensor,
    margin: float,
    distance: Literal["euclidean", "cosine"] = "euclidean",
) -> Tensor:
    """Mean squared distance of rows of one class, plus that by which the classes are too close.

    On directions: rows are normalised, so that distances lie in [0, 2]. Pairs of different rows
    count, in both orders. The sum is clamped to [0, 10]; it is 0 for fewer than two rows, and when
    no class has two.

    Args:
        vectors: (B, P).
        bonafide: bool (B,).
        margin: distance below which rows of different classes cost something.
        distance: "cosine" is 1 - cosine.
    """
    same = bonafide.unsqueeze(0) == bonafide.unsqueeze(1)
    alike = same & ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    distances = _distances(F.normalize(vectors.float(), dim=1), distance)
    together = _mean(distances.square(), alike)
    apart = _mean((margin - distances).clamp(min=0).square(), ~same)
    total = (together + apart).clamp(0, 10)
    return torch.where(alike.any(), total, 0 * total)


def _distances(directions: Tensor, kind: Literal["euclidean", "cosine"]) -> Tensor:
    if kind == "euclidean":  # not by way of a product, which is inexact where rows are near
        return torch.cdist(directions, directions, compute_mode="donot_use_mm_for_euclid_dist")
    with torch.autocast(directions.device.type, enabled=False):
        return 1 - directions @ directions.T


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Over what is chosen; 0 when nothing is."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


def _at_least_one(share: float, count: int) -> int:
    return max(1, math.ceil(share * count))
