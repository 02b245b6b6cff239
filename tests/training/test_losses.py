"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional as F

from forensics.errors import UsageError
from forensics.networks.described import Described
from forensics.training.losses import LossConfig, build_loss, contrastive

CONFIG = TypeAdapter(LossConfig)
REAL_FAKE = torch.tensor([True, False])


def loss(**fields):
    return build_loss(CONFIG.validate_python(fields))


def scored(*scores):
    score = torch.tensor(scores, requires_grad=True)
    return Described(score, score.unsqueeze(1))


def test_cross_entropy_is_the_mean_of_negative_log_probabilities():
    # scores 2 and 1: P(bona fide) = 1 / (1 + e^-2), P(spoof) = 1 / (1 + e^1)
    found = loss(kind="cross-entropy")(scored(2.0, 1.0), REAL_FAKE)
    by_hand = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert found.item() == pytest.approx(by_hand, abs=1e-6)


def test_class_weights_are_those_of_torch_over_two_logits():
    found = loss(kind="cross-entropy", spoof_weight=0.1, bonafide_weight=0.9)(
        scored(2.0, 1.0), REAL_FAKE
    )
    by_hand = 0.9 * math.log(1 + math.exp(-2)) + 0.1 * math.log(1 + math.exp(1))
    assert found.item() == pytest.approx(by_hand, abs=1e-6)
    # any two logits of that difference
    logits = torch.tensor([[0.3, 2.3], [-1.0, 0.0]])
    weights = torch.tensor([0.1, 0.9])
    assert found.item() == pytest.approx(F.cross_entropy(logits, REAL_FAKE.long(), weights).item())


def test_smoothing_moves_half_of_its_share_to_the_other_class():
    found = loss(kind="cross-entropy", smoothing=0.1)(scored(2.0), torch.tensor([True]))
    by_hand = 0.95 * math.log(1 + math.exp(-2)) + 0.05 * math.log(1 + math.exp(2))
    assert found.item() == pytest.approx(by_hand, abs=1e-6)


def test_partial_auc_ranks_the_hardest_of_each_class():
    bonafide = torch.tensor([True] * 4 + [False] * 4)
    described = scored(3.0, 0.5, 0.2, 2.0, -1.0, 0.6, -3.0, 0.1)
    half = loss(kind="partial-auc")(described, bonafide)
    # hardest half: 0.2 and 0.5 against 0.6 and 0.1; each pair short of the margin 1 by
    short = [1.4, 0.9, 1.1, 0.6]
    assert half.item() == pytest.approx(sum(s * s for s in short) / 4, abs=1e-5)
    half.backward()
    moved = described.score.grad
    assert moved is not None and moved.nonzero().flatten().tolist() == [1, 2, 5, 7]
    least = loss(kind="partial-auc", hardest_bonafide=0.01, hardest_spoof=0.01)
    assert least(described, bonafide).item() == pytest.approx(1.4**2, abs=1e-5)
    whole = loss(kind="partial-auc", hardest_bonafide=1.0, hardest_spoof=1.0, margin=0.5)
    pairs = [max(0, 0.5 - (r - f)) ** 2 for r in (3, 0.5, 0.2, 2) for f in (-1, 0.6, -3, 0.1)]
    assert whole(described, bonafide).item() == pytest.approx(sum(pairs) / 16, abs=1e-5)


@pytest.mark.parametrize("label", [True, False])
def test_partial_auc_of_one_class_is_nothing_and_can_be_stepped_on(label):
    described = scored(1.0, -1.0)
    found = loss(kind="partial-auc")(described, torch.tensor([label, label]))
    found.backward()
    assert found.item() == 0 and described.score.grad is not None


def test_oc_softmax_has_a_margin_for_each_class():
    bonafide = torch.tensor([True, True, False, False])
    found = loss(kind="oc-softmax")(scored(0.95, 0.7, 0.3, -0.5), bonafide)
    terms = [20 * (0.9 - 0.95), 20 * (0.9 - 0.7), 20 * (0.3 - 0.2), 20 * (-0.5 - 0.2)]
    by_hand = sum(math.log(1 + math.exp(t)) for t in terms) / 4
    assert found.item() == pytest.approx(by_hand, abs=1e-5)
    with pytest.raises(UsageError, match="set its output to cosine"):
        loss(kind="oc-softmax")(scored(2.0), torch.tensor([True]))


# Directions at 0, 60 and 180 degrees, the first two bona fide, lengths that must not matter.
THREE = torch.tensor([[2.0, 0.0], [0.5, 0.5 * math.sqrt(3)], [-3.0, 0.0]])
TWO_REAL = torch.tensor([True, True, False])


def test_contrastive_by_hand():
    # equal class: one pair of distance 1. Other class: distances 2 and sqrt(3), beyond the margin
    assert contrastive(THREE, TWO_REAL, 0.5).item() == pytest.approx(1.0, abs=1e-5)
    # with the margin 2.5 they fall short by 0.5 and 2.5 - sqrt(3)
    by_hand = 1.0 + (0.5**2 + (2.5 - math.sqrt(3)) ** 2) / 2
    assert contrastive(THREE, TWO_REAL, 2.5).item() == pytest.approx(by_hand, abs=1e-5)
    # 1 - cosine: 0.5 within the class; 2 and 1.5 to the other
    by_hand = 0.25 + (0.5**2 + 1.0**2) / 2
    assert contrastive(THREE, TWO_REAL, 2.5, "cosine").item() == pytest.approx(by_hand, abs=1e-5)


def test_contrastive_is_clamped():
    # same class opposite (4), other class equal: short by the whole margin of 3 (9): 13, cut to 10
    vectors = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    labels = torch.tensor([True, True, False, False])
    unclamped = 4.0 + (2 * 3**2 + 2 * 1**2) / 4
    assert contrastive(vectors, labels, 3.0).item() == pytest.approx(unclamped, abs=1e-3)
    assert contrastive(vectors, labels, 5.0).item() == 10.0


@pytest.mark.parametrize(
    ("rows", "labels"), [(1, [True]), (2, [True, False]), (0, [])], ids=["one", "no pair", "none"]
)
def test_contrastive_is_zero_without_a_pair_of_one_class(rows, labels):
    vectors = torch.ones(rows, 4, requires_grad=True)
    found = contrastive(vectors, torch.tensor(labels, dtype=torch.bool), 0.5)
    found.backward()
    assert found.item() == 0 and vectors.grad is not None and not vectors.grad.any()


def test_equal_rows_have_finite_gradients():
    vectors = torch.ones(4, 3, requires_grad=True)
    contrastive(vectors, torch.tensor([True, True, False, False]), 0.5).backward()
    assert vectors.grad is not None and vectors.grad.isfinite().all()


def test_the_contrastive_term_is_added_with_its_weight():
    described = Described(torch.tensor([2.0, 2.0, 1.0]), torch.ones(3, 5), THREE)
    plain = loss(kind="cross-entropy")(described, TWO_REAL)
    both = loss(kind="cross-entropy", contrastive={})(described, TWO_REAL)
    assert (both - plain).item() == pytest.approx(0.1 * 1.0, abs=1e-6)
    # without a projection the embedding is pulled: equal rows, margin 0.5 missed entirely
    bare = Described(described.score, torch.ones(3, 5))
    both = loss(kind="cross-entropy", contrastive={"weight": 2.0})(bare, TWO_REAL)
    assert (both - plain).item() == pytest.approx(2.0 * 0.25, abs=1e-4)


@pytest.mark.parametrize("kind", ["cross-entropy", "partial-auc", "oc-softmax"])
def test_every_loss_pulls_the_classes_apart(kind):
    described = scored(0.1, 0.0, 0.1, 0.0)
    bonafide = torch.tensor([True, True, False, False])
    loss(kind=kind)(described, bonafide).backward()
    grad = described.score.grad
    assert grad is not None and (grad[:2] <= 0).all() and (grad[2:] >= 0).all() and grad.any()


def test_losses_are_float32_under_autocast():
    described = Described(torch.tensor([0.1, 0.2]), torch.ones(2, 4), torch.eye(2))
    both = torch.tensor([True, True])
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(kind="oc-softmax", contrastive={})(described, both)
    exact = loss(kind="oc-softmax", contrastive={})(described, both)
    assert found.dtype == torch.float32 and found.item() == pytest.approx(exact.item(), abs=1e-6)


def test_unknown_losses_and_fields_are_refused():
    for fields in ({"kind": "focal"}, {"kind": "oc-softmax", "margin": 1.0}):
        with pytest.raises(ValidationError):
            loss(**fields)
