"""What every trained network says about a batch of windows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Described:
    """The result of a network's `describe`.

    Attributes:
        score: (B,) bona fide logit minus spoof logit, higher = bona fide.
        embedding: (B, E), what the last layer sees.
        projection: (B, P) for contrastive losses; None outside training, and for networks without
            a projection head.
    """

    score: Tensor
    embedding: Tensor
    projection: Tensor | None = None
