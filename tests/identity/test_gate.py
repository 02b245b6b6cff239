"""The gate: thresholds, strangers among the photos, who is asked about."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.identities import GATE, unit
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forensics.errors import UsageError
from forensics.identity.card import Gate
from forensics.identity.gate import General, assign, centre_of, fit_gate, left_out, strangers

GENERAL = General(own_mean=0.8, other_mean=0.3, spread=0.1, origin="a test")


def cloud(mean, count, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack(
        [unit(mean + spread * rng.standard_normal(len(mean)) / 4) for _ in range(count)]
    )


def test_left_out_similarities_do_not_count_the_photo_itself():
    e = np.eye(3, dtype=np.float32)
    assert left_out(e).tolist() == [0, 0, 0]
    assert centre_of(e) == pytest.approx(np.full(3, 3**-0.5))


def test_the_threshold_lies_between_and_p_grows_through_a_half_there():
    rng = np.random.default_rng(0)
    own, others = 0.8 + 0.05 * rng.standard_normal(30), 0.2 + 0.05 * rng.standard_normal(500)
    gate = fit_gate(own, others, None)
    assert gate.threshold == pytest.approx(0.5, abs=0.02)
    assert gate.slope == pytest.approx(0.6 / 0.05**2, rel=0.2)
    assert gate.p_same(gate.threshold) == pytest.approx(0.5)
    assert gate.p_same(0.8) > 0.99 and gate.p_same(0.2) < 0.01 and gate.p_same(-1e9) == 0
    assert (gate.own_below, gate.others_above, gate.n_own, gate.n_other) == (0, 0, 30, 500)


@given(
    arrays(np.float64, 5, elements=st.floats(-1.01, 1.01)),
    arrays(np.float64, 25, elements=st.floats(-1.01, 1.01)),
)
def test_a_gate_that_was_fitted_is_a_gate_that_is_taken(own, others):
    for general in (GENERAL, None):
        try:
            gate = fit_gate(own, others, general)
        except UsageError:
            continue
        assert Gate.model_validate_json(gate.model_dump_json()) == gate


def test_few_photos_lean_on_what_is_known_and_say_so():
    gate = fit_gate(np.array([0.99, 0.99, 0.99]), np.zeros(0), GENERAL)
    assert 0.5 < gate.threshold < 0.65
    assert gate.others_above is None and "a test" in gate.origin and "3 photos" in gate.origin


def test_own_photos_that_would_not_pass_are_counted():
    gate = fit_gate(np.array([0.8, 0.82, 0.81, 0.5]), np.zeros(0), GENERAL)
    assert gate.own_below == 1


def test_an_unknown_embedder_needs_other_people():
    with pytest.raises(UsageError, match="nothing is known") as caught:
        fit_gate(np.full(5, 0.8), np.full(19, 0.1), None)
    assert "--others" in (caught.value.fix or "")


def test_photos_as_alike_as_anybodys_are_refused():
    with pytest.raises(UsageError, match="hardly more alike"):
        fit_gate(np.full(5, 0.32), np.zeros(0), GENERAL)


def test_strangers_are_named_and_a_clean_set_has_none():
    a, b = unit(np.r_[np.ones(8), np.zeros(8)]), unit(np.r_[np.zeros(8), np.ones(8)])
    own = cloud(a, 7)
    assert strangers(own, GENERAL) == []
    mixed = np.concatenate([own[:3], cloud(b, 2, seed=1), own[3:]])
    assert strangers(mixed, GENERAL) == [3, 4]


def test_each_face_is_one_person_at_most_and_the_likeliest():
    similarities = np.array([[0.7, 0.9], [0.8, 0.6], [np.nan, np.nan], [0.4, 0.2]])
    assert assign(similarities, [GATE, GATE]) == {0: 1, 1: 0}
    assert assign(similarities[:, :1], [GATE]) == {1: 0}
    assert assign(similarities[2:], [GATE, GATE]) == {}
