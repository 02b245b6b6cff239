"""What computes a network's scores: PyTorch, or ONNX Runtime where a bundle holds a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Outputs:
    """What a network says of B windows; all but the score may be absent.

    Attributes:
        score: float64 (B,), higher = bona fide.
        time: float32 (B, T), layers: (B, L), layer_groups: (B, G), attention: (B, L, T); as in
            `forensics.networks.explained.Explained`.
    """

    score: np.ndarray
    time: np.ndarray | None = None
    layers: np.ndarray | None = None
    layer_groups: np.ndarray | None = None
    attention: np.ndarray | None = None


OUTPUTS = tuple(field.name for field in fields(Outputs))


class Runner(Protocol):
    """Runs one network on float32 (B, window_samples), B of at least 1."""

    description: str

    def __call__(self, windows: np.ndarray) -> Outputs:
        """The scores, and the rest where it costs nothing."""
        ...

    def explain(self, windows: np.ndarray) -> Outputs:
        """The rest at any cost; it may still be absent."""
        ...


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Batches of the same network one after the other: at least one."""
    found: dict[str, np.ndarray] = {}
    for name in OUTPUTS:
        arrays = [array for part in parts if (array := getattr(part, name)) is not None]
        if arrays:
            found[name] = np.concatenate(arrays)
    return Outputs(**found)
