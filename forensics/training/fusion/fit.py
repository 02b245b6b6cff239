"""The logistic regression behind a fusion, and its scores on groups that it did not see."""

from __future__ import annotations

import hashlib

import numpy as np

from forensics.detectors.image.fusion import FusionModel
from forensics.errors import UsageError

_LEAST = 20


def fit_fusion(
    found: np.ndarray, weights: np.ndarray, mode: np.ndarray, penalty: float
) -> FusionModel:
    """Minimise the weighted cross-entropy of what each picture is, plus `penalty` times the squared
    weights: multinomial logistic regression, with real pictures as the class of reference.

    A part's score may only count the way that it is meant, higher = bona fide: its weight is not
    negative. Its area may count either way.

    Args:
        found: float64 (N, P, 2), NaN where absent; weights: (N,), mean 1.
        mode: str (N,): how each was forged, "" for real ones.

    Returns:
        A `FusionModel` of the modes in the order of their names; a part that says nothing here
        weighs nothing.

    Raises:
        UsageError: a class is absent.
    """
    from scipy.optimize import minimize

    modes = sorted(set(mode.tolist()) - {""})  # as `Table.modes` orders them
    if not modes or not (mode == "").any():
        raise UsageError("both labels are needed to fit a fusion", "build a larger corpus")
    centre, spread = _scale(found)
    shape = (len(modes), *centre.shape)
    blank = FusionModel(centre, spread, np.zeros(shape), np.zeros(len(modes)))
    design = blank.standardised(found).reshape(len(found), -1)
    design = np.hstack([design, np.ones((len(design), 1))])
    target = (mode[:, None] == np.array(modes)).astype(float)
    share = (weights / weights.sum())[:, None]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        rows = flat.reshape(len(modes), -1)
        odds = np.hstack([np.zeros((len(design), 1)), -design @ rows.T])
        total = np.logaddexp.reduce(odds, axis=1, keepdims=True)
        of_class = np.hstack([1 - target.sum(axis=1, keepdims=True), target])
        value = float((share * (total - (of_class * odds).sum(axis=1, keepdims=True))).sum())
        slope = share * (target - np.exp(odds[:, 1:] - total))
        shrink = penalty * np.hstack([rows[:, :-1], np.zeros((len(modes), 1))])
        return value + float((shrink * rows).sum()), (slope.T @ design + 2 * shrink).ravel()

    bounds = [*[(0.0, None), (None, None)] * len(centre), (None, None)] * len(modes)
    best = minimize(loss, np.zeros(len(bounds)), jac=True, bounds=bounds, method="L-BFGS-B").x
    rows = best.reshape(len(modes), -1)
    return FusionModel(centre, spread, rows[:, :-1].reshape(shape), rows[:, -1])


def balanced(real: np.ndarray, system: np.ndarray) -> np.ndarray:
    """Weights with mean 1: half for each label, shared evenly among its systems."""
    weights = np.zeros(len(real))
    for label in (False, True):
        names = np.unique(system[real == label])
        for name in names:
            chosen = (real == label) & (system == name)
            weights[chosen] = len(real) / (2 * len(names) * chosen.sum())
    return weights


def held_out_scores(
    found: np.ndarray,
    system: np.ndarray,
    mode: np.ndarray,
    group: np.ndarray,
    penalty: float,
    folds: int,
) -> np.ndarray:
    """Scores (N,) of each item by a model that saw none of its group.

    Raises:
        UsageError: too few groups or items of a label.
    """
    real = system == "bonafide"
    for sort, chosen in (("bona fide", real), ("forged", ~real)):
        if chosen.sum() < _LEAST or len(np.unique(group[chosen])) < folds:
            what = f"{chosen.sum()} {sort} pictures of {len(np.unique(group[chosen]))} groups"
            fix = f"build a corpus with at least {_LEAST} of {folds} scenes in that split"
            raise UsageError(f"{what} are too few to fit a fusion", fix)
    number = {name: place % folds for place, name in enumerate(_mixed(np.unique(group)))}
    fold = np.array([number[name] for name in group])
    scores = np.zeros(len(found))
    for one in range(folds):
        train = fold != one
        weights = balanced(real[train], system[train])
        model = fit_fusion(found[train], weights, mode[train], penalty)
        scores[~train] = model.scores(found[~train])
    return scores


def _scale(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and half the distance between the 16th and 84th percentile, of what is there."""
    centre, spread = np.zeros(found.shape[1:]), np.ones(found.shape[1:])
    for place in np.ndindex(centre.shape):
        values = found[(slice(None), *place)]
        values = values[np.isfinite(values)]
        if len(values):
            low, middle, high = np.percentile(values, [16, 50, 84])
            centre[place] = middle
            spread[place] = max((high - low) / 2, float(values.std()) / 4, 1e-6)
    return centre, spread


def _mixed(names: np.ndarray) -> list[str]:
    """In an order that depends on the names alone, and on no order in them."""
    return sorted(names.tolist(), key=lambda name: hashlib.sha256(name.encode()).digest())
