"""Ranges that parameters are drawn from, and the draws: for engines and for channel conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, TypeVar

import numpy as np
from pydantic import AfterValidator

T = TypeVar("T")


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"a range is [low, high] with low <= high, not [{low}, {high}]")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""`[low, high]`, both finite; one value is drawn from it."""


def within(minimum: float, maximum: float) -> AfterValidator:
    """A `Range` may not leave [minimum, maximum]."""

    def check(bounds: tuple[float, float]) -> tuple[float, float]:
        if bounds[0] < minimum or bounds[1] > maximum:
            raise ValueError(f"{list(bounds)} leaves [{minimum}, {maximum}]")
        return bounds

    return AfterValidator(check)


def uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(rng.uniform(*bounds))


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Uniform on a logarithmic scale: bit rates. Both bounds are positive."""
    low, high = bounds
    return float(min(max(math.exp(rng.uniform(math.log(low), math.log(high))), low), high))


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, equally likely; draws one number whatever their count."""
    return options[int(rng.random() * len(options))]
