"""Lanes stop anywhere and go on there, and deal the same batches to any number of readers."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from helpers.training_corpus import SYSTEMS
from pydantic import TypeAdapter

from forensics.conditions.draw import ConditionPolicy
from forensics.errors import UsageError
from forensics.training.detector.batches import Batches
from forensics.training.detector.config import Hiding, Sampling
from forensics.training.detector.folds import Fold, Limited, crossed_folds, everything
from forensics.training.detector.lanes import LanePlan
from forensics.training.detector.windows import Cutter, HidingShape, shown

PAIRS = {"kind": "pairs", "pool": 3, "draws_per_family": 2}
STREAM = {"kind": "stream", "shuffle_buffer": 5}


def plan(corpus, sampling, lanes=1, keep=everything, stage=0, seed=3):
    policy = ConditionPolicy.model_validate({"probability": 0.5, "choose": [{"use": "rawboost"}]})
    cutter = Cutter(16_000, 4000, policy, (-12.0, 6.0), Hiding(), HidingShape(16, 10, 7000.0))
    chosen = TypeAdapter(Sampling).validate_python(sampling)
    return LanePlan(corpus, keep, cutter, chosen, 4, lanes, seed, stage)


def same(one, other):
    return (
        torch.equal(one.samples, other.samples)
        and torch.equal(one.shown, other.shown)
        and one.systems == other.systems
    )


@pytest.mark.parametrize("sampling", [PAIRS, STREAM])
def test_a_lane_goes_on_from_any_state(corpus, sampling):
    lane = plan(corpus, sampling).lane(0, None)
    given, states = [], []
    for windows in islice(lane, 20):  # several epochs
        given.append(windows)
        states.append(dict(lane.state))
    for stop in (0, 3, 7, 12):
        again = plan(corpus, sampling).lane(0, states[stop])
        for wanted, found in zip(given[stop + 1 :], again, strict=False):
            assert same(wanted, found)


@pytest.mark.parametrize("sampling", [PAIRS, STREAM])
def test_processes_and_loaders_do_not_change_the_batches(corpus, sampling):
    made = plan(corpus, sampling, lanes=4)
    alone = Batches(made, range(4), {}, 0)
    loaded = Batches(made, range(4), {}, 3)  # of which two are used
    ranks = [Batches(made, range(0, 2), {}, 0), Batches(made, range(2, 4), {}, 0)]
    for _ in range(3):
        wanted, found = next(alone), next(loaded)
        assert same(wanted, found)
        parts = [next(rank) for rank in ranks]
        assert [len(part.samples) for part in parts] == [8, 8]
        assert torch.equal(torch.cat([part.samples for part in parts]), wanted.samples)
    assert loaded.states == alone.states
    later = Batches(made, range(4), alone.states, 0)
    assert same(next(later), next(alone))


def test_pairs_are_of_one_utterance_and_of_both_labels(corpus):
    windows = next(Batches(plan(corpus, PAIRS), range(1), {}, 0))
    assert windows.samples.shape == (4, 4000) and windows.samples.abs().max() <= 1
    assert windows.bonafide.tolist() == [True, False, True, False]
    assert set(windows.systems) <= {"bonafide", *SYSTEMS}


def test_stages_and_seeds_draw_anew(corpus):
    first = next(Batches(plan(corpus, PAIRS), range(1), {}, 0))
    assert not same(first, next(Batches(plan(corpus, PAIRS, stage=1), range(1), {}, 0)))
    assert not same(first, next(Batches(plan(corpus, PAIRS, seed=4), range(1), {}, 0)))


def test_a_stream_gives_each_item_once_an_epoch(corpus):
    made = plan(corpus, STREAM)
    made = LanePlan(**{**vars(made), "share": 1})
    lane = made.lane(0, None)
    systems = [windows.systems[0] for windows in islice(lane, 60)]
    for epoch in (systems[:30], systems[30:]):
        assert sorted(epoch) == sorted(["bonafide", *SYSTEMS] * 10)
    assert systems[:30] != systems[30:]


@pytest.mark.parametrize("sampling", [PAIRS, STREAM])
def test_nothing_to_train_on_is_said(corpus, sampling):
    def nothing(system, group):
        return system == "bonafide" and sampling is PAIRS

    with pytest.raises(UsageError, match=r"forged copy|left to train on"):
        next(iter(plan(corpus, sampling, keep=nothing).lane(0, None)))


def test_a_stage_hears_its_systems_alone(corpus):
    keep = Limited(Fold("all"), frozenset({SYSTEMS[0]})).heard
    batches = Batches(plan(corpus, PAIRS, keep=keep), range(1), {}, 0)
    assert {s for _ in range(5) for s in next(batches).systems} == {"bonafide", SYSTEMS[0]}


def test_folds_share_no_speaker_and_hear_nothing_they_are_judged_by():
    folds = crossed_folds([["x", "gone"], ["absent"], ["y"]], {"x", "y", "z"})
    assert [fold.systems for fold in folds] == [{"x"}, {"y"}]
    voices = [f"voice{i}" for i in range(40)]
    parts = [{v for v in voices if fold.unheard_speaker(v)} for fold in folds]
    assert parts[0] and parts[1] and parts[0].isdisjoint(parts[1])
    assert parts[0] | parts[1] == set(voices)
    for fold in folds:
        for system in ("bonafide", "x", "y"):
            assert not any(fold.heard(system, v) and fold.unheard(system, v) for v in voices)
    assert Fold("all").heard("x", "voice1")
    without = Fold("all", absent=frozenset("y"))
    for asked in (without.heard, without.system_heard, without.compared, without.present):
        assert asked("x", "voice1") and not asked("y", "voice1")
    with pytest.raises(UsageError, match="at least two entries"):
        crossed_folds([["x"], ["absent"]], {"x", "y"})


def test_hiding_covers_whole_bands_from_a_frequency_up():
    import numpy as np

    only_top = Hiding(top_probability=1, lowest_top_hz=3500, band_share=0, time_share=0)
    rng = np.random.default_rng(0)
    masks = np.stack([shown(only_top, HidingShape(32, 20, 7000.0), rng) for _ in range(50)])
    assert (masks.min(axis=2) == masks.max(axis=2)).all()
    bands = masks[:, :, 0]
    assert (np.diff(bands, axis=1) <= 0).all()
    assert (bands[:, :16] == 1).all() and (bands[:, -1] == 0).any()
    stripes = Hiding(top_probability=0, band_share=0.5, time_share=0.5)
    mask = np.stack([shown(stripes, HidingShape(32, 20, 7000.0), rng) for _ in range(50)])
    hidden_bands, hidden_frames = (mask.max(axis=2) == 0), (mask.max(axis=1) == 0)
    assert 0.1 < hidden_bands.mean() < 0.4 and hidden_bands.sum(axis=1).max() <= 17
    assert 0.1 < hidden_frames.mean() < 0.4
