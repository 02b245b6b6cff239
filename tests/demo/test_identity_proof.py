"""The proof of identity tokens at small scale: its parts, and all of it at a size of no worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from forensics.demo.identity import portraits, proof
from forensics.demo.identity.figures import Decided, figures, macro, pooled
from forensics.demo.identity.people import cast, enrolment, probes, shown
from forensics.demo.identity.report import page
from forensics.demo.identity.school import School
from forensics.demo.identity.tiny_llava import build
from forensics.networks.vlm import Question, open_vlm
from forensics.networks.vlm.prompts import question_text
from forensics.networks.vlm.rows import Side

SMALL = proof.Size(
    school=School(pictures=16, seeing_steps=2, talking_steps=4, batch=4),
    adapter_steps=2,
    people=2,
    photos=4,
    fakes=4,
    others=6,
    each=2,
    enrol=proof.ENROL.model_copy(update={"steps": 2, "batch": 4, "hard_negatives": 3}),
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_figures_of_a_hand_worked_case():
    said = np.array([True, True, False, False, True])
    true = np.array([True, False, True, False, True])
    found = figures(said, true)
    assert (found.accuracy, found.precision, found.recall) == (0.6, 2 / 3, 2 / 3)
    assert found.f1 == pytest.approx(2 / 3)
    nothing = figures(np.zeros(2, bool), np.array([True, False]))
    assert nothing.recall == 0 and nothing.f1 == 0 and np.isnan(nothing.precision)
    people = [Decided(said, true), Decided(np.array([True]), np.array([True]))]
    assert pooled(people).accuracy == pytest.approx(4 / 6)
    assert macro(people).accuracy == pytest.approx((0.6 + 1) / 2)


def test_an_edit_changes_a_patch_and_nothing_of_what_is_shown():
    rng = np.random.default_rng(0)
    one = portraits.person(rng)
    pixels = portraits.drawn(one.looks, one.places[0], one.things[0], rng)
    for edit in portraits.EDITS:
        changed = (portraits.edited(pixels, edit, rng) != pixels).any(axis=2)
        assert 0.01 < changed.mean() < 0.4, edit
        rows, columns = np.nonzero(changed)
        assert max(np.ptp(rows), np.ptp(columns)) <= 28, edit


def test_sorts_of_pictures_are_what_they_say():
    rng = np.random.default_rng(1)
    who = portraits.person(rng)
    for _ in range(20):
        real, swap = shown(who, "real", rng), shown(who, "swap", rng)
        assert real.looks and real.acts
        assert not swap.looks and swap.acts
        assert swap.attributes["clothes"] == who.looks["clothes"]
        alike, context = shown(who, "lookalike", rng), shown(who, "context", rng)
        assert sum(alike.attributes[slot] != word for slot, word in who.looks.items()) == 1
        assert context.looks and not context.acts
    counts = {sort: len(pictures) for sort, pictures in probes(who, rng, 3).items()}
    assert counts.pop("real") == sum(counts.values())
    known = cast(5, rng)
    assert len({tuple(one.looks.values()) for one in known}) == 5
    material = enrolment(who, rng, 3, 4, 20)
    assert [len(part) for part in (material.photos, material.fakes, material.others)] == [3, 4, 20]


def test_the_tiny_llava_knows_every_word_of_the_prompts(tmp_path):
    build(tmp_path, 0)
    vlm = open_vlm(tmp_path)
    unknown = vlm.wording.tokenizer.unk_token_id
    sides: dict[Side, int] = {"a": 4, "b": 4}
    for kind in ("real", "appearance", "behaviour"):
        for form in ("direct", "explained", "reasoned"):
            name = None if kind == "real" else "x"
            text = question_text(Question(kind, name), sides, form)
            ids = vlm.wording.tokenizer(text, add_special_tokens=False)["input_ids"]
            assert unknown not in ids, text


def test_every_variant_runs_and_the_page_says_what_was_measured(tmp_path):
    result = proof.proved(tmp_path / "model", SMALL, seed=0)
    names = [row.name for row in result.rows]
    assert names == [*(one.name for one in proof.variants(SMALL.enrol)), proof.BASELINE]
    assert all(len(row.decided) == SMALL.people for row in result.rows)
    assert result.unchanged
    # Others that are loaded change nothing beyond rounding in padded batches.
    assert max(one.moved for one in result.kept) < 1e-4
    assert [one.auc.keys() for one in result.detection] == [{"all", *portraits.EDITS}] * 2
    text = page([result], SMALL, "a machine", 60.0)
    assert all(name in text for name in names)
    assert "missed by" in text  # two steps teach nothing, and the page says so


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_tokens_carry_a_new_person_and_the_adapter_finds_edits(tmp_path):
    size = replace(proof.Size(), people=2)
    result = proof.proved(tmp_path / "model", size, seed=5)
    accuracy = {row.name: float(np.mean(row.accuracy)) for row in result.rows}
    # The page holds what was reached beside the goal; people differ by more than 0.05.
    assert accuracy[proof.UNTRAINED] < 0.6
    assert accuracy[proof.METHOD] > 0.85
    assert result.unchanged
    without, shallow = result.detection[:2]
    assert shallow.auc["all"] > without.auc["all"] + 0.1
