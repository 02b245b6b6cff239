from __future__ import annotations

import numpy as np
import pytest

from forensics.detectors.calibration import p_manipulated
from forensics.errors import UsageError
from forensics.evaluation.calibration import fit_affine, fit_threshold
from forensics.evaluation.intervals import clopper_pearson
from forensics.evaluation.metrics import cllr


def gaussian_llrs(rng, n_bonafide, n_spoof, mean=2.0):
    """LLRs of two normal classes are normal with variance twice their mean."""
    spread = np.sqrt(2 * mean)
    return rng.normal(mean, spread, n_bonafide), rng.normal(-mean, spread, n_spoof)


@pytest.mark.parametrize("sizes", [(20_000, 20_000), (4_000, 40_000)])
def test_recovers_the_scale_and_offset_whatever_the_class_balance(sizes):
    bonafide, spoof = gaussian_llrs(np.random.default_rng(0), *sizes)
    found = fit_affine((bonafide - 1.5) / 4, (spoof - 1.5) / 4, "synthetic")
    assert found.scale == pytest.approx(4, rel=0.05)
    assert found.offset == pytest.approx(1.5, abs=0.1)


def test_lowers_cllr_on_fresh_scores():
    rng = np.random.default_rng(1)
    bonafide, spoof = gaussian_llrs(rng, 500, 500)
    fitted = fit_affine(7 * bonafide + 3, 7 * spoof + 3, "synthetic")
    fresh_bonafide, fresh_spoof = gaussian_llrs(rng, 5000, 5000)
    before = cllr(7 * fresh_bonafide + 3, 7 * fresh_spoof + 3)
    after = cllr(fitted.llr(7 * fresh_bonafide + 3), fitted.llr(7 * fresh_spoof + 3))
    assert after < 0.7 * before
    assert after == pytest.approx(cllr(fresh_bonafide, fresh_spoof), abs=0.01)


def test_already_calibrated_scores_stay_as_they_are():
    bonafide, spoof = gaussian_llrs(np.random.default_rng(2), 20_000, 20_000)
    fitted = fit_affine(bonafide, spoof, "synthetic")
    after = cllr(fitted.llr(bonafide), fitted.llr(spoof))
    assert after <= cllr(bonafide, spoof) + 1e-5


def test_separable_classes_give_finite_llrs_that_few_scores_can_support():
    fitted = fit_affine(np.arange(10) + 5.0, -np.arange(10) - 5.0, "synthetic")
    llrs = fitted.llr(np.array([5.0, 9.0]))
    assert np.isfinite(llrs).all()
    assert 0.5 < llrs[0] < llrs[1] < 6


def test_raw_scores_far_from_zero_and_tiny_ones_are_fitted():
    bonafide, spoof = gaussian_llrs(np.random.default_rng(3), 5000, 5000)
    fitted = fit_affine(bonafide * 1e-6 + 1e3, spoof * 1e-6 + 1e3, "synthetic")
    assert fitted.scale == pytest.approx(1e6, rel=0.1)
    assert fitted.llr(np.array([1e3])) == pytest.approx(0, abs=0.2)


def test_reversed_and_constant_scores_are_refused():
    bonafide, spoof = gaussian_llrs(np.random.default_rng(4), 100, 100)
    with pytest.raises(UsageError, match="direction"):
        fit_affine(spoof, bonafide, "synthetic")
    with pytest.raises(UsageError, match="equal"):
        fit_affine(np.ones(3), np.ones(4), "synthetic")
    with pytest.raises(UsageError, match="no spoof"):
        fit_affine(bonafide, np.array([]), "synthetic")


def test_p_manipulated_is_one_for_spoofs_and_never_overflows():
    p = p_manipulated(np.array([-1e6, -2.0, 0.0, 2.0, 1e6]))
    assert p == pytest.approx([1, 0.8807971, 0.5, 0.1192029, 0])


@pytest.mark.parametrize("target", [0.01, 0.05, 0.2])
def test_fresh_error_rates_keep_their_targets_on_average(target):
    rng = np.random.default_rng(5)
    fresh_bonafide, fresh_spoof = gaussian_llrs(rng, 20_000, 20_000)
    p_bonafide, p_spoof = p_manipulated(fresh_bonafide), p_manipulated(fresh_spoof)
    fpr, fnr = [], []
    for _ in range(300):
        cut = fit_threshold(*gaussian_llrs(rng, 150, 120), target, target, "synthetic")
        fpr.append((p_bonafide > cut.manipulated_above).mean())
        fnr.append((p_spoof < cut.bonafide_below).mean())
    # standard error of the mean rate: about sqrt(target / 150 / 300)
    for rates in (fpr, fnr):
        assert 0.5 * target < np.mean(rates) < target + 3 * np.sqrt(target / 120 / 300)


def test_the_interval_covers_the_fresh_error_rate():
    rng = np.random.default_rng(6)
    fresh = p_manipulated(gaussian_llrs(rng, 50_000, 1)[0])
    inside = 0
    for _ in range(200):
        cut = fit_threshold(*gaussian_llrs(rng, 100, 100), 0.05, 0.05, "synthetic")
        low, high = cut.measured_fpr_interval
        inside += low <= (fresh > cut.manipulated_above).mean() <= high
    assert inside >= 184


def test_what_the_threshold_says_of_itself():
    bonafide = np.arange(100.0)
    spoof = np.arange(100.0) - 50
    cut = fit_threshold(bonafide, spoof, 0.05, 0.1, "a test")
    # 5th least bona fide and 10th highest spoof: 4 beyond the one, 9 beyond the other
    assert cut.manipulated_above == p_manipulated(np.array(4.0))
    assert cut.bonafide_below == p_manipulated(np.array(40.0))
    assert cut.measured_fpr == 0.04
    assert cut.measured_fpr_interval == clopper_pearson(4, 100)
    assert (cut.n_bonafide, cut.n_spoof, cut.origin) == (100, 100, "a test")


def test_classes_far_apart_leave_nothing_uncertain():
    cut = fit_threshold(np.arange(50.0) + 5, -np.arange(50.0) - 3, 0.05, 0.05, "a test")
    assert cut.bonafide_below == cut.manipulated_above == pytest.approx(0.26894, abs=1e-4)
    assert cut.measured_fpr == 0


def test_too_few_scores_for_a_target_are_refused():
    bonafide, spoof = np.arange(50.0), -np.arange(50.0)
    with pytest.raises(UsageError, match="at least 99 bona fide"):
        fit_threshold(bonafide, spoof, 0.01, 0.05, "a test")
    with pytest.raises(UsageError, match="between 0 and 1"):
        fit_threshold(bonafide, spoof, 0.05, 1.0, "a test")
