"""Golden values were computed with the ASVspoof 5 evaluation package."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import UsageError
from forensics.evaluation import metrics, tandem
from forensics.evaluation.grouped import grouped_eer

BONAFIDE = np.array([2, 1.5, 0.3, -0.2, 3.1, 0.9, -1, 2.2])
SPOOF = np.array([-2, -1.1, 0.4, -0.7, -3, 1, -0.1, -1.6, -2.5, 0])
NONTARGET = np.array([-0.9, -2.1, 0.1, -1.4, 0.8])

scores = st.lists(st.integers(-20, 20).map(lambda n: n / 4), min_size=1, max_size=30).map(np.array)


def test_golden_values():
    assert metrics.eer(BONAFIDE, SPOOF) == pytest.approx((0.275, -0.1))
    assert metrics.min_dcf(BONAFIDE, SPOOF) == pytest.approx((0.5, -1.1))
    assert metrics.act_dcf(BONAFIDE, SPOOF) == pytest.approx(0.6375)
    assert metrics.cllr(BONAFIDE, SPOOF) == pytest.approx(0.652686, abs=1e-6)
    assert tandem.min_tdcf(BONAFIDE, SPOOF).value == pytest.approx(0.538967, abs=1e-6)
    joint = tandem.a_dcf(BONAFIDE, NONTARGET, SPOOF)
    assert joint == pytest.approx((0.515966, -1.1), abs=1e-6)


def test_t_eer_agrees_with_an_exhaustive_search():
    rng = np.random.default_rng(3)
    for _ in range(20):
        sizes = rng.integers(5, 60, 3)
        cm = tuple(rng.normal(m, 1, n) for m, n in zip((1.5, 1.5, -1), sizes, strict=True))
        asv = tuple(rng.normal(m, 1, n) for m, n in zip((2, -2, 0.5), sizes, strict=True))
        assert tandem.t_eer(cm, asv) == pytest.approx(_exhaustive_t_eer(cm, asv), abs=1e-12)


def _exhaustive_t_eer(cm, asv):
    """Every pair of thresholds, rates counted anew for each."""
    bonafide = np.concatenate(cm[:2])
    cm_cuts = [-np.inf, *sorted(np.concatenate([bonafide, cm[2]]))]
    asv_cuts = [-np.inf, *sorted(np.concatenate(asv))]
    cm_miss = np.array([(bonafide <= cut).mean() for cut in cm_cuts])
    cm_fa = np.array([(cm[2] > cut).mean() for cut in cm_cuts])
    best = (np.inf, np.nan)
    for cut in asv_cuts:
        miss, fa_non, fa_spoof = ((asv[0] <= cut).mean(), *((s > cut).mean() for s in asv[1:]))
        if miss < 0.5 * fa_non + 0.5 * fa_spoof:
            total_miss = cm_miss + (1 - cm_miss) * miss
            total_fa = 0.5 * (1 - cm_miss) * fa_non + 0.5 * cm_fa * fa_spoof
            at = np.argmin(np.abs(total_miss - total_fa))
            with np.errstate(divide="ignore"):
                gap = abs(fa_non / fa_spoof - cm_fa[at] / (1 - cm_miss[at]))
            best = min(best, (gap, fa_spoof * cm_fa[at]), key=lambda pair: pair[0])
    return best[1]


def test_a_perfect_detector():
    assert metrics.eer(BONAFIDE + 10, SPOOF).value == 0
    assert metrics.min_dcf(BONAFIDE + 10, SPOOF).value == 0
    assert metrics.auc(BONAFIDE + 10, SPOOF) == 1
    # the verifier's own errors remain
    assert tandem.min_tdcf(BONAFIDE + 10, SPOOF).value == pytest.approx(0.0779, abs=1e-4)


def test_a_reversed_detector_is_worse_than_chance():
    assert metrics.eer(SPOOF, BONAFIDE).value > 0.5
    assert metrics.auc(SPOOF, BONAFIDE) < 0.5
    assert metrics.cllr(SPOOF, BONAFIDE) > 1


def test_uninformative_llrs_cost_one_bit_and_huge_ones_do_not_overflow():
    assert metrics.cllr(np.zeros(3), np.zeros(4)) == pytest.approx(1)
    assert metrics.cllr(np.array([-1e4]), np.array([-1e4])) == pytest.approx(5e3 / math.log(2))


@given(scores, scores)
def test_bounds_and_invariance_to_a_rising_map(bonafide, spoof):
    rate = metrics.eer(bonafide, spoof).value
    assert 0 <= rate <= 1
    assert metrics.eer(np.exp(bonafide), np.exp(spoof)).value == rate
    assert metrics.min_dcf(bonafide, spoof).value <= 1 + 1e-12
    pairs = np.sign(bonafide[:, None] - spoof[None, :])
    assert metrics.auc(bonafide, spoof) == pytest.approx((pairs.mean() + 1) / 2)


@given(scores, scores)
def test_min_dcf_never_exceeds_act_dcf(bonafide, spoof):
    # distinct scores: among ties the curve holds only the order that counts against the detector
    bonafide = bonafide + np.arange(len(bonafide)) * 1e-6
    spoof = spoof + np.arange(len(spoof)) * 1e-6 + 5e-7
    least = metrics.min_dcf(bonafide, spoof).value
    assert least <= metrics.act_dcf(bonafide, spoof) + 1e-12


@pytest.mark.parametrize("metric", [metrics.eer, metrics.min_dcf, metrics.cllr, metrics.auc])
@pytest.mark.parametrize(
    ("bonafide", "spoof"), [([], [1.0]), ([1.0], []), ([np.nan], [0.0]), ([1.0], [[0.0]])]
)
def test_no_number_without_both_classes(metric, bonafide, spoof):
    with pytest.raises(UsageError):
        metric(np.array(bonafide), np.array(spoof))


def test_a_verifier_worse_than_nothing_is_refused():
    with pytest.raises(UsageError, match="rejecting everybody"):
        tandem.min_tdcf(BONAFIDE, SPOOF, asv=tandem.AsvRates(miss=1, fa_nontarget=0.5))


def test_joint_metrics_need_all_three_classes():
    with pytest.raises(UsageError, match="no nontarget"):
        tandem.a_dcf(BONAFIDE, np.array([]), SPOOF)
    with pytest.raises(UsageError, match="no target"):
        tandem.t_eer((np.array([]), NONTARGET, SPOOF), (BONAFIDE, NONTARGET, SPOOF))


def test_pooled_and_within_group_eer_differ_when_the_group_gives_the_label_away():
    # in either group the classes cannot be told apart, but one is mostly real and scores higher
    rng = np.random.default_rng(0)
    groups = np.repeat(["studio", "street"], 200)
    is_bonafide = np.concatenate([rng.random(200) < 0.9, rng.random(200) < 0.1])
    values = rng.normal(0, 1, 400) + np.repeat([4.0, -4.0], 200)
    result = grouped_eer(values, is_bonafide, groups)
    assert result.pooled < 0.2
    assert result.within > 0.35
    assert set(result.by_group) == {"studio", "street"}
    assert result.within == pytest.approx(np.mean(list(result.by_group.values())))


def test_groups_of_one_class_are_named_and_left_out():
    values = np.array([1.0, -1.0, 2.0])
    result = grouped_eer(values, np.array([True, False, True]), np.array(["a", "a", "b"]))
    assert result.by_group == {"a": 0.0} and result.one_class == ("b",)
    with pytest.raises(UsageError, match="no group"):
        grouped_eer(values, np.array([True, False, True]), np.array(["a", "b", "c"]))
