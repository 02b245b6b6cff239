"""What a network looked at in a batch of windows, beside its score of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Explained:
    """The result of a network's `explain`; only some have one.

    A network whose `explain` costs no more than its `forward`, and gives the same score, says so by
    a class attribute `explains_for_free = True`; every window is then explained as it is scored,
    also by an ONNX graph. Other networks are asked about single windows.

    Attributes:
        score: (B,) as in `Described`.
        time: (B, T), rows sum to 1: the share that each step of time had in what was pooled.
        layers: (B, L), rows sum to 1: the share of each layer, in order from the input up.
        layer_groups: (B, G), rows sum to 1: the same by groups of neighbouring layers.
        attention: (B, L, T): where each layer was looked at; every row over T sums to 1.
    """

    score: Tensor
    time: Tensor
    layers: Tensor | None = None
    layer_groups: Tensor | None = None
    attention: Tensor | None = None
