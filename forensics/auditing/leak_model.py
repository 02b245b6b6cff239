"""How well a table of features tells the labels apart: grouped cross-validation and its interval.

Items that share a group or a source never lie on both sides of a fold. Only scores of one fold are
compared with one another, because models of different folds have different scales.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MIN_GROUPS = 4
MIN_ITEMS = 20
FOLDS = 5
RESAMPLES = 200


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve, 0.5 = says nothing, with its interval."""

    value: float
    low: float
    high: float


class Table:
    """Columns by name, float64 (N,); text is coded by its rank, absent values are NaN."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]):
        self.rows = rows
        names = sorted({name for row in rows for name in row})
        self.columns = {name: _coded([row.get(name) for row in rows]) for name in names}

    def varying(self, family: str) -> list[str]:
        """The columns of one family that are not the same for every item."""
        prefix = f"{family}."
        mine = (name for name in self.columns if name.startswith(prefix))
        return [name for name in mine if not _constant(self.columns[name])]

    def values(self, name: str, mask: np.ndarray) -> list[Any]:
        """A column as it was measured, for the items of the mask; None where absent."""
        return [self.rows[index].get(name) for index in np.flatnonzero(mask).tolist()]

    def matrix(self, names: list[str]) -> np.ndarray:
        return np.column_stack([self.columns[name] for name in names])


@dataclass(frozen=True)
class Design:
    """Who is compared with whom.

    Attributes:
        spoof: bool (N,).
        weights: float64 (N,): both labels weigh the same, and so do all systems.
        units: int (N,): connected groups and sources; what folds and resamples keep together.
        folds: int (N,): the fold that holds the item out.
    """

    spoof: np.ndarray
    weights: np.ndarray
    units: np.ndarray
    folds: np.ndarray

    def only(self, mask: np.ndarray, systems: np.ndarray) -> Design:
        """The same folds over some of the items, weighed anew."""
        return Design(
            self.spoof[mask],
            balanced(self.spoof[mask], systems[mask]),
            self.units[mask],
            self.folds[mask],
        )

    def shortage(self) -> str | None:
        """Why no judgement is possible, or None."""
        for name, mask in (("bonafide", ~self.spoof), ("spoof", self.spoof)):
            items, units = int(mask.sum()), len(np.unique(self.units[mask]))
            if items < MIN_ITEMS:
                return f"{items} {name} items, at least {MIN_ITEMS} are needed"
            if units < MIN_GROUPS:
                return f"{units} independent groups with {name} items, at least {MIN_GROUPS}"
        shared = np.intersect1d(self.folds[self.spoof], self.folds[~self.spoof])
        return None if len(shared) else "no fold holds both labels"


def make_design(
    spoof: np.ndarray, systems: np.ndarray, groups: list[str], sources: list[str], seed: int
) -> Design:
    """Join groups and sources to units and spread them over folds, labels kept even."""
    from sklearn.model_selection import StratifiedGroupKFold

    units = connected(groups, sources)
    fewest = min(len(np.unique(units[spoof])), len(np.unique(units[~spoof])))
    folds = np.zeros(len(spoof), np.int64)
    if fewest >= 2:
        splitter = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
        with warnings.catch_warnings():  # a rare label in few units: uneven folds are expected
            warnings.simplefilter("ignore", UserWarning)
            for number, (_, held) in enumerate(splitter.split(units, spoof, units)):
                folds[held] = number
    return Design(spoof, balanced(spoof, systems), units, folds)


def connected(groups: list[str], sources: list[str]) -> np.ndarray:
    """int (N,): items that share a group or a source, directly or over others, get one number."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for group, source in zip(groups, sources, strict=True):
        parent[root(("group", group))] = root(("source", source))
    numbers: dict[tuple[str, str], int] = {}
    roots = [root(("group", group)) for group in groups]
    return np.array([numbers.setdefault(node, len(numbers)) for node in roots], np.int64)


def balanced(spoof: np.ndarray, systems: np.ndarray) -> np.ndarray:
    """Weights with mean 1: half for each label, shared evenly among its systems."""
    weights = np.zeros(len(spoof))
    for label in (False, True):
        present = np.unique(systems[spoof == label])
        for system in present:
            mask = (spoof == label) & (systems == system)
            weights[mask] = len(spoof) / (2 * len(present) * mask.sum())
    return weights


def held_out_auc(features: np.ndarray, design: Design, seed: int, comparisons: int = 1) -> Auc:
    """Train on the other folds, compare within each fold.

    Args:
        features: float64 (N, F), NaN where absent.
        comparisons: how many intervals are read side by side; the interval is widened for them
            (Bonferroni).
    """
    scores = _held_out_scores(features, design, seed)
    value, resampled = within_fold_auc(scores, design, seed)
    units = min(
        len(np.unique(design.units[design.spoof])), len(np.unique(design.units[~design.spoof]))
    )
    reach = _reach(resampled, units, comparisons)
    return Auc(value, max(0.0, value - reach), min(1.0, value + reach))


def _held_out_scores(features: np.ndarray, design: Design, seed: int) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    scores = np.zeros(len(features))
    with threadpool_limits(1):  # so little work that threads only wait for one another
        for fold in np.unique(design.folds):
            held = design.folds == fold
            train = ~held
            counts = np.bincount(design.spoof[train].astype(int), minlength=2)
            if counts.min() == 0:
                continue
            model = HistGradientBoostingClassifier(
                max_iter=25,
                learning_rate=0.2,
                max_leaf_nodes=6,
                max_bins=63,
                min_samples_leaf=int(np.clip(counts.min() // 10, 3, 20)),
                early_stopping=False,  # pyright: ignore[reportArgumentType]
                random_state=seed,
            )
            known = np.isfinite(features[train]).any(axis=0)  # scikit-learn bins no empty column
            if not known.any():
                continue
            model.fit(features[train][:, known], design.spoof[train], design.weights[train])
            scores[held] = model.decision_function(features[held][:, known])
    return scores


def within_fold_auc(scores: np.ndarray, design: Design, seed: int) -> tuple[float, np.ndarray]:
    """The weighted share of (spoof, bonafide) pairs of one fold in the right order, ties half.

    Besides, the same over resamples of whole units, (RESAMPLES,).
    """
    _, index = np.unique(design.units, return_inverse=True)
    count = int(index.max()) + 1
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    times = np.vstack([np.ones(count, times.dtype), times])
    right, pairs = np.zeros(len(times)), np.zeros(len(times))
    for fold in np.unique(design.folds):
        held = np.flatnonzero(design.folds == fold)
        held = held[np.argsort(scores[held], kind="stable")]
        weights = times[:, index[held]] * design.weights[held]
        real = weights * ~design.spoof[held]
        fake = weights * design.spoof[held]
        below = np.concatenate([np.zeros((len(times), 1)), np.cumsum(real, axis=1)], axis=1)
        first = np.searchsorted(scores[held], scores[held], "left")
        after = np.searchsorted(scores[held], scores[held], "right")
        right += (fake * (below[:, first] + below[:, after])).sum(axis=1) / 2
        pairs += fake.sum(axis=1) * real.sum(axis=1)
    with np.errstate(invalid="ignore"):
        auc = right / pairs
    return float(auc[0]), auc[1:][pairs[1:] > 0]


def _reach(resampled: np.ndarray, units: int, comparisons: int) -> float:
    """Half width of the 95 % interval: Student's t with the bootstrap's standard error.

    Resampling few units understates the spread by sqrt((n - 1) / n), and normal quantiles do too.
    """
    from scipy.stats import t

    if len(resampled) < RESAMPLES // 2:
        return math.inf
    error = float(np.std(resampled)) * math.sqrt(units / (units - 1))
    return float(t.ppf(1 - 0.025 / comparisons, units - 1)) * error


def _coded(values: list[Any]) -> np.ndarray:
    texts = {value: code for code, value in enumerate(sorted({v for v in values if _text(v)}))}
    codes = (texts[v] if _text(v) else math.nan if v is None else v for v in values)
    return np.array(list(codes), np.float64)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _constant(column: np.ndarray) -> bool:
    return bool(np.all(column == column[0]) or np.isnan(column).all())
