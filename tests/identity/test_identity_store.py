"""The store of enrolled people: what is kept, what is refused, what is gone after rm."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from helpers.identities import GATE, identity
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from forensics.errors import CorpusError, ForensicsError, UsageError
from forensics.identity.card import ConsentRecord, IdentityCard, parse_consent
from forensics.identity.names import SLUG, checked_name, slug_of
from forensics.identity.store import CARD, MODEL, VECTORS, IdentityStore, default_folder
from forensics.identity.tensors import MAX_BYTES, decode, encode
from forensics.identity.transfer import read_identity, write_identity
from forensics.locks import alone

ROWS = np.arange(40, dtype=np.float32).reshape(10, 4)


@pytest.fixture
def store(tmp_path):
    return IdentityStore(tmp_path / "people")


def test_what_is_saved_comes_back_private_and_small(store):
    anna = identity(rows=ROWS)
    place = store.save(anna)
    back = store.get("anna müller")
    assert back.card == anna.card and place.name == "anna-muller" == store.find("Anna Müller")
    for name, array in anna.vectors().items():
        assert np.array_equal(back.vectors()[name], array)
    files = sorted(place.iterdir())
    assert [file.name for file in files] == [CARD, VECTORS]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700 == stat.S_IMODE(store.folder.stat().st_mode)
    assert sum(file.stat().st_size for file in files) < 8000


def test_the_folder_comes_from_the_environment_or_the_users_data(monkeypatch, tmp_path):
    monkeypatch.setenv("FORENSICS_IDENTITIES", str(tmp_path / "a"))
    assert default_folder() == tmp_path / "a"
    monkeypatch.delenv("FORENSICS_IDENTITIES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "b"))
    assert default_folder() == tmp_path / "b" / "forensics" / "identities"


def test_a_name_is_taken_once(store):
    store.save(identity(photos=5))
    with pytest.raises(UsageError, match="already enrolled") as caught:
        store.save(identity("Anna Muller"))  # another name of the same slug
    assert "--replace" in (caught.value.fix or "")
    store.save(identity(photos=9), replace=True)
    assert store.get("anna-muller").card.photos == 9
    assert [path.name for path in store.folder.iterdir() if path.is_dir()] == ["anna-muller"]


def test_who_was_never_enrolled_gets_near_names(store):
    with pytest.raises(UsageError, match="nobody is enrolled") as empty:
        store.get("anna")
    assert "identity enrol" in (empty.value.fix or "")
    store.save(identity())
    with pytest.raises(UsageError) as caught:
        store.get("Anne Muler")
    assert caught.value.fix == "did you mean anna-muller"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("An Tset", "an-test"), ("AN TSET", "an-test"), ("王小朋", slug_of("王小明"))],
)
def test_near_names_are_found_by_slug_and_by_name(store, asked, meant):
    for name in ("An Test", "王小明", "Zoë Quist"):
        store.save(identity(name))
    with pytest.raises(UsageError) as caught:
        store.get(asked)
    assert caught.value.fix == f"did you mean {meant}"


def test_rm_leaves_nothing_even_of_what_is_damaged_or_half_written(store):
    place = store.save(identity())
    (place / CARD).write_bytes(b"{ not json")
    (place / "extra").mkdir()
    (place / "extra" / "left.part").write_bytes(b"secret")
    killed = store.folder / ".new-somebody"
    killed.mkdir()
    (killed / VECTORS).write_bytes(b"secret")
    linked = store.folder.parent / "hard-link"
    linked.hardlink_to(place / VECTORS)
    removed = store.remove("anna-muller")
    assert removed.files == 3 and "backups" in " ".join(removed.beyond)
    assert [path.name for path in store.folder.iterdir()] == [".lock"]
    assert set(linked.read_bytes()) == {0}  # it was overwritten, not only unlinked
    with pytest.raises(UsageError):
        store.remove("anna-muller")


def test_rm_does_not_follow_links_out_of_the_store(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("keep")
    place = store.save(identity())
    (place / "link").symlink_to(outside)
    (place / "file").symlink_to(outside / "mine")
    store.remove("anna-muller")
    assert (outside / "mine").read_text() == "keep"


def test_a_writer_killed_between_two_renames_loses_nobody(store):
    place = store.save(identity())
    place.rename(store.folder / ".old-anna-muller")
    store.save(identity("Ben"))
    assert store.get("Anna Müller").card.name == "Anna Müller"


def test_two_writers_at_once_are_told(store):
    with (
        alone(store.folder, "enrolment", "--store"),
        pytest.raises(UsageError, match="another enrolment is running"),
    ):
        store.save(identity())


@pytest.mark.parametrize(
    ("vectors", "what"),
    [
        ({"face_centre": np.ones(8, np.float32)}, "unit"),
        ({"face_centre": np.full(8, np.nan, np.float32)}, "NaN"),
        ({"face_centre": np.eye(8, dtype=np.float32)}, "shape"),
        ({"face_centre": np.eye(8, dtype=np.float64)[0]}, "float64"),
        ({"face_centre": np.zeros(0, np.float32)}, "shape"),
        ({"wrong": np.eye(8, dtype=np.float32)[0]}, "not an identity"),
        ({"face_centre": np.eye(8, dtype=np.float32)[0], "input_rows": ROWS}, "not an identity"),
        (
            {
                "face_centre": np.eye(8, dtype=np.float32)[0],
                "input_rows": ROWS,
                "output_rows": ROWS[:, :2].copy(),
            },
            "two shapes",
        ),
        (
            {
                "face_centre": np.eye(8, dtype=np.float32)[0],
                "input_rows": ROWS * 1e6,
                "output_rows": ROWS,
            },
            "values up to",
        ),
        (
            {
                "face_centre": np.eye(8, dtype=np.float32)[0],
                "input_rows": np.full((10, 4), np.inf, np.float32),
                "output_rows": ROWS,
            },
            "NaN",
        ),
    ],
)
def test_poisoned_vectors_are_refused(store, vectors, what):
    place = store.save(identity())
    (place / VECTORS).write_bytes(save(vectors))
    with pytest.raises(CorpusError, match=what):
        store.get("anna-muller")


def test_vectors_of_somebody_else_and_pickles_are_refused(store, tmp_path):
    place = store.save(identity())
    (place / VECTORS).write_bytes(encode(identity("Ben").vectors()))
    with pytest.raises(CorpusError, match="SHA-256"):
        store.get("anna-muller")
    (place / VECTORS).write_bytes(b"\x80\x04\x95" + bytes(100))
    with pytest.raises(CorpusError, match="no safetensors"):
        store.get("anna-muller")
    with (place / VECTORS).open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(CorpusError, match="limit"):
        store.get("anna-muller")
    (place / VECTORS).unlink()
    (place / VECTORS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match="link"):
        store.get("anna-muller")


@pytest.mark.parametrize(
    "change",
    [
        {"slug": "../../etc"},
        {"slug": "ben"},
        {"name": "Anna\x1b[2J"},
        {"photos": 2},
        {"surprise": 1},
        {"sha256": "0"},
        {"gate": {"threshold": 2.0}},
        {"gate": {**GATE.model_dump(), "threshold": -1.0}},
        {"gate": {**GATE.model_dump(), "threshold": 0.81}},
    ],
)
def test_poisoned_cards_are_refused(store, change):
    place = store.save(identity())
    card = json.loads((place / CARD).read_text())
    (place / CARD).write_text(json.dumps({**card, **change}))
    with pytest.raises(CorpusError, match=r"identity\.json"):
        store.get("anna-muller")
    ((slug, why),) = store.cards()
    assert slug == "anna-muller" and isinstance(why, CorpusError)


def test_token_names_are_plain_and_as_many_as_rows(store):
    good = identity(rows=ROWS).card
    with pytest.raises(ValueError, match="token names"):
        IdentityCard.model_validate(
            {**good.model_dump(), "tokens": {**good.tokens.model_dump(), "names": ("<a> </s>",)}}  # pyright: ignore
        )
    place = store.save(identity(rows=ROWS))
    card = json.loads((place / CARD).read_text())
    card["tokens"]["names"] = card["tokens"]["names"][:3]
    (place / CARD).write_text(json.dumps(card))
    with pytest.raises(CorpusError, match="10 token rows for 3 tokens"):
        store.get("anna-muller")


def test_export_and_import_carry_everything_in_one_private_file(store, tmp_path):
    anna = identity(rows=ROWS)
    path = write_identity(anna, tmp_path / "anna.safetensors")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    back = read_identity(path)
    assert back.card == anna.card
    store.save(back)
    assert np.array_equal(store.get("Anna Müller").centre, anna.centre)
    with pytest.raises(UsageError, match="already"):
        write_identity(anna, path)
    write_identity(anna, path, replace=True)


def test_where_the_model_lies_stays_on_this_machine(store, tmp_path):
    place = store.save(replace(identity(rows=ROWS), model_folder=tmp_path / "anna" / "llava"))
    assert stat.S_IMODE((place / MODEL).stat().st_mode) == 0o600
    here = store.get("anna-muller")
    assert here.model_folder == tmp_path / "anna" / "llava"
    path = write_identity(here, tmp_path / "anna.safetensors")
    assert str(tmp_path).encode() not in path.read_bytes()
    store.save(read_identity(path), replace=True)
    assert store.get("anna-muller").model_folder is None and not (place / MODEL).exists()


def test_a_poisoned_export_is_refused(tmp_path):
    anna = identity()
    card = anna.card.model_dump_json()
    for text, what in [
        (card.replace("anna-muller", "../../anna"), "slug"),
        (card[:-9], "JSON"),
        (card.replace('"photos":5', '"photos":-5'), "photos"),
        (card.replace('"threshold":0.5', '"threshold":-1.0'), "between the means"),
    ]:
        assert text != card
        path = tmp_path / "bad.safetensors"
        path.write_bytes(encode(anna.vectors(), {"forensics_identity": text}))
        with pytest.raises(CorpusError, match=what):
            read_identity(path)
    path.write_bytes(encode(anna.vectors()))
    with pytest.raises(CorpusError, match="no identity's card"):
        read_identity(path)
    path.write_bytes(encode(identity("Ben").vectors(), {"forensics_identity": card}))
    with pytest.raises(CorpusError, match="SHA-256"):
        read_identity(path)


@given(st.binary(max_size=400))
def test_any_bytes_are_an_identity_or_a_clear_error(data):
    with pytest.raises(CorpusError):
        decode(data, "fuzz")


@given(st.integers(0, 500), st.integers(0, 255))
def test_a_flipped_byte_is_found(place, value):
    anna = identity(rows=ROWS)
    data = bytearray(encode(anna.vectors()))
    place %= len(data)
    if data[place] == value:
        return
    data[place] = value
    from forensics.identity.tensors import assemble

    try:
        back = assemble(anna.card, decode(bytes(data), "fuzz"), "fuzz")
    except CorpusError:
        return
    assert all(np.array_equal(back.vectors()[k], v) for k, v in anna.vectors().items())


@given(st.text(max_size=100))
def test_every_name_has_a_safe_slug_or_is_refused(name):
    try:
        checked = checked_name(name)
    except UsageError:
        return
    assert SLUG.fullmatch(slug_of(checked)) and slug_of(checked) == slug_of(checked_name(checked))
    assert checked_name(checked) == checked


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00", "\u202eevil", "../..", "x" * 81])
def test_names_that_hide_something_are_refused(name):
    with pytest.raises(UsageError):
        checked_name(name)


def test_names_without_latin_letters_have_a_slug_of_their_own():
    assert slug_of("王小明").startswith("id-") and slug_of("王小明") != slug_of("李小明")
    assert slug_of("../../etc/passwd") == "etc-passwd"


def record(**changes):
    fields = {
        "person": "Anna Müller",
        "given_by": "herself",
        "purpose": "tests",
        "basis": "consent",
        "given": "2025-01-01",
        "expires": "2027-01-01",
    }
    return json.dumps({**fields, **changes}).encode()


def test_consent_holds_for_its_person_and_time():
    consent = parse_consent(record(), "c.json")
    consent.check("anna müller", date(2026, 12, 31))
    for name, day, what in [
        ("Ben", date(2026, 1, 1), "is of"),
        ("Anna Müller", date(2027, 1, 1), "expired"),
        ("Anna Müller", date(2024, 1, 1), "to come"),
    ]:
        with pytest.raises(UsageError, match=what):
            consent.check(name, day)


@pytest.mark.parametrize(
    "bad", [{"basis": "because"}, {"expires": "2020-01-01"}, {"extra": 1}, {"given": "soon"}]
)
def test_a_consent_record_that_cannot_be_read_says_where(bad):
    with pytest.raises(UsageError, match=r"c\.json is no consent record") as caught:
        parse_consent(record(**bad), "c.json")
    assert "given_by" in (caught.value.fix or "")


def test_a_card_keeps_its_consent(store):
    consent = ConsentRecord.model_validate_json(record())
    store.save(identity(consent=consent))
    assert store.get("Anna Müller").card.consent == consent


def test_a_store_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ForensicsError, match="file"):
        IdentityStore(tmp_path / "file" / "people").save(identity())
