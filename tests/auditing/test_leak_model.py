"""Folds, weights and intervals of the audit's classifier."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.auditing.leak_model import (
    Design,
    Table,
    connected,
    held_out_auc,
    make_design,
    within_fold_auc,
)


def design_of(spoof, units, sources=None):
    systems = np.where(spoof, "x", "bonafide")
    own = range(len(spoof)) if sources is None else sources
    return make_design(spoof, systems, [str(u) for u in units], [str(i) for i in own], seed=0)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25),
)
def test_items_linked_by_group_or_source_are_one_unit(links):
    groups, sources = [f"g{g}" for g, _ in links], [f"s{s}" for _, s in links]
    units = connected(groups, sources)
    for i, (g, s) in enumerate(links):
        for j, (h, t) in enumerate(links):
            if g == h or s == t:
                assert units[i] == units[j]
    # No more than the links force: a flood over them reaches exactly the unit.
    reached, before = {0}, set()
    while reached != before:
        before = set(reached)
        reached |= {
            j
            for i in before
            for j in range(len(links))
            if groups[i] == groups[j] or sources[i] == sources[j]
        }
    assert reached == set(np.flatnonzero(units == units[0]).tolist())


def test_no_unit_lies_in_two_folds():
    rng = np.random.default_rng(0)
    groups, sources = rng.integers(0, 30, 300), rng.integers(0, 200, 300)
    spoof = rng.random(300) < 0.5
    sources = groups % 30 * 1000 + sources
    design = design_of(spoof, groups, sources)
    for names in (groups, design.units):
        for name in np.unique(names):
            assert len(np.unique(design.folds[names == name])) == 1
    assert len(np.unique(design.folds)) == 5


def test_labels_and_systems_weigh_the_same():
    systems = np.array(["bonafide"] * 10 + ["a"] * 80 + ["b"] * 10)
    spoof = systems != "bonafide"
    design = make_design(spoof, systems, [str(i) for i in range(100)], ["s"] * 100, 0)
    total = {name: design.weights[systems == name].sum() for name in ("bonafide", "a", "b")}
    assert total["bonafide"] == pytest.approx(50)
    assert total["a"] == pytest.approx(25) and total["b"] == pytest.approx(25)


def test_auc_counts_pairs_of_one_fold():
    rng = np.random.default_rng(1)
    spoof, folds = rng.random(60) < 0.4, rng.integers(0, 3, 60)
    scores = rng.integers(0, 5, 60).astype(float)
    weights = rng.uniform(0.5, 2, 60)
    value, _ = within_fold_auc(scores, Design(spoof, weights, np.arange(60), folds), 0)
    right = pairs = 0.0
    for i in np.flatnonzero(spoof):
        for j in np.flatnonzero(~spoof & (folds == folds[i])):
            weight = weights[i] * weights[j]
            right += weight * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
            pairs += weight
    assert value == pytest.approx(right / pairs)


def test_a_feature_that_names_the_speaker_is_worth_nothing_across_groups():
    """Each speaker has one label and one value: only a split across speakers is honest."""
    rng = np.random.default_rng(2)
    units = np.repeat(np.arange(60), 5)
    spoof = (rng.random(60) < 0.5)[units]
    feature = rng.normal(size=60)[units][:, None]
    assert held_out_auc(feature, design_of(spoof, units), 0).value < 0.65
    mixed = held_out_auc(feature, design_of(spoof, np.arange(300)), 0)
    assert mixed.value > 0.8


def test_shapes_that_no_straight_line_tells_are_found():
    rng = np.random.default_rng(3)
    spoof = rng.random(200) < 0.5
    feature = np.where(spoof, rng.normal(0, 0.2, 200), rng.choice([-1, 1], 200))[:, None]
    assert held_out_auc(feature, design_of(spoof, np.arange(200) % 20), 0).low > 0.9


def test_dependent_items_widen_the_interval_and_so_do_many_comparisons():
    rng = np.random.default_rng(4)
    spoof = np.tile([True, False], 150)
    own = rng.normal(size=300)
    feature = (0.6 * spoof + own)[:, None]
    free = held_out_auc(feature, design_of(spoof, np.arange(300)), 0)
    few = held_out_auc(feature, design_of(spoof, np.arange(300) // 50), 0)
    many = held_out_auc(feature, design_of(spoof, np.arange(300)), 0, comparisons=100)
    assert few.high - few.low > free.high - free.low
    assert many.high - many.low > 1.5 * (free.high - free.low)
    assert many.value == free.value


def test_table_codes_text_and_marks_what_is_absent():
    table = Table([{"a.x": 1.0, "a.t": "flac"}, {"a.x": 1.0, "a.t": "wav"}, {"a.x": 1.0}])
    assert table.varying("a") == ["a.t"]
    assert table.varying("b") == []
    column = table.matrix(["a.t"])[:, 0]
    assert column[0] != column[1] and np.isnan(column[2])
