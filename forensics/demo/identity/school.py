"""How the tiny LLaVA is taught before it is frozen.

The real LLaVA knows what hair and beaches are, and can tell whether a described person is the one
in a picture. The tiny one is given the same generality in two lessons, `seeing` and `talking`; it
never sees an identity token in either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from forensics.progress import Progress

_RATE = 3e-3


@dataclass(frozen=True)
class School:
    """How long the lessons are.

    Attributes:
        pictures: that each lesson is taught on.
        naming: share of the talking steps that are about single words, before descriptions come.
    """

    pictures: int = 5000
    seeing_steps: int = 800
    talking_steps: int = 2000
    naming: float = 0.3
    batch: int = 64


def teach(
    trained: Sequence[nn.Parameter], steps: int, what: str, loss: Callable[[int], torch.Tensor]
) -> None:
    """Train on the loss of each step, the rate rising at first and then falling along a cosine;
    what was trained is frozen afterwards."""
    for one in trained:
        one.requires_grad_()
    optimiser = torch.optim.AdamW(trained, _RATE, weight_decay=0.01)
    with Progress(steps, what, "steps") as progress:
        for step in range(steps):
            rise = min(1.0, (step + 1) / max(1, steps // 20))
            for group in optimiser.param_groups:
                group["lr"] = _RATE * rise * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimiser.zero_grad()
            loss(step).backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            progress.advance()
    for one in trained:
        one.requires_grad_(False)
