"""From a score to a label: monotone, finite, and never without a calibration and thresholds."""

from __future__ import annotations

import math

import pytest
from helpers.tiny_detector import CALIBRATION, THRESHOLD
from hypothesis import given
from hypothesis import strategies as st

from forensics.verdict.decision import calibrated, decide, in_percent, p_manipulated

LLR = st.floats(allow_nan=False, allow_infinity=False)
ORDER = {"bonafide": 0, "uncertain": 1, "manipulated": 2}
cuts = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


def threshold(cut):
    return THRESHOLD.model_copy(update={"bonafide_below": cut[0], "manipulated_above": cut[1]})


@given(LLR)
def test_p_is_a_probability_and_the_logistic_of_the_llr(llr):
    p = p_manipulated(llr)
    assert 0 <= p <= 1
    if abs(llr) < 700:
        assert p == pytest.approx(1 / (1 + math.exp(llr)), rel=1e-9)


@given(LLR)
def test_p_is_even_around_no_evidence(llr):
    assert p_manipulated(llr) + p_manipulated(-llr) == pytest.approx(1.0)
    assert p_manipulated(0.0) == 0.5


@given(LLR, LLR, cuts)
def test_more_evidence_for_forgery_never_gives_a_milder_label(one, other, cut):
    low, high = sorted((one, other))
    forged = decide(low, threshold(cut))
    genuine = decide(high, threshold(cut))
    assert forged.p_manipulated >= genuine.p_manipulated
    assert ORDER[forged.label] >= ORDER[genuine.label]


@given(LLR, cuts)
def test_labels_follow_the_thresholds(llr, cut):
    decision = decide(llr, threshold(cut))
    above, below = decision.p_manipulated > cut[1], decision.p_manipulated < cut[0]
    expected = "manipulated" if above else "bonafide" if below else "uncertain"
    assert decision.label == expected
    assert (
        decision.reason
        == {
            "manipulated": "above_threshold",
            "bonafide": "below_threshold",
            "uncertain": "between_thresholds",
        }[expected]
    )


@given(LLR)
def test_without_calibration_or_threshold_nothing_is_certain(llr):
    uncalibrated = decide(None, THRESHOLD)
    assert (uncalibrated.label, uncalibrated.reason) == ("uncertain", "uncalibrated")
    assert uncalibrated.p_manipulated is None
    bare = decide(llr, None)
    assert (bare.label, bare.reason) == ("uncertain", "no_threshold")


def test_messages_name_the_error_rates_that_the_threshold_was_found_for():
    assert "5 % of real files" in decide(-9.0, THRESHOLD).message
    assert "10 % of forged files" in decide(9.0, THRESHOLD).message


@given(st.floats(-100, 100))
def test_calibration_is_affine_and_absent_there_is_no_llr(raw):
    assert calibrated(raw, CALIBRATION) == pytest.approx(2.0 * raw + 0.1)
    assert calibrated(raw, None) is None


def test_a_detector_that_may_not_vouch_never_says_bonafide():
    cut = THRESHOLD.model_copy(update={"bonafide_below": None})
    for llr in (30.0, 3.0, 0.0):
        decision = decide(llr, cut)
        assert (decision.label, decision.reason) == ("uncertain", "not_vouched")
    assert decide(-30.0, cut).label == "manipulated"


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "100 %"), (0.9951, "100 %"), (0.0625, "6.2 %"), (0.00734, "0.73 %"), (0.0, "0 %")],
)
def test_shares_are_said_with_two_digits(share, said):
    assert in_percent(share) == said
