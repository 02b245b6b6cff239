from __future__ import annotations

import time

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.evaluation.intervals import (
    bootstrap,
    clopper_pearson,
    clustered_share,
    resampled,
)
from forensics.evaluation.metrics import eer


def eer_value(bonafide, spoof):
    return eer(bonafide, spoof).value


def test_clopper_pearson_known_values():
    # R: binom.test(2, 20)$conf.int and binom.test(0, 20)$conf.int
    assert clopper_pearson(2, 20) == pytest.approx((0.0123485, 0.3169827), abs=1e-6)
    assert clopper_pearson(0, 20) == pytest.approx((0.0, 0.1684335), abs=1e-6)
    assert clopper_pearson(20, 20) == pytest.approx((0.8315665, 1.0), abs=1e-6)
    with pytest.raises(UsageError):
        clopper_pearson(3, 2)


def clustered(rng, groups, size):
    """Scores whose group shifts all of its items alike."""
    names = np.repeat(np.arange(groups), size)
    is_bonafide = np.tile(np.arange(size) % 2 == 0, groups)
    shift = rng.normal(0, 1.5, groups)[names]
    return (
        shift + rng.normal(0, 0.3, len(names)) + np.where(is_bonafide, 0.7, -0.7),
        is_bonafide,
        names,
    )


def test_resampling_groups_is_wider_than_resampling_items():
    values, is_bonafide, names = clustered(np.random.default_rng(0), groups=15, size=20)
    by_group = bootstrap(eer_value, values, is_bonafide, names, replicates=300)
    by_item = bootstrap(eer_value, values, is_bonafide, np.arange(len(values)), replicates=300)
    assert by_group.low <= by_group.value <= by_group.high
    assert by_group.high - by_group.low > 1.5 * (by_item.high - by_item.low)
    assert by_group.groups == 15 and by_group.replicates == 300


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth = eer_value(rng.normal(1, 1, 200_000), rng.normal(-1, 1, 200_000))
    hits = 0
    for seed in range(40):
        is_bonafide = np.arange(120) % 2 == 0
        values = rng.normal(0, 1, 120) + np.where(is_bonafide, 1, -1)
        found = bootstrap(eer_value, values, is_bonafide, np.arange(120), replicates=200, seed=seed)
        hits += found.low <= truth <= found.high
    assert hits >= 33


def test_the_seed_decides():
    values, is_bonafide, names = clustered(np.random.default_rng(2), groups=8, size=6)
    first, again = (bootstrap(eer_value, values, is_bonafide, names, 50, seed=4) for _ in range(2))
    assert first == again


def test_too_few_groups_are_refused():
    values, labels = np.array([1.0, -1.0, 2.0]), np.array([True, False, True])
    with pytest.raises(UsageError, match="two groups"):
        bootstrap(eer_value, values, labels, np.array(["a", "a", "a"]))
    with pytest.raises(UsageError, match="lack a class"):
        bootstrap(eer_value, values, labels, np.array(["a", "b", "a"]))


def test_a_thousand_resamples_of_twenty_thousand_scores_take_seconds():
    rng = np.random.default_rng(0)
    is_bonafide = rng.random(20_000) < 0.5
    values = rng.normal(0, 1, 20_000) + is_bonafide
    start = time.process_time()
    bootstrap(eer_value, values, is_bonafide, rng.integers(0, 300, 20_000), replicates=1000)
    assert time.process_time() - start < 15


def test_a_share_of_clustered_trials_counts_clusters_not_trials():
    # 10 speakers with 10 clips each, all alike within a speaker: 10 speakers' worth of evidence
    hits = np.repeat([True] * 3 + [False] * 7, 10)
    speakers = np.repeat(np.arange(10), 10)
    assert clustered_share(hits, speakers) == pytest.approx(clopper_pearson(2.7, 9))
    # the variance between single clips is p (1 - p) / (n - 1): 99 trials' worth
    assert clustered_share(hits, np.arange(100)) == pytest.approx(clopper_pearson(29.7, 99))
    assert clustered_share(np.zeros(100, bool), speakers) == clopper_pearson(0, 10)
    assert clustered_share(np.zeros(5, bool), np.zeros(5)) == clopper_pearson(0, 5)
    # groups that agree more than chance would have it are not worth more than their trials
    even = np.tile([True, False], 10)
    assert clustered_share(even, np.repeat(np.arange(10), 2)) == clopper_pearson(10, 20)
    with pytest.raises(UsageError, match="no trials"):
        clustered_share(np.array([], bool), np.array([]))


def test_the_clustered_interval_covers_the_truth_where_the_plain_one_does_not():
    rng = np.random.default_rng(7)
    plain = clustered = 0
    for _ in range(200):
        rates = rng.beta(1, 4, 30)  # mean 0.2; every speaker has an error rate of its own
        hits = rng.random((30, 20)) < rates[:, None]
        low, high = clustered_share(hits.ravel(), np.repeat(np.arange(30), 20))
        clustered += low <= 0.2 <= high
        low, high = clopper_pearson(int(hits.sum()), hits.size)
        plain += low <= 0.2 <= high
    assert plain < 160 and clustered >= 184


def test_resamples_of_two_detectors_are_paired():
    values, is_bonafide, names = clustered(np.random.default_rng(3), groups=12, size=8)

    def mean_gap(bonafide, spoof):
        return (bonafide.mean() - spoof.mean(), 1.0)

    one = resampled(mean_gap, values, is_bonafide, names, 40)
    other = resampled(mean_gap, 3 * values, is_bonafide, names, 40)
    assert one.shape == (40, 2) and one[:, 0].std() > 0.01
    assert other[:, 0] == pytest.approx(3 * one[:, 0])
