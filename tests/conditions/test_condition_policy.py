"""Drawing conditions: by the seed alone, by weight, the same everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from forensics.conditions.draw import ConditionPolicy
from forensics.errors import UsageError
from forensics.media.audio import Waveform

REPO = Path(__file__).resolve().parents[2]
SEEDS = range(6000)


def policy(**changes) -> ConditionPolicy:
    given = {
        "probability": 0.6,
        "choose": [
            {"use": "noise", "weight": 1, "params": {"snr_db": [10, 20]}},
            {"use": "g711", "weight": 2},
            {"use": "gain", "weight": 5},
        ],
    }
    return ConditionPolicy.model_validate({**given, **changes})


@pytest.fixture
def wave(speech_like):
    return Waveform(speech_like(0.3), 16_000)


def test_default_draws_nothing(wave):
    after, applied = ConditionPolicy().apply(wave, 3)
    assert after is wave and applied == ()


def test_draws_follow_probability_and_weights():
    from scipy.stats import chisquare

    drawn = [policy().draw(seed) for seed in SEEDS]
    counts = [sum(d == (index,) for d in drawn) for index in range(3)]
    none = sum(d == () for d in drawn)
    assert none + sum(counts) == len(SEEDS)
    expected = len(SEEDS) * np.array([0.4, 0.6 * 1 / 8, 0.6 * 2 / 8, 0.6 * 5 / 8])
    assert chisquare([none, *counts], expected).pvalue > 1e-3


def test_stacks_are_equally_often_of_each_size_and_never_repeat():
    stacked = policy(probability=1, max_stack=3)
    drawn = [stacked.draw(seed) for seed in SEEDS]
    sizes = np.bincount([len(d) for d in drawn], minlength=4)
    assert sizes[0] == 0
    np.testing.assert_allclose(sizes[1:] / len(SEEDS), 1 / 3, atol=0.03)
    assert all(list(d) == sorted(set(d)) for d in drawn)  # in the order of the list
    # Two of three by weight without replacement: noise is in with 1/8 + 2/8*1/6 + 5/8*1/3.
    pairs = [d for d in drawn if len(d) == 2]
    share = sum(0 in d for d in pairs) / len(pairs)
    assert share == pytest.approx(1 / 8 + 2 / 8 / 6 + 5 / 8 / 3, abs=0.04)


def test_neither_draw_nor_drawn_values_depend_on_the_audio(wave):
    stacked = policy(probability=1, max_stack=3)
    other = Waveform(np.zeros(4000, np.float32), 16_000)
    seen = set()
    for seed in range(25):
        _, applied = stacked.apply(wave, seed)
        assert applied == stacked.apply(other, seed)[1]
        assert tuple(a["use"] for a in applied) == tuple(
            stacked.choose[index].use for index in stacked.draw(seed)
        )
        seen.add(json.dumps(applied))
    assert len(seen) > 20


@pytest.mark.parametrize("place", (0, 1))
def test_being_drawn_does_not_narrow_what_a_condition_draws(wave, place):
    choose = [{"use": "gain", "weight": 1}, {"use": "gain", "weight": 1}]
    rare = policy(probability=0.2, choose=choose)
    seeds = [seed for seed in SEEDS if rare.draw(seed) == (place,)][:400]
    levels = np.array([rare.apply(wave, seed)[1][0]["peak_dbfs"] for seed in seeds])
    counts, _ = np.histogram(levels, bins=5, range=(-25, 0))
    np.testing.assert_allclose(counts / len(seeds), 0.2, atol=0.07)


def test_neighbouring_seeds_are_independent():
    drawn = np.array([policy().draw(seed) != () for seed in SEEDS], float)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.05


def test_a_condition_draws_the_same_whatever_is_stacked_before_it(wave):
    """Adding a possible neighbour must not reshuffle what this one draws."""
    both = policy(probability=1, max_stack=3)
    seed = next(s for s in range(100) if both.draw(s) == (0, 2))
    _, (noise, gain) = both.apply(wave, seed)
    assert noise["use"] == "noise" and 10 <= noise["snr_db"] <= 20
    longer = Waveform(np.tile(wave.samples, 2), 16_000)  # noise consumes twice the numbers
    assert both.apply(longer, seed)[1][1] == gain


def test_same_in_another_process(wave):
    stacked = policy(max_stack=2)
    here = [stacked.apply(wave, seed)[1] for seed in range(20)]
    code = (
        "import json, sys, numpy as np;"
        "from forensics.conditions.draw import ConditionPolicy;"
        "from forensics.media.audio import Waveform;"
        "p = ConditionPolicy.model_validate_json(sys.argv[1]);"
        "w = Waveform(np.full(4800, 0.1, np.float32), 16000);"
        "print(json.dumps([p.apply(w, s)[1] for s in range(20)]))"
    )
    command = [sys.executable, "-c", code, stacked.model_dump_json()]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(here))


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"use": "nois"}, "did you mean noise"),
        ({"use": "noise", "params": {"snr": [1, 2]}}, "its parameters are: colours, snr_db"),
        ({"use": "noise", "params": {"snr_db": [20, 10]}}, "low <= high"),
        ({"use": "noise", "params": {"colours": ["green"]}}, "colours"),
        ({"use": "opus", "params": {"kbps": [1, 600]}}, "leaves"),
        ({"use": "rawboost", "params": {"algorithms": []}}, "algorithms"),
    ],
)
def test_wrong_names_and_parameters_are_usage_errors_at_load(choice, says):
    with pytest.raises(UsageError) as caught:
        ConditionPolicy.model_validate({"probability": 0.5, "choose": [choice]})
    assert says in str(caught.value)


def test_contradictions_are_refused():
    with pytest.raises(UsageError, match="none to choose from"):
        ConditionPolicy(probability=0.5)
    with pytest.raises(UsageError, match="max_stack is 4"):
        policy(max_stack=4)
    for wrong in ({"probability": 1.5}, {"max_stack": 0}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            policy(**wrong)
    for weight in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValidationError):
            policy(choose=[{"use": "noise", "weight": weight}])
    with pytest.raises(ValueError, match="negative"):
        policy().draw(-1)


def test_check_reports_what_the_listed_conditions_lack(monkeypatch):
    listed = policy(choose=[{"use": "noise"}, {"use": "amr"}])
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (missing,) = listed.check()
    assert missing.fix and "forensics[av]" in missing.fix


def test_policy_survives_json(wave):
    first = policy(max_stack=2)
    again = ConditionPolicy.model_validate_json(first.model_dump_json())
    assert [again.draw(s) for s in range(50)] == [first.draw(s) for s in range(50)]
    assert again.apply(wave, 2)[1] == first.apply(wave, 2)[1]
