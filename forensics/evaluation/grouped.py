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
