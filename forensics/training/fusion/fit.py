"""The logistic regression behind a fusion, and its scores on groups that it did not see."""

from __future__ import annotations

import hashlib

import numpy as np

from forensics.detectors.image.fusion import FusionModel
from forensics.errors import UsageError

_LEAST = 20


def fit_fusion(
    found: np.ndarray, weights: np.ndarray, real: np.ndarray, penalty: float
) -> FusionModel:
    """Minimise the weighted cross-entropy plus `penalty` times the squared weights.

    A part's score may only count the way that it is meant, higher = bona fide: its weight is not
    negative. Its area may count either way.

    Args:
        found: float64 (N, P, 2), NaN where absent; weights: (N,), mean 1; real: bool (N,).

    Returns:
        A `FusionModel`; a part that says nothing here weighs nothing.

    Raises:
        UsageError: a class is absent.
    """
    from scipy.optimize import minimize

    if real.all() or not real.any():
        raise UsageError("both labels are needed to fit a fusion", "build a larger corpus")
    centre, spread = _scale(found)
    blank = FusionModel(centre, spread, np.zeros(centre.shape), np.zeros(1))
    design = blank.standardised(found).reshape(len(found), -1)
    target, total = real.astype(float), weights.sum()

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = design @ w[:-1] + w[-1]
        p = 1 / (1 + np.exp(-np.clip(z, -700, 700)))
        value = weights @ (np.logaddexp(0.0, z) - target * z) / total
        slope = weights * (p - target) / total
        shrink = penalty * np.append(w[:-1], 0.0)
        gradient = np.append(design.T @ slope, slope.sum()) + 2 * shrink
        return float(value + shrink @ w), gradient

    bounds = [(0.0, None), (None, None)] * len(centre) + [(None, None)]
    best = minimize(loss, np.zeros(design.shape[1] + 1), jac=True, bounds=bounds, method="L-BFGS-B")
    return FusionModel(centre, spread, best.x[:-1].reshape(centre.shape), best.x[-1:])


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
    found: np.ndarray, system: np.ndarray, group: np.ndarray, penalty: float, folds: int
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
        model = fit_fusion(found[train], weights, real[train], penalty)
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
