"""How well a guess that never looks at a picture finds where it was forged.

Two guesses: the centre, and the mean mask of the other groups. A localiser that does no better has
learnt where people like to forge. The figure is the pixel AUC (0.5 says nothing), the mean over
forged pictures, each on a grid of 32 x 32 cells of its own size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from forensics.auditing.features import Family
from forensics.auditing.judge import judged
from forensics.auditing.leak_model import FOLDS, MIN_GROUPS, MIN_ITEMS, Auc
from forensics.auditing.report import Evidence, Leak

SIDE = 32


def occupancy(mask: np.ndarray) -> np.ndarray:
    """bool (H, W) → uint8 (1024,): how much of each cell is forged, 255 = all of it."""
    import cv2

    cells = cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.rint(255 * cells).astype(np.uint8).ravel()


def mask_leaks(
    masks: Sequence[np.ndarray],
    groups: Sequence[str],
    families: Sequence[Family],
    limits: Mapping[str, float | None],
) -> Iterator[Leak]:
    """The two guesses, judged.

    Args:
        masks: of each forged picture, as `occupancy` gives it; groups: what each belongs to.
        families: `mask_centre` and `mask_mean`.
    """
    shares = np.array(masks, np.float32).reshape(len(masks), SIDE * SIDE) / 255
    _, unit = np.unique(np.array(groups, str), return_inverse=True)
    usable = (shares.max(axis=1, initial=0) > 0) & (shares.min(axis=1, initial=1) < 1)
    shares, unit = shares[usable], unit[usable]
    for family in families:
        limit, status = limits.get(family.name), None
        short = _shortage(unit)
        if short is not None:
            status = "reported" if limit is None else "inconclusive"
            yield Leak(family=family.name, limit=limit, status=status, reason=short)
            continue
        guess = _centre_auc if family.name == "mask_centre" else _mean_mask_auc
        auc = _interval(guess(shares, unit), unit)
        status = judged(auc, limit)
        yield Leak(
            family=family.name,
            auc=round(auc.value, 4),
            low=round(auc.low, 4),
            high=round(auc.high, 4),
            limit=limit,
            status=status,
            reason="above the limit, its interval reaches below: more items would tell"
            if status == "inconclusive"
            else None,
            evidence=_evidence(shares),
            remedy=family.remedy,
        )


def pixel_auc(guess: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Cells guessed (C,), higher = forged, and their forged shares (N, C) → AUC (N,), ties half."""
    levels, place = np.unique(guess, return_inverse=True)
    rank = np.zeros((len(guess), len(levels)), np.float32)
    rank[np.arange(len(guess)), place] = 1
    forged, genuine = shares @ rank, (1 - shares) @ rank
    below = np.cumsum(genuine, axis=1) - genuine / 2
    return (forged * below).sum(axis=1) / (forged.sum(axis=1) * genuine.sum(axis=1))


def centre_guess() -> np.ndarray:
    """float64 (1024,): minus the distance to the centre, sides counted alike."""
    middle = np.arange(SIDE) - (SIDE - 1) / 2
    return -np.hypot(middle[:, None], middle[None, :]).ravel()


def _centre_auc(shares: np.ndarray, unit: np.ndarray) -> np.ndarray:
    return pixel_auc(centre_guess(), shares)


def _mean_mask_auc(shares: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Each group by the mean of the other folds' groups; a group counts once in it."""
    found = np.zeros(len(shares))
    fold = unit % min(FOLDS, len(np.unique(unit)))
    for one in np.unique(fold):
        held = fold == one
        means = [shares[unit == other].mean(axis=0) for other in np.unique(unit[~held])]
        found[held] = pixel_auc(np.mean(means, axis=0), shares[held])
    return found


def _interval(values: np.ndarray, unit: np.ndarray) -> Auc:
    """The mean, and its interval by Student's t from sums over whole groups."""
    from scipy.stats import t

    mean = float(values.mean())
    sums = np.bincount(unit, weights=values - mean)
    sums = sums[np.bincount(unit) > 0]
    count = len(sums)
    error = math.sqrt(count / (count - 1) * float(np.square(sums).sum())) / len(values)
    reach = float(t.ppf(0.975, count - 1)) * error
    return Auc(mean, max(0.0, mean - reach), min(1.0, mean + reach))


def _shortage(unit: np.ndarray) -> str | None:
    groups = len(np.unique(unit))
    if len(unit) < MIN_ITEMS:
        return f"{len(unit)} masks, at least {MIN_ITEMS} are needed"
    return f"masks of {groups} groups, at least {MIN_GROUPS}" if groups < MIN_GROUPS else None


def _evidence(shares: np.ndarray) -> Evidence:
    """How far from the centre the forged and the other pixels lie, 1 = the corners."""
    away = -centre_guess() / -centre_guess().min()

    def typical(weights: np.ndarray) -> str:
        each = (weights * away).sum(axis=1) / weights.sum(axis=1)
        low, middle, high = np.percentile(each, [25, 50, 75])
        return f"{middle:.2f} (half: {low:.2f} to {high:.2f})"

    return Evidence(
        feature="distance of pixels to the centre",
        spoof=typical(shares),
        bonafide=f"{typical(1 - shares)} where nothing was changed",
    )
