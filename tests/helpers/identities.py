"""Identities made of numbers, for tests that need no face."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from forensics.identity.card import Gate, IdentityCard, TokenCard
from forensics.identity.names import slug_of
from forensics.identity.tensors import CENTRE, INPUT, OUTPUT, Identity, digest

GATE = Gate(
    threshold=0.5,
    slope=20,
    own_mean=0.8,
    other_mean=0.2,
    n_own=5,
    n_other=40,
    own_below=0,
    others_above=1,
    origin="made up for a test",
)


def unit(vector) -> np.ndarray:
    array = np.asarray(vector, np.float32)
    return array / np.linalg.norm(array)


def identity(name="Anna Müller", centre=None, *, rows=None, embedder="test 1", **card) -> Identity:
    """With `rows` float32 (T, d) it has tokens, whose output rows are the negative of them."""
    rng = np.random.default_rng(len(name))
    centre = unit(rng.standard_normal(8)) if centre is None else unit(centre)
    vectors = {CENTRE: centre}
    tokens = card.pop("tokens", None)
    if rows is not None:
        vectors |= {INPUT: np.asarray(rows, np.float32), OUTPUT: -np.asarray(rows, np.float32)}
        tokens = tokens or TokenCard(
            names=tuple(f"<{slug_of(name)}_{i}>" for i in range(len(rows))),
            model="tiny",
            model_fingerprint="tiny 1",
            prompt_version="1",
            trained_on="nothing",
        )
    fields = {
        "name": name,
        "slug": slug_of(name),
        "created": datetime(2026, 1, 2, tzinfo=UTC),
        "photos": 5,
        "embedder": embedder,
        "gate": GATE,
        "tokens": tokens,
        "sha256": digest(vectors),
    }
    made = IdentityCard(**{**fields, **card})
    return Identity(made, vectors[CENTRE], vectors.get(INPUT), vectors.get(OUTPUT))
