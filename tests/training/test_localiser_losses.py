"""The localiser's losses, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from forensics.training.localiser.losses import (
    LocaliserLoss,
    LocaliserLossConfig,
    balanced_cross_entropy,
    image_cross_entropy,
    region_weights,
    tversky,
)


def maps(*rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows).unsqueeze(1)


def test_each_region_weighs_the_same():
    share = np.zeros((6, 8), np.float32)
    share[0:2, 0:4] = 1  # eight places
    share[4, 6] = 0.6  # one place, more than half forged
    share[4, 2] = 0.4  # counts as pristine
    weights = region_weights(share)
    assert weights.sum() == pytest.approx(1)
    assert weights[0:2, 0:4] == pytest.approx(np.full((2, 4), 0.5 / 8))
    assert weights[4, 6] == pytest.approx(0.5)
    assert weights[4, 2] == 0
    assert region_weights(np.zeros((3, 3), np.float32)).sum() == 0


def test_cross_entropy_does_not_favour_large_regions():
    share = maps([[1.0, 0, 0, 0]])
    weights = maps([[1.0, 0, 0, 0]])
    logits = maps([[0.0, 0, 0, 0]])
    got = balanced_cross_entropy(logits, share, weights, torch.ones(1, 1, 1, 4))
    assert got.item() == pytest.approx(2 * math.log(2))  # ln 2 for either kind of place
    sure = maps([[0.0, -20, -20, -20]])
    got = balanced_cross_entropy(sure, share, weights, torch.ones(1, 1, 1, 4))
    assert got.item() == pytest.approx(math.log(2), abs=1e-6)  # the miss costs as before


def test_border_does_not_count():
    share, weights = maps([[0.0, 0]]), maps([[0.0, 0]])
    counted = maps([[1.0, 0]])
    got = balanced_cross_entropy(maps([[0.0, 50]]), share, weights, counted)
    assert got.item() == pytest.approx(math.log(2))


def test_focal_weighs_by_the_error():
    share, weights = maps([[0.0, 0]]), maps([[0.0, 0]])
    got = balanced_cross_entropy(maps([[0.0, 0]]), share, weights, torch.ones(1, 1, 1, 2), focal=2)
    assert got.item() == pytest.approx(0.25 * math.log(2))


def test_tversky_by_hand():
    share, weights = maps([[1.0, 1, 0, 0]]), maps([[0.5, 0.5, 0, 0]])
    logits = maps([[30.0, -30, 30, -30]])  # one hit, one miss, one false alarm
    ones = torch.ones(1, 1, 1, 4)
    assert tversky(logits, share, weights, ones).item() == pytest.approx(1 - 2 / 3)
    got = tversky(logits, share, weights, ones, false_alarm=0.2, miss=0.8).item()
    assert got == pytest.approx(1 - 2 / 3)
    two_missed = maps([[-30.0, -30, -30, -30]])
    assert tversky(two_missed, share, weights, ones, 0.2, 0.8).item() == pytest.approx(1 - 1 / 2.6)
    assert tversky(logits, torch.zeros_like(share), torch.zeros_like(weights), ones).item() == 0


def test_scores_are_higher_for_bona_fide():
    forged = torch.tensor([0.0, 1.0, 1.0])
    judged = torch.tensor([True, True, False])
    good = image_cross_entropy(torch.tensor([8.0, -8.0, 50.0]), forged, judged)
    bad = image_cross_entropy(torch.tensor([-8.0, 8.0, -50.0]), forged, judged)
    assert good.item() == pytest.approx(math.log1p(math.exp(-8)), rel=1e-3)
    assert bad.item() == pytest.approx(8.0, abs=1e-2)


def test_parts_are_weighed():
    given = (
        maps([[0.0, 0]]),
        torch.tensor([0.0]),
        maps([[0.0, 0]]),
        maps([[0.0, 0]]),
        torch.ones(1, 1, 1, 2),
        torch.tensor([0.0]),
        torch.tensor([True]),
    )
    only = LocaliserLoss(LocaliserLossConfig(pixel=0, tversky=0, image=2))
    assert only(*given).item() == pytest.approx(2 * math.log(2))
    both = LocaliserLoss(LocaliserLossConfig(pixel=3, tversky=1, image=2))
    assert both(*given).item() == pytest.approx(5 * math.log(2))
