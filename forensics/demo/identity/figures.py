"""Figures of decisions, in the shape of the paper's tables. The positive class is: forged, or not
the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figures:
    """Shares in [0, 1]; precision is NaN where nothing was called positive."""

    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Decided:
    """Of one person's probes: what was said, and what is true."""

    positive: np.ndarray
    truth: np.ndarray


def figures(positive: np.ndarray, truth: np.ndarray) -> Figures:
    """bool (N,) each."""
    hits = float((positive & truth).sum())
    precision = hits / positive.sum() if positive.any() else float("nan")
    recall = hits / max(1, truth.sum())
    f1 = 2 * hits / max(1, positive.sum() + truth.sum())
    return Figures(float((positive == truth).mean()), float(precision), float(recall), float(f1))


def pooled(people: Sequence[Decided]) -> Figures:
    return figures(
        *(np.concatenate([getattr(one, f) for one in people]) for f in ("positive", "truth"))
    )


def macro(people: Sequence[Decided]) -> Figures:
    """Mean over people of each figure; F1 is then not of the mean precision and recall."""
    rows = np.array([list(vars(figures(one.positive, one.truth)).values()) for one in people])
    return Figures(*(float(value) for value in np.nanmean(rows, axis=0)))


def table(rows: Sequence[tuple[str, Sequence[Decided]]]) -> str:
    """Markdown, in per cent."""
    head = "| | ACC | P | R | F1 | ACC, mean over people | P | R | F1 |\n|" + " --- |" * 9
    lines = [head]
    for name, people in rows:
        both = [value for one in (pooled(people), macro(people)) for value in vars(one).values()]
        lines.append(f"| {name} | " + " | ".join(f"{100 * value:.1f}" for value in both) + " |")
    return "\n".join(lines)
