"""`detect` with people in mind: is a face there, whose, and is it genuine?"""

from __future__ import annotations

import numpy as np
import pytest
from helpers.identities import identity
from helpers.painted_faces import ANNA, BEN, CLEO, photo, picture
from helpers.painted_people import RED, judged, person, spoilt

from forensics.errors import CorpusError, UsageError
from forensics.identity.card import ConsentRecord
from forensics.media.audio import Waveform
from forensics.media.image import Picture
from forensics.verdict.schema import Verdict


def test_a_genuine_photo_of_the_person(store):
    (v,) = judged(store, photo(ANNA))
    assert (v.label, v.reason) == ("bonafide", "below_threshold")
    assert v.message.startswith("shows Anna Müller by similarity (1.00, gate 0.50); ")
    (face,) = v.faces
    (match,) = face.identities
    assert face.box == (60, 40, 130, 110) and face.view == (0, 0, 200, 160)
    assert match.matched and match.judged and match.p_manipulated == v.p_manipulated
    assert [d.name for d in v.detectors] == ["red", "face-similarity"]
    assert v.detectors[1].details["similarity"] == match.similarity
    assert "limits of red: knows one colour" in v.not_run
    assert any("no record is stored for Anna Müller" in line for line in v.not_run)
    assert Verdict.model_validate_json(v.model_dump_json()) == v


def test_a_manipulated_photo_of_the_person(store):
    (v,) = judged(store, spoilt(photo(ANNA)))
    assert (v.label, v.reason) == ("manipulated", "above_threshold")
    assert v.regions and v.faces[0].identities[0].matched


def test_a_genuine_photo_of_somebody_else_is_not_manipulated(store):
    (v,) = judged(store, photo(CLEO))
    assert (v.label, v.reason) == ("not_applicable", "other_person")
    assert v.p_manipulated is None and v.llr is None
    (match,) = v.faces[0].identities
    assert not match.matched and not match.judged and v.faces[0].view is None
    assert "says nothing about whether" in v.message


def test_of_somebody_else_nothing_is_marked(store):
    pixels, shown = photo(CLEO), []
    pixels[150:152, 10:60] = RED  # marked, and far below an alarm
    (v,) = judged(store, pixels, show=lambda *one: shown.append(one))
    assert v.reason == "other_person" and v.detectors[0].raw is not None
    assert v.regions == () and "region" not in (v.detectors[0].says or "")
    assert shown[0][1].heatmap is None and shown[0][1].regions == ()


def test_an_alarm_on_a_face_of_nobody_stays_an_alarm(store):
    (v,) = judged(store, spoilt(photo(CLEO)))
    assert (v.label, v.reason) == ("manipulated", "above_threshold")
    assert v.message.startswith("no face is like Anna Müller; ")


@pytest.mark.parametrize(
    ("pixels", "reason", "faces"),
    [
        (picture(), "no_face", 0),
        (picture((ANNA, 20, 20, 24)), "face_too_small", 1),
    ],
)
def test_pictures_without_a_face_to_compare(store, pixels, reason, faces):
    (v,) = judged(store, pixels)
    assert (v.label, v.reason, len(v.faces)) == ("not_applicable", reason, faces)
    assert all(f.not_applicable and not f.identities for f in v.faces)


def test_a_face_on_its_side_is_judged_and_says_so(store):
    (v,) = judged(store, np.ascontiguousarray(np.rot90(photo(ANNA))))
    assert v.label == "bonafide" and v.faces[0].turned == 270


def test_an_exif_turn_is_followed(store):
    pixels = photo(ANNA)
    stored = np.ascontiguousarray(np.rot90(pixels))  # viewers turn it back
    (v,) = judged(store, Picture(stored, orientation=6))
    assert v.label == "bonafide" and v.faces[0].turned == 0
    assert v.faces[0].box == (60, 40, 130, 110)


def test_of_many_faces_the_most_alike_is_claimed_and_all_are_listed(store):
    near = tuple(c + d for c, d in zip(ANNA, (25, -20, 25), strict=True))
    crowd = picture((CLEO, 5, 5, 60), (near, 70, 5, 60), (ANNA, 135, 60, 60), (BEN, 5, 90, 20))
    (v,) = judged(store, crowd)
    assert len(v.faces) == 4
    chosen = [f for f in v.faces if any(m.judged for m in f.identities)]
    assert [f.box for f in chosen] == [(135, 60, 195, 120)]
    assert sum(m.matched for f in v.faces for m in f.identities) == 2  # the look-alike too


def test_two_people_in_one_picture_are_judged_each(store):
    both = picture((ANNA, 10, 20, 70), (BEN, 110, 20, 70))
    (v,) = judged(store, both, ["Anna Müller", "Ben"])
    assert [[m.name for m in f.identities if m.judged] for f in v.faces] == [
        ["Anna Müller"],
        ["Ben"],
    ]


@pytest.mark.parametrize(("colour", "label"), [(None, "uncertain"), (RED, "manipulated")])
def test_who_cannot_be_judged_is_not_hidden(store, vlm, monkeypatch, colour, label):
    score = vlm.score

    def silent_on_anna(images, questions):
        scores = score(images, questions)
        return np.where([q.identity == "anna-t" for q in questions], np.nan, scores)

    monkeypatch.setattr(vlm, "score", silent_on_anna)
    both = picture((ANNA, 10, 20, 70), (BEN, 110, 20, 70))
    both = both if colour is None else spoilt(both, colour)
    (v,) = judged(store, both, ["Anna T", "Ben T"])
    assert v.label == label and v.message.startswith("shows Ben T by similarity")
    assert "shows Anna T by similarity, but cannot be judged: the model's answer" in v.message
    assert (v.reason == "unsuitable") == (label == "uncertain")
    assert v.p_manipulated is not None
    (alone,) = judged(store, photo(BEN), ["Anna T", "Ben T"])
    assert alone.label == "bonafide" and "Anna" not in alone.message


@pytest.mark.parametrize("names", [["Anna Müller", "Odd"], "Odd"])
def test_a_centre_that_cannot_be_of_its_face_tools_is_refused(store, names):
    odd = np.random.default_rng(1).standard_normal(7)
    store.save(identity("Odd", odd, embedder="frames-1+colours-1"))
    with pytest.raises(CorpusError, match=r"Odd \(odd\) has 7 values, .* give 3") as e:
        judged(store, photo(ANNA), names)
    assert "enrol the person again" in (e.value.fix or "")


def test_who_was_never_enrolled_is_told_before_any_work(store):
    with pytest.raises(UsageError, match="nobody is enrolled as 'Anna Mueler'") as caught:
        judged(store, photo(ANNA), "Anna Mueler")
    assert "anna-muller" in (caught.value.fix or "")


def test_expired_consent_refuses_to_judge(store):
    consent = ConsentRecord.model_validate(
        {
            "person": "Cleo",
            "given_by": "Cleo",
            "purpose": "a test",
            "basis": "consent",
            "given": "2020-01-01",
            "expires": "2021-01-01",
        }
    )
    store.save(person("Cleo", CLEO, consent=consent))
    with pytest.raises(UsageError, match="expired on 2021-01-01") as caught:
        judged(store, photo(CLEO), "Cleo")
    assert "identity rm cleo" in (caught.value.fix or "")


def test_vectors_of_another_embedder_are_never_compared(store):
    store.save(identity("Odd", embedder="other tools"))
    with pytest.raises(UsageError, match="enrolled with the face tools other tools"):
        judged(store, photo(ANNA), "Odd")


def test_a_speech_detector_recognises_nobody(store):
    with pytest.raises(UsageError, match="judges speech"):
        judged(store, photo(ANNA), detector="speech-default")


def test_recordings_are_not_pictures(store):
    (v,) = judged(store, Waveform(np.zeros(16_000, np.float32), 16_000))
    assert (v.label, v.reason) == ("not_applicable", "unsupported_modality")
