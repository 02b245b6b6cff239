"""ZERO: as a slow reference says, finds grids that do not belong, is quiet without."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from forensics.detectors.image.classical.common import luma
from forensics.detectors.image.classical.zero import (
    Zero,
    foreign_regions,
    grid_votes,
    log10_tail,
    main_grid,
)
from forensics.detectors.image.planes import Plane
from forensics.media.image import Picture

ZERO = Zero()


# The reference: plain Python loops, written from the paper, nothing shared with the detector.


def slow_votes(grey: list[list[int]]) -> list[list[int]]:
    height, width = len(grey), len(grey[0])
    cosines = [
        [
            math.cos((2 * x + 1) * u * math.pi / 16) / 2 / (math.sqrt(2) if u == 0 else 1)
            for x in range(8)
        ]
        for u in range(8)
    ]
    zeros: dict[tuple[int, int], tuple[int, bool]] = {}
    for y in range(height - 7):
        for x in range(width - 7):
            block = [grey[y + i][x : x + 8] for i in range(8)]
            along = [
                [sum(row[k] * cosines[v][k] for k in range(8)) for v in range(8)] for row in block
            ]
            count = 0
            for u in range(8):
                for v in range(8):
                    value = sum(along[k][v] * cosines[u][k] for k in range(8))
                    count += (u, v) != (0, 0) and abs(value) < 0.5 - 1e-9
            constant = all(len(set(row)) == 1 for row in block)
            constant |= all(row == block[0] for row in block)
            zeros[y, x] = (count, constant)
    votes = [[-1] * width for _ in range(height)]
    for y in range(7, height - 7):
        for x in range(7, width - 7):
            over = [(zeros[y - i, x - k], y - i, x - k) for i in range(8) for k in range(8)]
            most = max(block[0][0] for block in over)
            best = [block for block in over if block[0][0] == most]
            if len(best) == 1 and not best[0][0][1]:
                votes[y][x] = best[0][1] % 8 * 8 + best[0][2] % 8
    return votes


def slow_tail(n: int, k: int) -> float:
    p = Fraction(1, 64)
    total = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    return math.log10(total.numerator) - math.log10(total.denominator)


def slow_regions(votes: list[list[int]], grid: int) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Votes and box (x, y, width, height) of each group linked by steps of at most 13 pixels."""
    left = {(y, x) for y, row in enumerate(votes) for x, vote in enumerate(row) if vote == grid}
    groups = []
    while left:
        waiting, group = [left.pop()], []
        while waiting:
            y, x = waiting.pop()
            group.append((y, x))
            near = {q for q in left if abs(q[0] - y) <= 13 and abs(q[1] - x) <= 13}
            left -= near
            waiting += near
        top, bottom = min(y for y, _ in group), max(y for y, _ in group)
        first, last = min(x for _, x in group), max(x for _, x in group)
        groups.append((len(group), (first, top, last - first + 1, bottom - top + 1)))
    return groups


@pytest.mark.parametrize("quality", [None, 50, 85])
def test_votes_are_those_of_a_slow_reference(scene, saved, quality):
    pixels = scene(3, 46, 61)
    pixels[20:40, 5:30] = 90  # constant: no vote
    pixels[5:15, 40:60] = np.arange(20, dtype=np.uint8)[None, :, None] * 5  # constant columns
    grey = luma(saved(pixels, quality).pixels if quality else pixels)
    votes = grid_votes(Plane.of(grey))
    assert votes.tolist() == slow_votes(grey.tolist())
    assert len(np.unique(votes)) > (2 if quality == 50 else 20)  # not a trivial picture


def test_the_tail_is_that_of_the_binomial_law():
    for n, k in [(64, 2), (64, 10), (64, 64), (900, 30), (1, 1)]:
        assert log10_tail(n, k) == pytest.approx(slow_tail(n, k), abs=1e-9)
    assert log10_tail(64, 1) == 0.0  # no more than chance: no evidence at all


def test_regions_and_their_false_alarms_are_those_of_a_slow_reference(scene, saved):
    base = saved(scene(1, 128, 136), 60).pixels.copy()
    donor = saved(scene(2, 128, 136), 60).pixels
    base[35:99, 43:107] = donor[32:96, 40:104]
    votes = grid_votes(Plane.of(luma(base)))
    main, main_nfa = main_grid(votes)
    counts = [sum(row.count(grid) for row in votes.tolist()) for grid in range(64)]
    assert main == int(np.argmax(counts)) == 0
    tests = math.log10(64) + 1.5 * math.log10(votes.size)
    expected = tests + slow_tail(votes.size // 64, counts[0] // 64)
    assert main_nfa == pytest.approx(expected, abs=1e-6)
    found, lowest = foreign_regions(votes, main)
    reference = {}
    for grid in range(1, 64):
        for number, (x, y, width, height) in slow_regions(votes.tolist(), grid):
            blocks = max(width, height) ** 2 // 64
            nfa = tests + (slow_tail(blocks, number // 64) if number // 64 > blocks / 64 else 0)
            if nfa < 0:
                reference[grid, (x, y, width, height)] = nfa
    assert {(r.grid, r.box) for r in found} == set(reference)
    assert reference and lowest == pytest.approx(min(reference.values()), abs=1e-6)
    for region in found:
        assert region.log10_nfa == pytest.approx(reference[region.grid, region.box], abs=1e-6)


@pytest.mark.parametrize(("quality", "shift"), [(55, (3, 5)), (75, (0, 4)), (90, (7, 1))])
def test_a_pasted_grid_is_found_in_a_png_and_the_pristine_one_is_quiet(
    scene, saved, box, overlap, pixel_auc, quality, shift
):
    base, donor = (saved(scene(seed), quality).pixels for seed in (10, 11))
    mask = box(base.shape, 80, 96, 88, 104)
    moved = np.roll(donor, shift, axis=(0, 1))
    forged = np.where(mask[..., None], moved, base)
    found, quiet = ZERO.examine(Picture(forged)), ZERO.examine(Picture(base))
    assert quiet.score is not None and quiet.score > 0
    assert quiet.mask is not None and not quiet.mask.share()
    assert found.score is not None and found.score < -3
    assert found.mask is not None and overlap(np.asarray(found.mask), mask) > 0.6
    assert found.heatmap is not None and pixel_auc(np.asarray(found.heatmap), mask) > 0.95
    assert [shift[1] % 8, shift[0] % 8] in [r["grid"] for r in found.details["foreign"]]


def test_a_region_that_lost_its_grid_is_hotter_than_the_rest(scene, saved, box, pixel_auc):
    base = saved(scene(12), 70).pixels
    mask = box(base.shape, 80, 96, 88, 104)
    forged = np.where(mask[..., None], scene(13), base)
    found = ZERO.examine(Picture(forged))
    assert found.heatmap is not None and pixel_auc(np.asarray(found.heatmap), mask) > 0.9


def test_a_crop_shows_in_the_main_grid_and_is_no_forgery(scene, saved):
    whole = saved(scene(20), 80).pixels
    found = ZERO.examine(Picture(whole[3:, 6:]))
    assert found.details["main_grid"] == [2, 5]
    assert found.details["cropped_after_jpeg"]
    assert found.mask is not None and not found.mask.share()


def test_without_any_grid_it_does_not_judge(scene):
    found = ZERO.examine(Picture(scene(30)))
    assert found.score is None and found.heatmap is None
    assert found.not_applicable and "no JPEG grid" in found.not_applicable


def test_the_file_it_came_from_makes_no_difference(scene, saved):
    picture = saved(scene(31, 128, 128), 80)
    as_png = replace(picture, format="png", quantisation=(), subsampling=None)
    assert ZERO.examine(picture).score == ZERO.examine(as_png).score
