from __future__ import annotations

import numpy as np
import pytest
from helpers.loudness_detector import CALIBRATION, THRESHOLD

from forensics.errors import UsageError
from forensics.evaluation import figures
from forensics.evaluation.clips import Clip
from forensics.evaluation.grouped import grouped_eer, resampled_within
from forensics.evaluation.scored import ScoredSet

# Golden values of the ASVspoof 5 evaluation package for these scores.
BONAFIDE = [2, 1.5, 0.3, -0.2, 3.1, 0.9, -1, 2.2]
SPOOF = [-2, -1.1, 0.4, -0.7, -3, 1, -0.1, -1.6, -2.5, 0]


def scored(scores, real, system=None, source=None, group=None, kind=None) -> ScoredSet:
    count = len(scores)
    clips = [
        Clip(
            key=f"clip-{n}",
            is_bonafide=bool(real[n]),
            system="bonafide" if real[n] else (system[n] if system else "hifigan"),
            kind="bonafide" if real[n] else (kind[n] if kind else "vocoder"),
            source=source[n] if source else "",
            group=group[n] if group else f"group-{n}",
        )
        for n in range(count)
    ]
    return ScoredSet.of(clips, np.array(scores, float))


def golden() -> ScoredSet:
    return scored(BONAFIDE + SPOOF, [True] * 8 + [False] * 10)


def test_golden_values_in_one_pass():
    draws = figures.draw(golden(), True, 50, 0)
    assert draws.values["eer"] == pytest.approx(0.275)
    assert draws.values["min_dcf"] == pytest.approx(0.5)
    assert draws.values["act_dcf"] == pytest.approx(0.6375)
    assert draws.values["cllr"] == pytest.approx(0.652686, abs=1e-6)
    assert draws.values["auc"] == pytest.approx((10 + 10 + 8 + 6 + 10 + 9 + 5 + 10) / 80)
    for figure in figures.METRICS:
        found = draws.estimate(figure)
        assert found.low < found.value < found.high, figure
    assert draws.estimate("eer_within_source").note == "no sources are stated"


def test_costs_of_llrs_are_withheld_from_scores_that_are_none():
    draws = figures.draw(golden(), False, 20, 0)
    for figure in ("act_dcf", "cllr"):
        found = draws.estimate(figure)
        assert found.value is None and "uncalibrated" in found.note
    assert draws.estimate("eer").value == pytest.approx(0.275)


def test_one_label_alone_gives_a_reason_and_no_number():
    draws = figures.draw(scored(BONAFIDE, [True] * 8), True, 20, 0)
    for figure in (*figures.METRICS, "eer_within_source"):
        assert draws.estimate(figure).value is None
        assert draws.estimate(figure).note == "no spoof clips"


def test_one_group_gives_a_value_without_an_interval():
    one = scored(BONAFIDE + SPOOF, [True] * 8 + [False] * 10, group=["a"] * 18)
    found = figures.draw(one, True, 20, 0).estimate("eer")
    assert found.value == pytest.approx(0.275) and found.low is None
    assert "two groups" in found.note


def many(seed: int, shift: float = 1.0, clips: int = 400):
    rng = np.random.default_rng(seed)
    real = np.arange(clips) % 2 == 0
    groups = [f"speaker-{n % 40}" for n in range(clips)]
    return rng.normal(np.where(real, shift, -shift), 1.0), real.tolist(), groups


def test_a_paired_difference_is_sharper_than_two_intervals():
    values, real, groups = many(0)
    worse = values + np.random.default_rng(1).normal(0, 0.3, len(values))
    one = figures.draw(scored(values, real, group=groups), True, 200, 0)
    other = figures.draw(scored(worse, real, group=groups), True, 200, 0)
    difference = one.minus(other)["auc"]
    assert difference.value == pytest.approx(one.values["auc"] - other.values["auc"])
    alone = one.estimate("auc")
    assert difference.high - difference.low < 0.6 * (alone.high - alone.low)
    assert one.minus(one)["eer"].low == one.minus(one)["eer"].high == 0


def test_a_difference_leaves_out_what_one_of_them_lacks():
    values, real, groups = many(2)
    llr = figures.draw(scored(values, real, group=groups), True, 20, 0)
    raw = figures.draw(scored(values, real, group=groups), False, 20, 0)
    assert set(llr.minus(raw)) == {"eer", "min_dcf", "auc"}


def test_the_ratio_to_clean_is_paired_too():
    values, real, groups = many(3)
    clean = figures.draw(scored(values, real, group=groups), True, 100, 0)
    ratio = clean.ratio(clean)
    assert (ratio.value, ratio.low, ratio.high) == (1, 1, 1)
    perfect = figures.draw(scored(100 * (2.0 * np.array(real) - 1), real), True, 20, 0)
    assert clean.ratio(perfect).note == "the clean EER is 0"


def test_answers_are_those_that_verdicts_have():
    # llr = ln((1 - p) / p): p above 0.7 is an alarm, below 0.3 is bona fide
    llr = np.array([-2.0, 0.0, 2.0, -2.0, -0.5, 2.0, 2.0, 2.0])
    one = scored(llr, [True] * 3 + [False] * 5)
    labels = figures.labels_of(one.score, CALIBRATION, THRESHOLD)
    real, forged = figures.answers_by_label(one, labels)
    assert (real.manipulated, real.uncertain, real.bonafide) == pytest.approx((1 / 3,) * 3)
    assert real.error == real.manipulated and forged.error == forged.bonafide
    assert (forged.manipulated, forged.uncertain, forged.bonafide) == (0.2, 0.2, 0.6)
    assert forged.low < 0.6 < forged.high
    assert figures.labels_of(llr, CALIBRATION, None) is None
    assert figures.labels_of(llr, None, THRESHOLD) is None
    assert figures.answers_by_label(one, None) == (None, None)


def test_no_part_is_dropped_and_small_ones_say_so():
    rng = np.random.default_rng(5)
    real = [True] * 60 + [False] * 63
    system = ["bonafide"] * 60 + ["vits"] * 60 + ["tiny"] * 3
    source = ["studio"] * 40 + ["street"] * 20 + ["studio"] * 60 + ["forged-only"] * 3
    one = scored(rng.normal(np.where(real, 1, -1), 1), real, system=system, source=source)
    labels = figures.labels_of(one.score, CALIBRATION, THRESHOLD)
    by_system = {part.name: part for part in figures.parts(one, "system", labels, 50, 0)}
    assert set(by_system) == {"vits", "tiny"}
    assert by_system["tiny"].remark == "few: 3 spoof" and by_system["tiny"].eer.low is None
    assert by_system["tiny"].eer.value is not None and by_system["tiny"].eer_within is None
    vits = by_system["vits"]
    assert (vits.bonafide, vits.spoof, vits.remark) == (60, 60, None)
    assert vits.eer.low < vits.eer.value < vits.eer.high
    inside = one.where((one.source == "studio") & (one.system != "tiny"))
    expected = grouped_eer(inside.score, inside.is_bonafide, inside.source).within
    assert vits.eer_within == pytest.approx(expected)
    by_source = {part.name: part for part in figures.parts(one, "source", labels, 50, 0)}
    assert by_source["street"].remark == "no spoof clips"
    assert by_source["street"].real_answers.clips == 20
    assert by_source["forged-only"].remark == "no bona fide clips"
    assert by_source["forged-only"].forged_answers.clips == 3
    assert by_source["studio"].remark is None


def test_systems_that_nobody_names_are_no_part():
    one = scored([1.0, -1.0, -2.0], [True, False, False], system=["", "", ""])
    assert figures.parts(one, "system", None, 20, 0) == ()
    mixed = scored([1.0, -1.0, -2.0], [True, False, False], system=["", "", "vits"])
    names = [part.name for part in figures.parts(mixed, "system", None, 20, 0)]
    assert names == ["(not stated)", "vits"]


def test_the_mean_within_sources_is_beside_the_pooled_one():
    # either page alone cannot be told apart, but one is mostly real and scores higher
    rng = np.random.default_rng(0)
    page = ["studio"] * 200 + ["street"] * 200
    real = [*(rng.random(200) < 0.9), *(rng.random(200) < 0.1)]
    values = rng.normal(0, 1, 400) + np.repeat([4.0, -4.0], 200)
    groups = [f"{name}-{n % 20}" for n, name in enumerate(page)]
    draws = figures.draw(scored(values, real, source=page, group=groups), True, 200, 0)
    assert draws.values["eer"] < 0.2
    within = draws.estimate("eer_within_source")
    assert within.value > 0.35 and within.low < within.value < within.high


def test_resampling_within_sources_of_one_group_each_resamples_the_sources():
    # two pages, EER 0 and 1: means of two draws are 0, 0.5 or 1
    values = np.array([1.0, -1.0, -1.0, 1.0])
    real = np.array([True, False, True, False])
    pages = np.array(["a", "a", "b", "b"])
    means = resampled_within(values, real, pages, pages, 400)
    assert sorted(set(means.tolist())) == [0.0, 0.5, 1.0]
    assert means.mean() == pytest.approx(0.5, abs=0.06)
    with pytest.raises(UsageError, match="two sources"):
        resampled_within(values[:2], real[:2], pages[:2], pages[:2])
    with pytest.raises(UsageError, match="no source"):
        resampled_within(values, real, np.array(["a", "b", "c", "d"]), pages)
