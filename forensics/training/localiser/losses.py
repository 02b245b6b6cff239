"""What a localiser's answer costs. Regions weigh the same, whatever their size."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F


class LocaliserLossConfig(BaseModel):
    """Weights of the parts, and their shapes.

    Attributes:
        pixel: of the cross-entropy of places; the forged and the pristine ones of a picture weigh
            the same, however many there are.
        focal: power of a place's error that its cross-entropy is multiplied by (Lin et al., "Focal
            Loss for Dense Object Detection", 2017); 0: not at all.
        tversky: of one minus the Tversky index (Salehi et al., 2017), over forged pictures.
        false_alarm, miss: what pristine places called forged, and forged ones missed, weigh in the
            index; both 0.5 is Dice.
        image: of the cross-entropy of the picture's score.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pixel: float = Field(default=1.0, ge=0)
    focal: float = Field(default=0.0, ge=0)
    tversky: float = Field(default=0.5, ge=0)
    false_alarm: float = Field(default=0.5, gt=0)
    miss: float = Field(default=0.5, gt=0)
    image: float = Field(default=1.0, ge=0)


def region_weights(share: np.ndarray) -> np.ndarray:
    """Weights of forged places that sum to 1, each connected region having the same in total.

    Args:
        share: float (h, w): how much of a place is forged; from one half on it counts as forged.

    Returns:
        float32 (h, w); zeros where nothing is forged.
    """
    import cv2

    forged = (share >= 0.5).astype(np.uint8)
    count, labelled = cv2.connectedComponents(forged, connectivity=8)
    numbers = np.asarray(labelled, np.intp)
    sizes = np.bincount(numbers.ravel(), minlength=count).astype(np.float64)
    each = np.where(np.arange(count) > 0, 1 / np.maximum(sizes, 1) / max(count - 1, 1), 0.0)
    return each.astype(np.float32).take(numbers)


def balanced_cross_entropy(
    logits: Tensor, share: Tensor, weights: Tensor, counted: Tensor, focal: float = 0.0
) -> Tensor:
    """Mean over pictures of the pristine places' mean, plus over forged pictures of the forged's.

    Args:
        logits: (B, 1, h, w), above 0 = manipulated.
        share: in [0, 1]: how much of a place is forged.
        weights: of forged places, as `region_weights` gives them.
        counted: 1 for places of the picture, 0 for what was added to its border.
    """
    cost = F.binary_cross_entropy_with_logits(logits, share, reduction="none")
    if focal:
        cost = cost * (logits.sigmoid() - share).abs() ** focal
    pristine = counted * (share < 0.5)
    quiet = (cost * pristine).sum((1, 2, 3)) / pristine.sum((1, 2, 3)).clamp_min(1)
    forged = (cost * weights).sum((1, 2, 3))
    found = (weights.sum((1, 2, 3)) > 0).sum().clamp_min(1)
    return quiet.mean() + forged.sum() / found


def tversky(
    logits: Tensor,
    share: Tensor,
    weights: Tensor,
    counted: Tensor,
    false_alarm: float = 0.5,
    miss: float = 0.5,
) -> Tensor:
    """One minus the Tversky index, the mean over pictures that hold forged places; 0 without any.

    Arguments as for `balanced_cross_entropy`.
    """
    guess, axes = logits.sigmoid() * counted, (1, 2, 3)
    share = share * counted
    hits = (guess * share).sum(axes)
    alarms, misses = (guess * (1 - share)).sum(axes), ((1 - guess) * share).sum(axes)
    index = (hits + 1) / (hits + false_alarm * alarms + miss * misses + 1)
    forged = weights.sum(axes) > 0
    return ((1 - index) * forged).sum() / forged.sum().clamp_min(1)


def image_cross_entropy(score: Tensor, forged: Tensor, judged: Tensor) -> Tensor:
    """Of scores (B,), higher = bona fide, with forged (B,) 0 or 1, where `judged` (B,) is true."""
    cost = F.binary_cross_entropy_with_logits(score, 1 - forged, reduction="none")
    return (cost * judged).sum() / judged.sum().clamp_min(1)


class LocaliserLoss(nn.Module):
    """The weighted sum; without parameters."""

    def __init__(self, config: LocaliserLossConfig):
        super().__init__()
        self.config = config

    def forward(
        self,
        logits: Tensor,
        score: Tensor,
        share: Tensor,
        weights: Tensor,
        counted: Tensor,
        forged: Tensor,
        judged: Tensor,
    ) -> Tensor:
        config = self.config
        total = torch.zeros((), device=score.device)
        if config.pixel:
            pixel = balanced_cross_entropy(logits, share, weights, counted, config.focal)
            total = total + config.pixel * pixel
        if config.tversky:
            index = tversky(logits, share, weights, counted, config.false_alarm, config.miss)
            total = total + config.tversky * index
        if config.image:
            total = total + config.image * image_cross_entropy(score, forged, judged)
        return total
