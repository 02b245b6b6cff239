"""Real photos with the tools that need no download (ORL, where the shared data is)."""

from __future__ import annotations

import shutil

import pytest

import forensics
from forensics.errors import UsageError
from forensics.identity.asking import Asking


@pytest.fixture
def orl(shared_data):
    return shared_data("faces") / "images" / "orl"


def test_a_person_is_told_from_others_and_a_stranger_among_the_photos_is_named(
    orl, store, tmp_path
):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(1, 7):
        shutil.copy(orl / "s4" / f"{number}.pgm", photos)
    done = forensics.enrol("Subject Four", str(photos), store=store)
    assert len(done.used) == 6 and done.identity.card.gate.own_below == 0
    inputs = [orl / "s4" / "7.pgm", orl / "s4" / "10.pgm", orl / "s1" / "1.pgm", orl / "s5/1.pgm"]
    found = forensics.detect(inputs, "ela", identity="Subject Four", asking=Asking(store=store))
    assert [v.faces[0].identities[0].matched for v in found] == [True, True, False, False]
    assert [v.reason for v in found[2:]] == ["other_person", "other_person"]
    shutil.copy(orl / "s9" / "1.pgm", photos / "wrong.pgm")
    with pytest.raises(UsageError, match="1 of 7 photos seem to show somebody else") as caught:
        forensics.enrol("Subject Four", str(photos), store=store, replace=True)
    assert "wrong.pgm" in caught.value.what


@pytest.mark.parametrize("people", [("s3", "s9", "s14", "s22", "s31"), ("s2", "s2", "s5", "s5")])
def test_photos_of_different_people_are_not_enrolled(people, orl, store, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, person in enumerate(people, 1):
        shutil.copy(orl / person / f"{number}.pgm", photos / f"{number}.pgm")
    with pytest.raises(UsageError, match=r"somebody else|not like the others|hardly more alike"):
        forensics.enrol("Everybody", str(photos), store=store)
