"""Equal error rate pooled and within groups: a pooled figure can measure the corpus alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.errors import UsageError
from forensics.evaluation.metrics import eer, split_by_label


@dataclass(frozen=True)
class GroupedEer:
    """EERs in [0, 1].

    Attributes:
        pooled: one threshold for all scores.
        within: mean over the groups, each with its own threshold.
        by_group: the EER of every group that holds both classes.
        one_class: groups left out of `within` because a class is absent.
    """

    pooled: float
    within: float
    by_group: dict[str, float]
    one_class: tuple[str, ...]


def grouped_eer(scores: np.ndarray, is_bonafide: np.ndarray, groups: np.ndarray) -> GroupedEer:
    """Pooled EER, and the mean EER within groups (source, page, speaker, paired utterance).

    Args:
        scores: float (N,), higher = bona fide.
        is_bonafide: bool (N,).
        groups: (N,), names.

    Raises:
        UsageError: a class is absent, or no group holds both.
    """
    scores, is_bonafide = np.asarray(scores, np.float64), np.asarray(is_bonafide, bool)
    pooled = eer(*split_by_label(scores, is_bonafide)).value
    groups = np.asarray(groups).astype(str)
    if groups.shape != scores.shape:
        raise UsageError(f"{scores.size} scores but {groups.size} groups", "pass one per item")
    by_group: dict[str, float] = {}
    one_class: list[str] = []
    for name in np.unique(groups).tolist():
        inside = groups == name
        if is_bonafide[inside].all() or not is_bonafide[inside].any():
            one_class.append(name)
        else:
            by_group[name] = eer(*split_by_label(scores[inside], is_bonafide[inside])).value
    if not by_group:
        raise UsageError("no group holds both classes", "group by source or page")
    within = sum(by_group.values()) / len(by_group)
    return GroupedEer(pooled, within, by_group, tuple(one_class))


def resampled_within(
    scores: np.ndarray,
    is_bonafide: np.ndarray,
    sources: np.ndarray,
    groups: np.ndarray,
    replicates: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """The mean within-source EER on resamples in two stages: float64 (replicates,).

    Sources are drawn with replacement, and groups (speakers) within each source that is drawn;
    where a source is one group the first stage alone remains. The same sources, groups, labels and
    seed give the same draws whatever the scores. NaN where no drawn source holds both classes.

    Args:
        scores, is_bonafide: as in `grouped_eer`; sources, groups: (N,), names.

    Raises:
        UsageError: no source holds both classes, or there is one source of one group.
    """
    scores, is_bonafide = np.asarray(scores, np.float64), np.asarray(is_bonafide, bool)
    sources, groups = np.asarray(sources), np.asarray(groups)
    parts = [
        _Part.of(scores[inside], is_bonafide[inside], groups[inside])
        for name in np.unique(sources)
        for inside in [sources == name]
        if is_bonafide[inside].any() and not is_bonafide[inside].all()
    ]
    if not parts:
        raise UsageError("no source holds both classes", "name sources that hold both")
    if len(parts) == 1 and parts[0].count == 1:
        raise UsageError("an interval needs two sources or groups", "score more of them")
    rng = np.random.default_rng(seed)
    means = np.full(replicates, np.nan)
    for place in range(replicates):
        drawn = [parts[i].draw(rng) for i in rng.integers(len(parts), size=len(parts))]
        kept = [value for value in drawn if value is not None]
        if kept:
            means[place] = sum(kept) / len(kept)
    return means


@dataclass(frozen=True)
class _Part:
    """One source: scores of either class, and the group (0 to count - 1) of each."""

    bonafide: np.ndarray
    bonafide_group: np.ndarray
    spoof: np.ndarray
    spoof_group: np.ndarray
    count: int
    value: float

    @classmethod
    def of(cls, scores: np.ndarray, is_bonafide: np.ndarray, groups: np.ndarray) -> _Part:
        names, index = np.unique(groups, return_inverse=True)
        bonafide, spoof = split_by_label(scores, is_bonafide)
        value = eer(bonafide, spoof).value
        return cls(bonafide, index[is_bonafide], spoof, index[~is_bonafide], len(names), value)

    def draw(self, rng: np.random.Generator) -> float | None:
        """The EER of one resample of the groups; None when it lacks a class."""
        if self.count == 1:
            return self.value
        times = np.bincount(rng.integers(self.count, size=self.count), minlength=self.count)
        bonafide = np.repeat(self.bonafide, times[self.bonafide_group])
        spoof = np.repeat(self.spoof, times[self.spoof_group])
        return eer(bonafide, spoof).value if len(bonafide) and len(spoof) else None
