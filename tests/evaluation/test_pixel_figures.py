"""Figures of heatmaps against masks, worked by hand and against slow references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.detectors.image.planes import Plane
from forensics.errors import UsageError
from forensics.evaluation.clips import Clip
from forensics.evaluation.images.figures import Draw, summary_of, table_of
from forensics.evaluation.images.pixels import (
    BINS,
    EDGES,
    SIZES,
    auc_of,
    counts_of,
    figures_of,
    packed,
    size_of,
    unpacked,
)
from forensics.evaluation.images.scoring import Judged
from forensics.evaluation.intervals import resampled_means


def counted(heatmap, mask):
    return counts_of(Plane.of(heatmap), mask)


def of(heatmap, mask):
    return figures_of(counted(np.array(heatmap, np.float32), np.array(mask, bool)))


def test_figures_worked_by_hand():
    """Six pixels, three manipulated. At 0.5: hits .9 and .5, one false alarm .6, one miss .1."""
    found = of([[0.9, 0.5, 0.1], [0.6, 0.3, 0.05]], [[1, 1, 1], [0, 0, 0]])
    assert found.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert found.iou == pytest.approx(2 / 4)
    assert found.area == pytest.approx(3 / 6)
    # .9 beats 3 authentic ones, .5 beats 2, .1 beats 1: 6 of 9 pairs.
    assert found.auc == pytest.approx(6 / 9)
    # Best at >= .1: 3 hits, 2 false alarms, no miss.
    assert found.f1_best == pytest.approx(2 * 3 / (2 * 3 + 2))


def test_ties_count_half_and_a_constant_map_is_chance():
    found = of([[0.7, 0.7, 0.7, 0.7]], [[1, 0, 0, 0]])
    assert found.auc == 0.5
    assert found.f1 == pytest.approx(2 / (2 + 3)) and found.iou == pytest.approx(1 / 4)
    assert of([[0.2, 0.2]], [[1, 0]]).f1 == 0 and of([[0.2, 0.2]], [[1, 0]]).area == 0


def test_a_half_is_predicted_and_just_below_is_not():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    assert of([[0.5]], [[1]]).area == 1
    assert of([[below]], [[1]]).area == 0


def test_perfect_and_inverted_maps():
    mask = np.zeros((8, 9), bool)
    mask[2:5, 3:7] = True
    best, worst = of(mask, mask), of(~mask, mask)
    assert (best.f1, best.f1_best, best.iou, best.auc) == (1, 1, 1, 1)
    assert (worst.f1, worst.iou, worst.auc) == (0, 0, 0)
    assert worst.f1_best == pytest.approx(2 * 12 / (12 + 72))  # everything is called manipulated


def test_pictures_without_manipulated_pixels_have_an_area_and_no_f1():
    found = figures_of(counted(np.array([[0.9, 0.1]], np.float32), None))
    assert found.area == 0.5
    assert all(np.isnan(getattr(found, name)) for name in ("f1", "f1_best", "iou", "auc"))
    everything = of([[0.9, 0.1]], [[1, 1]])
    assert np.isnan(everything.auc) and everything.f1 == pytest.approx(2 / 3)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_against_a_slow_reference(seed, height, width):
    rng = np.random.default_rng(seed)
    heatmap = EDGES[rng.integers(0, len(EDGES), (height, width))]  # binning then loses nothing
    mask = rng.random((height, width)) < 0.3
    mask[0, 0] = True
    found = of(heatmap, mask)
    positive, negative = heatmap[mask], heatmap[~mask]
    if len(negative):
        above = positive[:, None] > negative[None]
        same = positive[:, None] == negative[None]
        assert found.auc == pytest.approx((above + same / 2).mean())
    scores = []
    for threshold in np.unique(heatmap):
        hits, alarms = (positive >= threshold).sum(), (negative >= threshold).sum()
        scores.append(2 * hits / (hits + alarms + len(positive)))
    assert found.f1_best == pytest.approx(max(scores))
    assert found.f1_best >= found.f1 - 1e-12


def test_sigmoid_tails_keep_their_order():
    """Nearly all pixels of a localiser lie below 0.001; evenly spaced bins would tie them."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-9, 1, (200, 200))
    mask = np.zeros((200, 200), bool)
    mask[50:90, 60:120] = True
    logits[mask] += 1
    heatmap = (1 / (1 + np.exp(-logits))).astype(np.float32)
    order = np.argsort(np.argsort(heatmap.ravel()))
    ranks = order[mask.ravel()] + 1
    n, m = mask.sum(), (~mask).sum()
    exact = (ranks.sum() - n * (n + 1) / 2) / (n * m)
    assert counted(heatmap, mask).shape == (2, BINS)
    assert abs(of(heatmap, mask).auc - exact) < 0.003


def test_counting_in_strips_is_counting(monkeypatch):
    from forensics.evaluation.images import pixels

    rng = np.random.default_rng(1)
    heatmap, mask = rng.random((50, 30), np.float32), rng.random((50, 30)) < 0.2
    whole = counted(heatmap, mask)
    monkeypatch.setattr(pixels, "_ROWS", 100)
    assert np.array_equal(counted(heatmap, mask), whole)
    assert whole.sum() == 1500 and whole[1].sum() == mask.sum()


def test_maps_that_break_the_contract_are_refused():
    with pytest.raises(ValueError, match="for a mask of"):
        counted(np.zeros((2, 3), np.float32), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="not finite"):
        counted(np.array([[np.nan]], np.float32), None)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2**32))
def test_counts_survive_packing(seed, most):
    counts = np.random.default_rng(seed).integers(0, most, (2, BINS))
    assert np.array_equal(unpacked(packed(counts)), counts)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_what_is_not_packed_is_refused(text):
    with pytest.raises(ValueError):
        unpacked(text)


def test_a_bomb_is_not_unpacked():
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(bytes(50 << 20), 9)).decode()
    with pytest.raises(ValueError, match="no counts"):
        unpacked(bomb)


def test_sizes_are_shares_of_the_picture():
    found = [size_of(share) for share in (0.001, 0.00999, 0.01, 0.05, 0.1499, 0.15, 1.0)]
    assert found == [SIZES[n] for n in (0, 0, 1, 2, 2, 3, 3)]
    with pytest.raises(UsageError):
        size_of(0)


def judged_of(figures, clips):
    """(N, 5) figures and empty counts."""
    return Judged(np.zeros(len(clips)), np.array(figures, float), [None] * len(clips))


def clip(number, real=False, **more):
    kind = "bonafide" if real else "splice"
    return Clip(str(number), real, kind, kind, "", f"scene-{number % 4}", **more)


def test_means_over_pictures_and_over_sizes():
    """Nine small regions that are missed and one large one that is found."""
    clips = [clip(n, mode="composite" if n else "regenerated") for n in range(10)]
    clips += [clip(n, real=True) for n in range(10, 12)]
    counts = counted(np.array([[0.9, 0.1]], np.float32), np.array([[True, False]]))
    figures = [[0.9, 1.0, 0.8, 1.0, 0.3]] + 9 * [[0.0, 0.2, 0.0, 0.5, 0.0]]
    figures += [[np.nan] * 4 + [0.04], [np.nan] * 4 + [0.02]]
    judged = judged_of(figures, clips)
    judged.counts[:10] = [packed(counts)] * 10
    area = np.array([0.2] + 9 * [0.005] + [0.0, 0.0])
    found = summary_of(table_of(clips, judged, area, np.ones(12, bool)), Draw(200, 0))
    assert found is not None
    assert found.overall.f1.value == pytest.approx(0.09)
    assert found.size_invariant["f1"].value == pytest.approx((0.9 + 0.0) / 2)
    assert found.size_invariant["f1_best"].value == pytest.approx((1.0 + 0.2) / 2)
    assert [(row.name, row.pictures) for row in found.sizes] == [("< 1 %", 9), ("> 15 %", 1)]
    assert found.sizes[1].remark == "few: 1" and found.sizes[1].f1.low is None
    assert {row.name: row.f1.value for row in found.modes} == {
        "composite": 0.0,
        "regenerated": pytest.approx(0.9),
    }
    assert found.pristine == 2 and found.pristine_area.value == pytest.approx(0.03)
    assert found.auc_pooled.value == auc_of(counts) == 1.0
    assert found.overall.f1.low is not None and found.overall.f1.low <= 0.09


def test_pooling_punishes_maps_that_are_not_comparable():
    """Each map is perfect within itself; together the darker one's edit lies below the other's
    background: 3 of 4 pairs are in order."""
    clips = [clip(n) for n in range(2)]
    low = counted(np.array([[0.2, 0.1]], np.float32), np.array([[True, False]]))
    high = counted(np.array([[0.9, 0.8]], np.float32), np.array([[True, False]]))
    judged = judged_of([[0, 1, 0, 1, 0], [1, 1, 0.5, 1, 1]], clips)
    judged.counts[:] = [packed(low), packed(high)]
    found = summary_of(table_of(clips, judged, np.array([0.5, 0.5]), np.ones(2, bool)), Draw(50, 0))
    assert found is not None
    assert found.overall.auc.value == 1.0
    assert found.auc_pooled.value == pytest.approx(3 / 4)


def test_resampled_means_are_means_of_whole_groups():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(40, 2))
    values[5, 0] = np.nan
    groups = np.array([f"g{n % 7}" for n in range(40)])
    found = resampled_means(values, groups, replicates=30, seed=4)
    names, index = np.unique(groups, return_inverse=True)
    again = np.random.default_rng(4)
    for row in found:
        drawn = again.integers(len(names), size=len(names))
        rows = np.concatenate([values[index == group] for group in drawn])
        assert row == pytest.approx(np.nanmean(rows, axis=0))
    with pytest.raises(UsageError, match="two groups"):
        resampled_means(values, np.full(40, "one"))
