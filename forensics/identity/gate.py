"""From similarities to a threshold: is this face this person's?

Two normal distributions of one spread: similarities to the centre of the person's own photos, and
of other people's. The threshold lies where both are as likely; the log odds grow linearly from it.
The person's own side is measured by leaving out one photo at a time, because a photo is more alike
to a centre that it is part of. With few photos both sides lean on what is known of the embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forensics.errors import UsageError
from forensics.identity.card import MAX_SLOPE, Gate

MIN_OTHERS = 20  # faces of other people from which their similarities say something
_WEIGHT = 10.0  # of the embedder's general figures, in photos
_LEAST_DISTANCE = 0.5  # of the means, in spreads: below, the photos are as good as anybody's
_STRANGE = 2.0  # spreads below what is usual from which a photo seems to show somebody else


@dataclass(frozen=True)
class General:
    """What is known of an embedder: similarities of single photos to centres.

    Attributes:
        own_mean, other_mean: of the person's own photos, and of other people's.
        spread: standard deviation within either.
        origin: on what that was measured, in words.
    """

    own_mean: float
    other_mean: float
    spread: float
    origin: str


def centre_of(embeddings: np.ndarray) -> np.ndarray:
    """Unit vectors float32 (N, D) → their mean direction, float32 (D,).

    Raises:
        UsageError: they cancel out.
    """
    total = embeddings.astype(np.float64).sum(axis=0)
    length = float(np.linalg.norm(total))
    if not length > 1e-6:
        raise UsageError("the photos' embeddings cancel out", "use photos of one person")
    return (total / length).astype(np.float32)


def left_out(embeddings: np.ndarray) -> np.ndarray:
    """Similarity of each photo to the centre of the others, float64 (N,), N at least 2."""
    return np.array(
        [
            float(embeddings[i] @ centre_of(np.delete(embeddings, i, axis=0)))
            for i in range(len(embeddings))
        ]
    )


def fit_gate(own: np.ndarray, others: np.ndarray, general: General | None) -> Gate:
    """The gate from left-out similarities (N,) and those of other people (M,), M may be 0.

    Raises:
        UsageError: too few other people for an embedder of which nothing is known, or the person's
            photos are hardly more alike to each other than to other people's, or half of them
            would not pass the gate when left out: they show different people.
    """
    if general is None and len(others) < MIN_OTHERS:
        raise UsageError(
            f"nothing is known of this embedder, and there are {len(others)} faces of other people",
            f"name a folder with at least {MIN_OTHERS} with --others",
        )
    weight = _WEIGHT if general else 0.0
    prior = general or General(0.0, 0.0, 0.0, "")
    own_mean = _shrunk(own, prior.own_mean, weight)
    other_mean = _shrunk(others, prior.other_mean, weight)
    squares = float(np.square(own - own.mean()).sum()) + weight * prior.spread**2
    if len(others):
        squares += float(np.square(others - others.mean()).sum())
    freedom = max(len(own) - 1 + max(len(others) - 1, 0) + weight, 1.0)
    spread = max(float(np.sqrt(squares / freedom)), 1e-3)
    distance = own_mean - other_mean
    if distance <= 0 or own.mean() < other_mean + _LEAST_DISTANCE * spread:
        raise UsageError(
            f"these photos are hardly more alike to each other (similarity {own.mean():.2f}) than "
            f"photos of different people are ({other_mean:.2f})",
            "use clear photos of one person, or a better embedder",
        )
    threshold = float(np.clip((own_mean + other_mean) / 2, -1, 1))
    below = int((own < threshold).sum())
    if 2 * below >= len(own):
        raise UsageError(
            f"{below} of {len(own)} photos, left out in turn, are not like the others",
            "enrol one person at a time, from clear frontal photos; or name a stronger embedder",
        )
    return Gate(
        threshold=threshold,
        slope=min(distance / spread**2, MAX_SLOPE),
        own_mean=float(np.clip(own_mean, -1, 1)),
        other_mean=float(np.clip(other_mean, -1, 1)),
        n_own=len(own),
        n_other=len(others),
        own_below=below,
        others_above=int((others >= threshold).sum()) if len(others) else None,
        origin=_origin(len(own), len(others), general),
    )


def strangers(embeddings: np.ndarray, general: General) -> list[int]:
    """Which photos seem to show somebody else than the others do, by index.

    A photo is strange where it lies far below both what is usual for the embedder and what is usual
    among these photos. The strangest is set aside and the rest looked at again.
    """
    far = _STRANGE * general.spread
    kept = list(range(len(embeddings)))
    found: list[int] = []
    while len(kept) > 2:
        similarities = left_out(embeddings[kept])
        worst = int(similarities.argmin())
        usual = min(general.own_mean, float(np.median(similarities)))
        if similarities[worst] >= usual - far:
            break
        found.append(kept.pop(worst))
    return sorted(found)


def assign(similarities: np.ndarray, gates: Sequence[Gate]) -> dict[int, int]:
    """Whom each face is judged as: face → identity, one of each at most.

    The likeliest pairs come first; pairs below the gate's threshold never.

    Args:
        similarities: (faces, identities).
    """
    pairs = [
        (gate.p_same(float(similarities[f, i])), f, i)
        for i, gate in enumerate(gates)
        for f in range(len(similarities))
        if gate.passes(float(similarities[f, i]))
    ]
    chosen: dict[int, int] = {}
    for _, face, person in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if face not in chosen and person not in chosen.values():
            chosen[face] = person
    return chosen


def _shrunk(values: np.ndarray, mean: float, weight: float) -> float:
    return (float(values.sum()) + weight * mean) / (len(values) + weight)


def _origin(n_own: int, n_others: int, general: General | None) -> str:
    parts = [f"{n_own} photos of the person, each left out in turn"]
    if n_others:
        parts.append(f"{n_others} faces of other people")
    if general:
        parts.append(f"and, weighed as {_WEIGHT:g} photos on either side, {general.origin}")
    return "; ".join(parts)
