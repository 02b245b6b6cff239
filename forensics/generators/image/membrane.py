"""Poisson's equation on a mask: what has given differences between neighbours and a given rim."""

from __future__ import annotations

import numpy as np

_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def solved(
    known: np.ndarray, hole: np.ndarray, guide: np.ndarray | None = None, mixed: bool = False
) -> np.ndarray:
    """Fill a hole so that differences of neighbours are the guide's (Pérez et al. 2003).

    Where the hole meets the array's border nothing is demanded across it.

    Args:
        known: (h, w, C): what is around the hole.
        hole: bool (h, w); at least one pixel must be known.
        guide: (h, w, C); None fills smoothly (Laplace's equation).
        mixed: of the guide's and `known`'s differences take the larger one.

    Returns:
        float64 (h, w, C), `known` outside of the hole.
    """
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    rows, columns = np.nonzero(hole)
    count = len(rows)
    number = np.full(hole.shape, -1)
    number[rows, columns] = np.arange(count)
    result = known.astype(np.float64)
    diagonal, right = np.zeros(count), np.zeros((count, known.shape[2]))
    places, others = [], []
    for down, across in _STEPS:
        r, c = rows + down, columns + across
        inside = (r >= 0) & (r < hole.shape[0]) & (c >= 0) & (c < hole.shape[1])
        here = np.flatnonzero(inside)
        r, c = r[inside], c[inside]
        diagonal[here] += 1
        if guide is not None:
            own = rows[here], columns[here]
            step = guide[own].astype(np.float64) - guide[r, c]
            if mixed:
                present = result[own] - result[r, c]
                step = np.where(np.abs(present) > np.abs(step), present, step)
            right[here] += step
        unknown = number[r, c] >= 0
        np.add.at(right, here[~unknown], result[r[~unknown], c[~unknown]])
        places.append(here[unknown])
        others.append(number[r, c][unknown])
    place, other = np.concatenate(places), np.concatenate(others)
    each = np.arange(count)
    entries = np.concatenate([diagonal, np.full(len(place), -1.0)])
    index = np.concatenate([each, place]), np.concatenate([each, other])
    system = csc_matrix((entries, index), shape=(count, count))
    result[rows, columns] = splu(system).solve(right)
    return result
