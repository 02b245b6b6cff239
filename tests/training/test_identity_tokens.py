"""Enrolling by identity tokens, on tiny random models: what moves, what is asked, what is refused.

What enrolment achieves is measured by `benchmarks/identity_proof.py`, and by its small version in
`tests/training/test_identity_proof.py`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from helpers.tiny_vlms import BUILDERS

from forensics.errors import UsageError
from forensics.networks.vlm import Question, open_vlm
from forensics.networks.vlm.adapter import AdapterConfig
from forensics.networks.vlm.rows import IdentityRows, token_names
from forensics.training.vlm.enrol import enrol_tokens
from forensics.training.vlm.enrol_settings import EnrolSettings
from forensics.training.vlm.examples import Forms, Shown, asked, usual

RNG = np.random.default_rng(0)
QUICK = EnrolSettings(steps=3, batch=4, learning_rate=0.05)


def picture(level=None):
    noise = RNG.integers(0, 60, (32, 32, 3))
    return (noise + (RNG.integers(0, 190) if level is None else level)).astype(np.uint8)


PHOTOS, FAKES, OTHERS = ([picture(level) for _ in range(4)] for level in (20, 90, 180))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    torch.set_num_threads(1)
    made = {}
    for name, build in BUILDERS.items():
        made[name] = tmp_path_factory.mktemp(name)
        build(made[name])
    return made


@pytest.fixture(params=list(BUILDERS))
def vlm(folders, request):
    return open_vlm(folders[request.param])


def digest(vlm):
    total = hashlib.sha256()
    for name, value in sorted(vlm.network.state_dict().items()):
        total.update(name.encode() + value.numpy().tobytes())
    return total.hexdigest()


def test_enrolling_changes_rows_alone_and_keeps_who_was_there(vlm):
    vlm.add_adapter(AdapterConfig(layer=1, tokens=2, hidden=4)).requires_grad_(False)
    other = vlm.identities.initial("zoe", token_names(), 9)
    vlm.add_identities([other])
    before = digest(vlm), vlm.score(PHOTOS[:1], [Question("appearance", "zoe")])[0]
    learned = enrol_tokens(vlm, "ann", PHOTOS, FAKES, OTHERS, QUICK)
    assert learned.tokens == token_names() and len(learned.tokens) == 10
    assert (digest(vlm), vlm.score(PHOTOS[:1], [Question("appearance", "zoe")])[0]) == before
    assert list(vlm.identities.loaded) == ["zoe"]
    start = vlm.identities.initial("ann", token_names(), 0)
    assert (np.abs(learned.input_rows - start.input_rows).max(axis=1) > 0).all()
    again = enrol_tokens(vlm, "ann", PHOTOS, FAKES, OTHERS, QUICK)
    np.testing.assert_array_equal(learned.input_rows, again.input_rows)
    np.testing.assert_array_equal(learned.output_rows, again.output_rows)


def test_of_several_beginnings_the_one_with_the_least_loss_goes_on(folders):
    """One begins so far from the others that nothing can be learned there."""
    vlm = open_vlm(folders["llava"])
    made, begun = vlm.identities.initial, []

    def far_off(name, tokens, seed, like):
        begun.append((name, seed))
        rows = made(name, tokens, seed, like)
        scale = np.float32(1 if seed == 7 else 300)
        return IdentityRows(name, tokens, rows.input_rows * scale, rows.output_rows * scale)

    vlm.identities.initial = far_off
    settings = QUICK.model_copy(update={"tries": 3, "seed": 2, "steps": 4})
    learned = enrol_tokens(vlm, "ann", PHOTOS, FAKES, OTHERS, settings)
    assert begun == [("try-0", 6), ("try-1", 7), ("try-2", 8)]
    assert learned.name == "ann" and np.abs(learned.input_rows).max() < 30
    assert not vlm.identities.loaded
    again = enrol_tokens(vlm, "ann", PHOTOS, FAKES, OTHERS, settings)
    np.testing.assert_array_equal(learned.input_rows, again.input_rows)


def test_one_try_among_several_learns_as_it_would_alone(folders):
    """Rows share no gradient: only which try goes on is decided between them."""
    vlm = open_vlm(folders["llava"])
    both = QUICK.model_copy(update={"tries": 2, "seed": 0, "steps": 4})
    learned = enrol_tokens(vlm, "ann", PHOTOS, FAKES, OTHERS, both)
    starts = [vlm.identities.initial("ann", token_names(), seed) for seed in (0, 1)]
    nearest = np.argmin([np.abs(learned.input_rows - one.input_rows).max() for one in starts])
    made = vlm.identities.initial
    vlm.identities.initial = lambda name, tokens, _, like: made(name, tokens, int(nearest), like)
    alone = enrol_tokens(vlm, "ann", PHOTOS, FAKES, OTHERS, QUICK.model_copy(update={"steps": 4}))
    np.testing.assert_allclose(learned.input_rows, alone.input_rows, atol=1e-5)


def test_rows_learn_to_tell_their_pictures(folders):
    """Even a random language model can be steered by its input."""
    vlm = open_vlm(folders["llava"])
    direct = Forms(direct=1, explained=0, reasoned=0)
    settings = EnrolSettings(steps=60, batch=8, learning_rate=0.1, sides=("u",), forms=direct)
    pictures, questions = [PHOTOS[0], OTHERS[0]], [Question("appearance", "ann")] * 2
    vlm.add_identities([vlm.identities.initial("ann", settings.tokens, 0)])
    before = vlm.score(pictures, questions)
    vlm.add_identities([enrol_tokens(vlm, "ann", PHOTOS[:1], [], OTHERS[:1], settings)])
    after = vlm.score(pictures, questions)
    assert after[0] - after[1] > before[0] - before[1]


@pytest.mark.parametrize("fakes, others", [(FAKES, []), ([], OTHERS)])
def test_reals_with_either_kind_of_negatives_are_enough(folders, fakes, others):
    enrol_tokens(open_vlm(folders["llava"]), "ann", PHOTOS, fakes, others, QUICK)


def test_nothing_to_tell_a_person_from_is_refused(folders):
    vlm = open_vlm(folders["llava"])
    for photos, fakes, others in (([], FAKES, OTHERS), (PHOTOS, [], [])):
        with pytest.raises(UsageError, match="tell them from"):
            enrol_tokens(vlm, "ann", photos, fakes, others, QUICK)
    with pytest.raises(UsageError, match="not finite"):
        enrol_tokens(
            vlm, "ann", PHOTOS, FAKES, OTHERS, QUICK.model_copy(update={"learning_rate": 1e30})
        )
    assert not vlm.identities.loaded


def test_hard_negatives_are_those_most_alike(folders):
    vlm = open_vlm(folders["llava"])
    asked_about = []

    def embed(pictures):
        asked_about.extend(pictures)
        levels = np.array([one.mean() for one in pictures]) / 255 * np.pi / 2
        return np.stack([np.cos(levels), np.sin(levels)], axis=1).astype(np.float32)

    from forensics.training.vlm.enrol import _material

    near, far = [picture(25) for _ in range(3)], [picture(190) for _ in range(5)]
    settings = QUICK.model_copy(update={"hard_negatives": 3, "similarity": True})
    material = _material(vlm, PHOTOS, FAKES, [*far, *near], settings, embed)
    assert {id(one.pixels) for one in material.others} == {id(one) for one in near}
    told = {id(one): material.cosines[id(one)] for one in [*material.photos, *material.fakes]}
    assert min(told[id(one)] for one in material.photos) > max(
        told[id(one)] for one in material.fakes
    )
    vectors = embed(PHOTOS)
    rest = vectors[1:].sum(axis=0)  # a photo is compared with the others
    assert told[id(material.photos[0])] == pytest.approx(
        float(vectors[0] @ rest / np.linalg.norm(rest)), abs=1e-6
    )


def test_answers_name_what_decides():
    typical = usual([Shown(PHOTOS[0], {"hair": "dark"}, {"place": "beach"})] * 2, "appearance")
    assert typical == {"hair": "dark"}
    question = Question("appearance", "ann")
    light = Shown(PHOTOS[0], {"hair": "light <id_a>"})
    talk = asked(question, light, False, "reasoned", {"a": 4}, typical, np.random.default_rng(0))
    assert talk.answer == (
        "The hair is light id_a , while <id_a> typically has dark . The answer is no ."
    )
    assert talk.verdict is not None and talk.answer[talk.verdict :] == "no ."
    dark = Shown(PHOTOS[0], {"hair": "dark"})
    talk = asked(question, dark, True, "explained", {"a": 4}, typical, np.random.default_rng(0))
    assert talk.answer == "The answer is yes . The hair is dark , as <id_a> has ."
    bare = asked(
        question, Shown(PHOTOS[0]), False, "direct", {"a": 4}, {}, np.random.default_rng(0)
    )
    assert bare.answer == "The answer is no ." and bare.answer[bare.verdict :] == "no ."


def test_the_word_that_decides_is_found_among_tokens(vlm):
    vlm.add_identities([vlm.identities.initial("ann", token_names(), 1)])
    rng = np.random.default_rng(0)
    for form in ("direct", "explained", "reasoned"):
        for is_yes in (True, False):
            talk = asked(
                Question("appearance", "ann"), Shown(PHOTOS[0]), is_yes, form, {"a": 4, "b": 4},
                {}, rng,
            )  # fmt: skip
            (read,) = vlm.read([talk], vlm.see_all([talk]))
            ways = vlm.wording.yes if is_yes else vlm.wording.no
            assert int(read.ids[read.verdict]) in ways
            assert int(read.ids[-1]) == vlm.wording.end


def test_recomputing_activations_changes_nothing(folders):
    vlm = open_vlm(folders["llava"])
    plain = enrol_tokens(vlm, "ann", PHOTOS, FAKES, OTHERS, QUICK)
    saved = QUICK.model_copy(update={"checkpointing": True, "cache_bytes": 0})
    slow = enrol_tokens(vlm, "ann", PHOTOS, FAKES, OTHERS, saved)
    np.testing.assert_allclose(plain.input_rows, slow.input_rows, atol=1e-5)
    assert not vlm.network.training
