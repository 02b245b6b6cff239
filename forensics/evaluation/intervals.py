"""Confidence intervals: of shares, and cluster bootstrap ones of metrics and their differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forensics.errors import UsageError
from forensics.evaluation.metrics import split_by_label

LEVEL = 0.95
_LACKING = 0.1  # of the resamples may lack a class


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


def clopper_pearson(hits: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
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


def clustered_share(
    hits: np.ndarray, groups: np.ndarray, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of a share of trials that are alike within groups (Korn and Graubard, 1998).

    The exact interval of as many independent trials as would give the share the variance that it
    has between groups; with no hits, or hits only, as many trials as there are groups. Of trials
    that are all in one group nothing is known: they count as independent.

    Args:
        hits: bool (N,); groups: (N,), names.

    Raises:
        UsageError: there are no trials.
    """
    hits = np.asarray(hits, bool)
    if len(hits) == 0:
        raise UsageError("there are no trials", "a share needs some")
    share = float(hits.mean())
    _, index, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    count = len(sizes)
    if count == 1:
        trials = float(len(hits))
    elif share in (0.0, 1.0):
        trials = float(count)
    else:
        excess = np.bincount(index, hits) - share * sizes
        variance = float(np.square(excess).sum()) * count / (count - 1) / len(hits) ** 2
        trials = min(share * (1 - share) / variance, len(hits)) if variance > 0 else len(hits)
    return clopper_pearson(share * trials, trials, level)


def value_with_interval(
    metric: Callable[[np.ndarray, np.ndarray], float],
    scores: np.ndarray,
    is_bonafide: np.ndarray,
    groups: np.ndarray,
) -> tuple[float, tuple[float, float] | None]:
    """A metric of bona fide and forged scores, and its interval over groups; no interval where
    there are too few groups for one."""
    try:
        found = bootstrap(metric, scores, is_bonafide, groups)
    except UsageError:
        return metric(*split_by_label(scores, is_bonafide)), None
    return found.value, (found.low, found.high)


def resampled(
    metrics: Callable[[np.ndarray, np.ndarray], Sequence[float]],
    scores: np.ndarray,
    is_bonafide: np.ndarray,
    groups: np.ndarray,
    replicates: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """`metrics(bonafide, spoof)` on resamples of whole groups: float64 (replicates, metrics).

    Items of one speaker, source clip or page are not independent; resampling single items would
    give intervals that are too narrow. Rows of resamples that lack a class are NaN. The same
    groups, labels and seed give the same draws whatever the scores: rows of two detectors are
    paired.

    Args:
        scores: float (N,), higher = bona fide.
        is_bonafide: bool (N,).
        groups: (N,), what is resampled: speaker, source, page.

    Raises:
        UsageError: a class is absent, or there are fewer than two groups.
    """
    is_bonafide = np.asarray(is_bonafide, bool)
    bonafide, spoof = split_by_label(scores, is_bonafide)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise UsageError(
            "an interval needs at least two groups", "score more speakers, scenes or sources"
        )
    # Sorted once: a resample that repeats sorted scores is still sorted, and sorts in linear time.
    by_class = [
        (part[order], index[mask][order])
        for part, mask in ((bonafide, is_bonafide), (spoof, ~is_bonafide))
        for order in [np.argsort(part, kind="stable")]
    ]
    rng = np.random.default_rng(seed)
    rows = np.full((replicates, len(metrics(bonafide, spoof))), np.nan)
    for row in rows:
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        drawn = [np.repeat(part, times[group]) for part, group in by_class]
        if all(len(part) for part in drawn):
            row[:] = metrics(drawn[0], drawn[1])
    return rows


def resampled_means(
    values: np.ndarray, groups: np.ndarray, replicates: int = 1000, seed: int = 0
) -> np.ndarray:
    """Means on resamples of whole groups: float64 (replicates,), paired like `resampled`.

    Args:
        values: float (N,), or (N, M) for (replicates, M); NaN has no part in a mean.
        groups: (N,), what is resampled.

    Returns:
        NaN where no drawn group has a value.

    Raises:
        UsageError: there are fewer than two groups.
    """
    sums, times = group_sums(np.nan_to_num(values), groups, replicates, seed)
    counts, _ = group_sums(~np.isnan(values), groups, replicates, seed)
    with np.errstate(invalid="ignore"):
        return (times @ sums) / (times @ counts)


def group_sums(
    values: np.ndarray, groups: np.ndarray, replicates: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums within groups, float64 (groups, …), and how often each resample draws each group,
    float64 (replicates, groups).

    Raises:
        UsageError: there are fewer than two groups.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise UsageError(
            "an interval needs at least two groups", "score more speakers, scenes or sources"
        )
    sums = np.zeros((len(names), *np.shape(values)[1:]))
    np.add.at(sums, index, values)
    rng = np.random.default_rng(seed)
    times = np.stack(
        [
            np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
            for _ in range(replicates)
        ]
    )
    return sums, times.astype(np.float64)


def percentiles(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Low and high end of what resampling gave; NaN marks resamples that lack a class.

    Raises:
        UsageError: more than a tenth of them do.
    """
    lacking = int(np.isnan(values).sum())
    if lacking > _LACKING * len(values):
        raise UsageError(
            f"{lacking} of {len(values)} resamples lack a class",
            "use groups that hold both classes, or more groups",
        )
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap(
    metric: Callable[[np.ndarray, np.ndarray], float],
    scores: np.ndarray,
    is_bonafide: np.ndarray,
    groups: np.ndarray,
    replicates: int = 1000,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Percentile interval of one `metric(bonafide, spoof)`; arguments as of `resampled`.

    Raises:
        UsageError: a class is absent, there are fewer than two groups, or more than a tenth of
            the resamples lack a class.
    """
    rows = resampled(lambda b, s: (metric(b, s),), scores, is_bonafide, groups, replicates, seed)
    low, high = percentiles(rows[:, 0], level)
    return Interval(
        value=metric(*split_by_label(scores, is_bonafide)),
        low=low,
        high=high,
        level=level,
        groups=len(np.unique(np.asarray(groups))),
        replicates=int((~np.isnan(rows[:, 0])).sum()),
    )
