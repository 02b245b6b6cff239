"""Confidence intervals: exact ones for shares, cluster bootstrap ones for metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forensics.errors import UsageError
from forensics.evaluation.metrics import split_by_label


@dataclass(frozen=True)
class Interval:
    """A bootstrap percentile interval and what it rests on.

    Attributes:
        value: the metric on all scores.
        level: coverage aimed at, e.g. 0.95.
        groups: how many groups were resampled; below about 20 the interval is too narrow.
        replicates: resamples that held both classes; the others were left out.
    """

    value: float
    low: float
    high: float
    level: float
    groups: int
    replicates: int


def clopper_pearson(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share of independent trials (Clopper and Pearson, 1934).

    Raises:
        UsageError: not 0 <= hits <= trials with trials > 0.
    """
    from scipy.special import betaincinv

    if not 0 <= hits <= trials or trials == 0:
        raise UsageError(f"{hits} of {trials} is not a share", "count again")
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, trials - hits + 1, tail))
    high = 1.0 if hits == trials else float(betaincinv(hits + 1, trials - hits, 1 - tail))
    return low, high


def bootstrap(
    metric: Callable[[np.ndarray, np.ndarray], float],
    scores: np.ndarray,
    is_bonafide: np.ndarray,
    groups: np.ndarray,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of `metric(bonafide, spoof)`, resampling whole groups.

    Items of one speaker, source clip or page are not independent; resampling single items would
    give intervals that are too narrow.

    Args:
        scores: float (N,), higher = bona fide.
        is_bonafide: bool (N,).
        groups: (N,), what is resampled: speaker, source, page.

    Raises:
        UsageError: a class is absent, there are fewer than two groups, or more than a tenth of
            the resamples lack a class.
    """
    is_bonafide = np.asarray(is_bonafide, bool)
    bonafide, spoof = split_by_label(scores, is_bonafide)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise UsageError("an interval needs at least two groups", "score more speakers or sources")
    # Sorted once: a resample that repeats sorted scores is still sorted, and sorts in linear time.
    by_class = [
        (part[order], index[mask][order])
        for part, mask in ((bonafide, is_bonafide), (spoof, ~is_bonafide))
        for order in [np.argsort(part, kind="stable")]
    ]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(replicates):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        drawn = [np.repeat(part, times[group]) for part, group in by_class]
        if all(len(part) for part in drawn):
            values.append(metric(drawn[0], drawn[1]))
    if len(values) < 0.9 * replicates:
        raise UsageError(
            f"{replicates - len(values)} of {replicates} resamples lack a class",
            "use groups that hold both classes, or more groups",
        )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        value=metric(bonafide, spoof),
        low=float(low),
        high=float(high),
        level=level,
        groups=len(names),
        replicates=len(values),
    )
