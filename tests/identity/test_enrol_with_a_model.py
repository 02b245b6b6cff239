"""Enrolment and detection with a real, tiny, randomly initialised vision-language model.

What it answers is nonsense: the tests are about what is learnt, stored, asked and told.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.painted_faces import ANNA, BEN, CLEO, photo, picture, strangers
from helpers.tiny_vision_models import llava

import forensics
from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.generators.face.base import FORGERS
from forensics.identity.asking import Asking
from forensics.identity.fakes import made_fakes
from forensics.identity.gate import General
from forensics.identity.photos import PhotoReader, listed
from forensics.identity.tokens import TokenPlan, _sure_lead, token_settings
from forensics.identity.transfer import read_identity, write_identity
from forensics.networks.vlm.card import VlmCard
from forensics.networks.vlm.loading import open_vlm

GENERAL = General(own_mean=0.99, other_mean=0.0, spread=0.2, origin="a test")
FEW = ("steps=4", "batch=2", "hard_negatives=4", "learning_rate=0.01")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny") / "llava"
    llava(folder)
    return folder


def fake(number):
    pixels = photo(ANNA, number)
    pixels[5:30, 5:60] = (240, 10, 10)
    return pixels


def test_a_lead_over_similarity_is_sure_when_resamples_of_photos_agree():
    own, rest = np.arange(8.0, 16), np.arange(16.0)
    scores, alike = [own + 10, rest[:8], rest[8:]], [own, rest[:8], rest[8:]]
    # AUC 1 beside 0.75: of the 128 pairs 92 are in order and 8 are ties.
    assert 0 < _sure_lead(scores, alike) < 0.25
    assert _sure_lead(alike, scores) < 0 and _sure_lead(alike, alike) == 0
    few = [part[:3] for part in scores]
    assert _sure_lead(few, few) == -1


@pytest.fixture
def enrolled(painted, store, model):
    return forensics.enrol(
        "Anna Müller",
        [photo(ANNA, i) for i in range(20)],
        others=strangers(),
        fakes=[fake(i) for i in range(20)],
        tokens=TokenPlan(model, settings=token_settings(FEW)),
        store=store,
    )


def test_ten_tokens_are_kept_with_all_that_they_depend_on(enrolled, store, model):
    person = store.get("Anna Müller")
    card = person.card.tokens
    assert card is not None and person.input_rows is not None
    assert person.input_rows.shape == (10, 16) and len(card.names) == 10
    vlm = open_vlm(model)
    assert card.model_fingerprint == vlm.fingerprint() and card.model == model.name
    assert str(model.parent) not in person.card.model_dump_json()
    assert person.model_folder == model.resolve()
    assert card.trial is not None
    assert (card.trial.n_real, card.trial.n_fake, card.trial.n_other) == (5, 5, 6)
    assert -1 < card.trial.sure_lead <= card.trial.tokens_auc - card.trial.similarity_auc
    assert "15 photos of the person, 15 known forgeries" in card.trained_on
    assert sum(f.stat().st_size for f in enrolled.place.iterdir()) < 8000


def test_verdicts_by_tokens_do_not_depend_on_the_batch(enrolled, store, model, tmp_path):
    forensics.enrol(
        "Ben",
        [photo(BEN, i) for i in range(4)],
        others=strangers(),
        fakes=[photo(CLEO, 1)],
        tokens=TokenPlan(model, settings=token_settings([*FEW, "seed=3"])),
        store=store,
    )
    inputs = [photo(ANNA, 31), photo(BEN, 32), photo(CLEO, 33), fake(34), picture()]
    names, asking = ["Anna Müller", "Ben"], Asking(store=store)
    together = forensics.detect(inputs, "zero", identity=names, asking=asking)
    alone = [
        forensics.detect(one, "zero", identity=names, asking=asking, explain=False)[0]
        for one in inputs
    ]
    raws = [v.detectors[0].raw for v in together[:2]]
    assert raws == pytest.approx([v.detectors[0].raw for v in alone[:2]], abs=1e-5)
    assert [v.label for v in together] == [v.label for v in alone]
    first = together[0]
    assert first.detectors[0].name == "identity-tokens"
    assert first.detectors[1].name == "face-similarity"
    assert any("similarity alone" in line and "AUC" in line for line in first.not_run)
    path = write_identity(store.get("Anna Müller"), tmp_path / "anna.safetensors")
    moved_here = Asking(store=store, model=model)
    (moved,) = forensics.detect(inputs[0], "zero", identity=read_identity(path), asking=moved_here)
    assert moved.detectors[0].raw == pytest.approx(raws[0], abs=1e-5)


@pytest.mark.parametrize(
    "named", ["llava", "{folder}", "./llava", "org/llava", "~nobody/llava", "a\0"]
)
def test_no_folder_that_an_imported_file_names_is_opened(
    enrolled, store, model, tmp_path, monkeypatch, named
):
    card = enrolled.identity.card
    tokens = card.tokens.model_copy(update={"model": named.format(folder=model)})
    path = write_identity(
        replace(enrolled.identity, card=card.model_copy(update={"tokens": tokens})),
        tmp_path / "anna.safetensors",
    )
    monkeypatch.chdir(model.parent)  # where `llava` lies
    with pytest.raises(MissingRequirement, match="is not recorded") as caught:
        forensics.detect(
            photo(ANNA), "zero", identity=read_identity(path), asking=Asking(store=store)
        )
    assert "--model" in (caught.value.fix or "")


def test_the_same_photos_teach_the_same_tokens(enrolled, store, painted, model):
    again = forensics.enrol(
        "Anna Müller",
        [photo(ANNA, i) for i in range(20)],
        others=strangers(),
        fakes=[fake(i) for i in range(20)],
        tokens=TokenPlan(model, settings=token_settings(FEW)),
        store=store,
        replace=True,
    )
    assert again.identity.card.sha256 == enrolled.identity.card.sha256


def test_words_of_a_table_become_reasons_and_what_is_typical(
    painted, store, model, tmp_path, monkeypatch
):
    from PIL import Image

    import forensics.training.vlm.enrol as training

    folders = {"own": [photo(ANNA, i) for i in range(4)], "crowd": strangers()}
    for name, pictures in folders.items():
        (tmp_path / name).mkdir()
        for i, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    table = tmp_path / "words.csv"
    rows = [f"own/{i}.png,auburn,office" for i in range(4)]
    rows += [f"crowd/{i}.png,silver,beach" for i in range(len(folders["crowd"]))]
    table.write_text("photo,hair,scene.place\n" + "\n".join(rows) + "\n")
    heard = []

    def spied(*arguments):
        for talk in draw(*arguments):
            heard.append(f"{talk.text} | {talk.answer}")
            yield talk

    draw = training._talks
    monkeypatch.setattr(training, "_talks", spied)
    settings = token_settings(
        ["steps=12", "batch=8", "hard_negatives=0", "attribute_questions=0.3"]
    )
    forensics.enrol(
        "Anna Müller",
        tmp_path / "own",
        others=tmp_path / "crowd",
        tokens=TokenPlan(model, settings=settings),
        words=table,
        store=store,
    )
    said = "\n".join(heard)
    assert "What hair does <id_a> have ? | auburn ." in said
    assert "What place does <id_b> have ? | office ." in said
    assert "The hair is silver , while <id_a> typically has auburn ." in said
    assert "The place is office , as is usual for <id_b> ." in said
    kept = store.get("Anna Müller").card.model_dump_json()
    assert "auburn" not in kept and "hair" not in kept


def test_words_without_a_model_teach_nobody(painted, store, tmp_path):
    with pytest.raises(UsageError, match="words teach tokens") as caught:
        forensics.enrol("Ben", [photo(BEN, 1)], words=tmp_path / "words.csv", store=store)
    assert "--model" in (caught.value.fix or "")


def test_tokens_of_another_size_are_refused_by_the_model(enrolled, store, model, tmp_path):
    torch.manual_seed(5)
    other = tmp_path / "other"
    llava(other)
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    with pytest.raises(CorpusError, match="is not the model"):
        forensics.detect(
            photo(ANNA), "zero", identity="Anna Müller", asking=Asking(store=store, model=other)
        )


def test_without_fakes_some_are_made_of_the_persons_own_photos(painted, store, model):
    from helpers.painted_faces import tools

    card = VlmCard(base="a model", base_sha256="0" * 16, prompts=1)
    reader = PhotoReader(tools(), card)
    own, _ = reader.read(listed([photo(ANNA, i) for i in range(3)]), "only")
    others, _ = reader.read(listed([photo(BEN, i) for i in range(3)]), "only")
    made = made_fakes("anna", own, others, tools())
    assert {one.name.split(" ")[0] for one in made} >= {"self-blend", "face-swap"}
    again = made_fakes("anna", own, others, tools())
    assert all(
        one.kept is not None
        and two.kept is not None
        and np.array_equal(one.kept.pixels, two.kept.pixels)
        for one, two in zip(made, again, strict=True)
    )
    context = {name for name in FORGERS.names() if FORGERS.get(name).kind == "context"}
    assert all(one.context == (one.name.split(" ")[0] in context) for one in made)


def test_forgeries_that_measure_are_made_of_photos_that_were_held_out(
    painted, store, model, monkeypatch
):
    given = []

    def spied(slug, own, others, known):
        given.append(([photo.name for photo in own], [photo.name for photo in others]))
        return made_fakes(slug, own, others, known)

    monkeypatch.setattr("forensics.identity.tokens.made_fakes", spied)
    forensics.enrol(
        "Anna",
        [photo(ANNA, i) for i in range(8)],
        others=strangers(),
        tokens=TokenPlan(model, settings=token_settings(FEW)),
        store=store,
    )
    (trained, crowd), (held, apart) = given
    assert (len(trained), len(held)) == (6, 2) and not set(trained) & set(held)
    assert len(crowd) + len(apart) == len(strangers()) and not set(crowd) & set(apart)


def test_few_known_forgeries_are_not_joined_by_made_ones(painted, store, model):
    done = forensics.enrol(
        "Anna",
        [photo(ANNA, i) for i in range(8)],
        others=strangers(),
        fakes=[fake(i) for i in range(3)],
        tokens=TokenPlan(model, settings=token_settings(FEW)),
        store=store,
    )
    card = done.identity.card.tokens
    assert card is not None and card.trial is not None
    assert "3 known forgeries" in card.trained_on
    assert (card.trial.n_real, card.trial.n_fake) == (2, 0) and card.calibration is None


def test_settings_come_from_a_config_and_are_checked():
    settings = token_settings(["steps=7"], "identity-vlm")
    assert (settings.steps, settings.learning_rate) == (7, 1e-3)
    with pytest.raises(UsageError, match="says nothing of enrolling"):
        token_settings([], "inpainter")
    with pytest.raises(UsageError, match="steps"):
        token_settings(["steps=-1"])


def test_nobody_to_tell_from_is_refused_before_training(painted, store, model, monkeypatch):
    monkeypatch.setattr("forensics.identity.tokens.made_fakes", lambda *_: [])
    monkeypatch.setattr("forensics.identity.enrol.general_of", lambda _: GENERAL)
    with pytest.raises(UsageError, match="telling a person from others"):
        forensics.enrol(
            "Anna", [photo(ANNA, i) for i in range(4)],
            tokens=TokenPlan(model, settings=token_settings(FEW)), store=store,
        )  # fmt: skip


def test_a_model_without_identities_judges_any_face(painted, model):
    """The generic verdict: no person is asked for."""
    from forensics.detectors.face.vlm import FaceVlmDetector

    detector = FaceVlmDetector.from_folder(model)
    one, two, none = forensics.detect([photo(ANNA), photo(BEN), picture()], detector)
    assert (one.label, one.reason) == ("uncertain", "uncalibrated")
    assert one.faces[0].box == (60, 40, 130, 110) and one.detectors[0].raw != two.detectors[0].raw
    assert none.label == "not_applicable" and "no face" in none.message


def test_a_trained_folder_is_a_detector_by_its_card(painted, model, tmp_path):
    from forensics.networks.vlm.adapter import AdapterConfig
    from forensics.networks.vlm.card import VlmFolder
    from forensics.verdict.loading import resolve_detector

    vlm = open_vlm(model)
    adapter = vlm.add_adapter(AdapterConfig(layer=1, tokens=2, hidden=4))
    card = vlm.card.model_copy(update={"adapter": adapter.config, "view": "face", "margin": 2.0})
    tensors = {f"adapter.{name}": value for name, value in adapter.state_dict().items()}
    VlmFolder.save(tmp_path / "trained", card, tensors)
    named = resolve_detector(tmp_path / "trained"), resolve_detector("face-vlm", model)
    trained, base = (spec.load() for spec in named)
    (one,) = forensics.detect(photo(ANNA), trained)
    (two,) = forensics.detect(photo(ANNA), base)
    assert one.faces[0].view == (25, 5, 165, 145) and two.faces[0].view == (0, 0, 200, 160)
    assert one.detectors[0].raw != two.detectors[0].raw
