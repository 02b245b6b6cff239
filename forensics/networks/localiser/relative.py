"""How a place differs from the rest of its picture.

Features of a place tell what is seen there and what it went through. Less the picture's own mean
and over its own spread they tell what sets the place apart, which holds for editors that no
training saw; content and camera, which most places share, cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_SPREAD = 1e-3
_ROUNDS = 2
_CHANNELS = 16


@dataclass(frozen=True)
class Spread:
    """A picture's mean and standard deviation of each channel, (B, C, 1, 1)."""

    mean: Tensor
    deviation: Tensor

    def relative(self, features: Tensor) -> Tensor:
        """(B, C, h, w) → deviations from the mean, in standard deviations, up to 6 of them."""
        return ((features - self.mean) / self.deviation).clamp(-6, 6)


def robust_spread(parts: list[Tensor]) -> Spread:
    """The spread of a picture's features, with places that stand apart weighing less.

    Plain moments first, then twice moments with the weight 1 / (1 + d²)² for a place whose mean
    squared deviation is d² (reweighting as for a multivariate t distribution). So an edit that
    fills a third of the picture hardly moves what it is compared with.

    Args:
        parts: (B, C, h, w) each; together they cover the picture once.
    """
    weights = [torch.ones_like(part[:, :1]) for part in parts]
    with torch.no_grad():
        for _ in range(_ROUNDS):
            spread = _moments(parts, weights)
            weights = [_weight(part, spread) for part in parts]
    return _moments(parts, weights)


def _weight(part: Tensor, spread: Spread) -> Tensor:
    apart = part - spread.mean
    return (1 + apart.div_(spread.deviation).square_().mean(1, keepdim=True)) ** -2


def _moments(parts: list[Tensor], weights: list[Tensor]) -> Spread:
    # In float64, so that a picture in parts gives what it gives whole; some channels at a time,
    # because that is twice the size.
    total = torch.stack([w.double().sum((2, 3), keepdim=True) for w in weights]).sum(0)
    pairs = list(zip(parts, weights, strict=True))
    means, variances = [], []
    for first in range(0, parts[0].shape[1], _CHANNELS):
        own = slice(first, first + _CHANNELS)
        sums = [(p[:, own].double() * w).sum((2, 3), keepdim=True) for p, w in pairs]
        mean = torch.stack(sums).sum(0) / total
        squares = [
            ((p[:, own].double() - mean).square() * w).sum((2, 3), keepdim=True) for p, w in pairs
        ]
        means.append(mean)
        variances.append(torch.stack(squares).sum(0) / total)
    deviation = (torch.cat(variances, 1) + _LEAST_SPREAD**2).sqrt()
    return Spread(torch.cat(means, 1).to(parts[0].dtype), deviation.to(parts[0].dtype))
