"""Plans of faces: who may appear together, consents, sources, the cut around the face."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import odd_forgers
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from forensics.corpus.faces.framing import frame, rescaled, without_colour
from forensics.corpus.faces.photo import FaceAt, Photo, the_face
from forensics.corpus.faces.plan import FacePlan, make_plan
from forensics.corpus.faces.recipe import FaceRecipe, Framing, Photos
from forensics.corpus.faces.source import FaceSource, load_source
from forensics.corpus.recipe import load_recipe
from forensics.demo.portrait import portrait, write_portraits
from forensics.errors import UsageError
from forensics.faces.base import Face
from forensics.faces.tools import FaceConfig
from forensics.generators.face.base import FORGERS

FORGER_CLASSES = (odd_forgers.Paste, odd_forgers.Shade, odd_forgers.Scene, odd_forgers.Nobody)
for forger in FORGER_CLASSES:
    if forger.name not in FORGERS.names():
        FORGERS.register(forger)
SYSTEMS = [
    {"use": "f-paste"},
    {"use": "f-paste", "name": "onto-others", "claims": "donor", "splits": ["train"]},
    {"use": "f-shade", "splits": ["test"]},
    {"use": "f-scene", "prompts": ["at sea"], "donors": 2},
    {"use": "f-nobody"},
    {"use": "f-shade", "name": "elsewhere", "role": "context"},
]
BASE = {"name": "x", "version": 1, "modality": "face", "summary": "s", "systems": SYSTEMS}
WHOLE = FaceConfig.model_validate({"locator": {"use": "whole"}})


def recipe(**fields) -> FaceRecipe:
    return FaceRecipe.model_validate({**BASE, **fields})


def photo(person: str, number: int, **fields) -> Photo:
    face = FaceAt(box=(10, 10, 60, 70))
    known = {"identity": person, "group": person, "consent": "given", "face": face}
    name = f"{person}-{number}"
    size = {"width": 80, "height": 80, "domain": "d"}
    return Photo(id=name, path=f"{name}.png", sha256=name, **(known | size | fields))


def source_of(photos: list[Photo]) -> FaceSource:
    vectors = {}
    for number, one in enumerate(photos):
        vector = np.random.default_rng(number).standard_normal(6).astype(np.float32)
        vectors[one.id] = vector / np.linalg.norm(vector)
    return FaceSource(Path(), sorted(photos, key=lambda p: p.id), embeddings=vectors)


people = st.lists(
    st.tuples(
        st.integers(1, 7),  # photos
        st.booleans(),  # grey
        st.sampled_from([None, None, "train", "dev", "test"]),
        st.booleans(),  # shares a photo with the one before
    ),
    min_size=1,
    max_size=9,
)


def drawn_source(drawn) -> FaceSource:
    photos, group, split = [], "", None
    for person, (count, grey, stated, joined) in enumerate(drawn):
        if not (joined and person):
            group, split = f"p{person}", stated
        photos += [
            photo(f"p{person}", n, group=group, split=split, grey=grey) for n in range(count)
        ]
    return source_of(photos)


@settings(max_examples=40, deadline=None)
@given(people, st.integers(0, 3), st.integers(0, 99), st.sampled_from([None, 1, 2]))
def test_nobody_crosses_a_split(drawn, enrol, seed, most):
    source = drawn_source(drawn)
    plan = make_plan(recipe(enrol=enrol, seed=seed, forgeries_per_photo=most), source)
    group = {one.identity: one.group for one in source.items}
    split = {planned.source.group: planned.split for planned in plan.all_photos}
    photos = list(plan.all_photos)
    assert sorted(p.source.id for p in photos) == [one.id for one in source.items]
    for planned in photos:
        assert planned.split == split[planned.source.group]  # one split a group
        systems = {system.name for system in plan.systems_of(planned.split)}
        assert planned.items[0].role == "real"
        if planned.use == "enrol":
            assert len(planned.items) == 1
        for item in planned.items:
            donors = [plan.photo(name) for name in item.donors]
            named = {item.claimed, item.shows, *(d.source.identity for d in donors)} - {""}
            assert {split[group[name]] for name in named} == {planned.split}
            assert all(donor.use == "probe" for donor in donors)
            assert planned.source.id not in item.donors
            if item.role == "swap":
                assert {d.source.grey for d in donors} == {planned.source.grey}
                assert group[donors[0].source.identity] != planned.source.group
                assert item.shows == donors[0].source.identity
                assert item.claimed in (planned.source.identity, item.shows)
                assert item.name != "onto-others" or item.claimed == item.shows
            elif item.role == "lookalike":
                assert group[item.claimed] != planned.source.group
                assert item.shows == planned.source.identity
            elif item.name == "elsewhere":
                assert item.role == "context"
            elif item.role == "context":
                assert {d.source.identity for d in donors} == {planned.source.identity}
                assert item.prompt == "at sea"
            if item.role not in ("real", "lookalike"):
                assert item.name in systems
        assert (
            most is None or sum(i.role not in ("real", "lookalike") for i in planned.items) <= most
        )
    apart = {p.source.identity for p in photos if p.use == "enrol"}
    enough = {f"p{i}" for i, (count, *_) in enumerate(drawn) if enrol and count >= enrol + 2}
    assert apart == enough


def test_the_same_source_gives_the_same_plan_and_it_survives_json():
    source = source_of([photo(f"p{p}", n) for p in range(8) for n in range(5)])
    plan = make_plan(recipe(), source)
    assert make_plan(recipe(), source).hash == plan.hash
    again = FacePlan.model_validate(json.loads(plan.model_dump_json()))
    assert again.digest() == plan.hash and again == plan
    assert make_plan(recipe(seed=1), source).hash != plan.hash
    assert make_plan(recipe(framing={"margin": [0.1, 0.2]}), source).hash != plan.hash
    assert "embedding" not in plan.model_dump_json()


def test_lookalikes_are_those_who_resemble_most():
    photos = [photo(f"p{p}", n) for p in range(4) for n in range(3)]
    source = source_of(photos)
    angles = {"p0": 0.0, "p1": 0.2, "p2": 2.0, "p3": 2.3}
    source.embeddings = {
        p.id: np.array([np.cos(angles[p.identity]), np.sin(angles[p.identity])], np.float32)
        for p in photos
    }
    only = {"splits": {"train": 1.0}, "enrol": 0, "lookalikes": {"per_identity": 2, "among": 1}}
    plan = make_plan(recipe(**only), source)
    claims = [i for p in plan.all_photos for i in p.items if i.role == "lookalike"]
    assert {(i.claimed, i.shows) for i in claims} == {
        ("p0", "p1"), ("p1", "p0"), ("p2", "p3"), ("p3", "p2"),
    }  # fmt: skip
    assert len(claims) == 8


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"conditions": {"probability": 1, "choose": [{"use": "crop"}]}}, "no 'crop' here"),
        ({"framing": {"margin": [0.5, 0.1]}}, "low <= high"),
        ({"framing": {"scale": [0, 1]}}, "leaves"),
        ({"photos": {"max_side": 64, "min_side": 100}}, "min_side is above"),
        ({"systems": [{"use": "f-paste", "claims": "nobody"}]}, "claims"),
        ({"faces": {"locator": {"use": "haar"}}}, "locator"),
        ({"edits": ["removal"]}, "edits"),
    ],
)
def test_bad_recipes_say_what_is_wrong(fields, complaint, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**BASE, **fields}))
    with pytest.raises(UsageError, match=complaint):
        load_recipe(str(path))


def save(folder: Path, name: str, pixels: np.ndarray) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("path,licence\na.png,x\n", "no column 'identity'"),
        ("file,identity\na.png,x\n", "no column 'path'"),
        ("path,identity\n,x\n", "row 1: no path"),
        ("path,identity\na.png,\n", "row 1: nobody is named"),
        ("path,identity\na.png,x\n./a.png,y\n", "lists a.png twice"),
        ("path,identity,consent\na.png,x,perhaps\n", "consent 'perhaps' is not known"),
        ("path,identity,consent_expires\na.png,x,soon\n", "'soon' is no date"),
        ("path,identity,split\na.png,x,val\n", "split 'val'"),
        ("path,identity,consent\na.png,x,refused\n", "no photos that may be used .1 photos are"),
    ],
)
def test_bad_lists(content, complaint, tmp_path):
    save(tmp_path, "a.png", portrait(0, 0))
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(UsageError, match=complaint):
        load_source(tmp_path / "list.csv", None, Photos(), WHOLE)


def test_refused_and_expired_consents_are_left_out_and_counted(tmp_path):
    today = date.today()
    rows = {
        "given,": "given",
        f"given,{today + timedelta(days=2)}": "given",
        f"given,{today}": None,
        "expired,": None,
        "refused,": None,
        "Withdrawn,": None,
        ",": "not stated",
        "public_interest,": "public_interest",
    }
    lines = ["path,identity,consent,consent_expires,licence"]
    for number, said in enumerate(rows):
        save(tmp_path, f"{number}.png", portrait(number, 0))
        lines.append(f"{number}.png,p{number},{said},CC0")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    source = load_source(tmp_path / "list.csv", None, Photos(), WHOLE)
    kept = {one.path: one.consent for one in source.items}
    assert kept == {f"{n}.png": said for n, said in enumerate(rows.values()) if said}
    assert "4 photos are left out for want of consent: 2 expired, 2 refused" in source.notes


def test_a_record_in_a_persons_folder_speaks_for_their_photos(tmp_path):
    write_portraits(tmp_path, people=3, each=2)
    record = {"given_by": "them", "purpose": "tests", "basis": "consent", "given": "2020-01-31"}
    ours, theirs = (tmp_path / f"person{n}" / "consent.json" for n in (0, 1))
    ours.write_text(json.dumps(record | {"person": "person0"}))
    theirs.write_text(json.dumps(record | {"person": "person1", "expires": "2021-01-31"}))
    source = load_source(tmp_path, None, Photos(), WHOLE)
    assert {(one.identity, one.consent) for one in source.items} == {
        ("person0", "given"), ("person2", "not stated"),
    }  # fmt: skip
    assert "2 photos are left out for want of consent: 2 expired" in source.notes
    theirs.write_text(json.dumps(record | {"person": "somebody"}))
    with pytest.raises(UsageError, match="the consent record is of 'somebody'"):
        load_source(tmp_path, None, Photos(), WHOLE)
    save(tmp_path, "loose.png", portrait(0, 0))
    with pytest.raises(UsageError, match="lies in no subfolder"):
        load_source(tmp_path, None, Photos(), WHOLE)


def test_photos_without_one_clear_face_say_why(tmp_path):
    beside = np.hstack([portrait(0, 1), portrait(1, 1)])
    large = np.asarray(Image.fromarray(portrait(0, 2)).resize((360, 360)))
    tall = np.vstack([large, np.pad(portrait(1, 2), ((0, 0), (0, 216), (0, 0)))])
    save(tmp_path, "p/one.png", portrait(0, 0))
    save(tmp_path, "p/two.png", beside)
    save(tmp_path, "p/large.png", tall)
    save(tmp_path, "p/none.png", np.full((90, 90, 3), 90, np.uint8))
    save(tmp_path, "p/tiny.png", np.asarray(Image.fromarray(portrait(0, 3)).resize((40, 40))))
    (tmp_path / "p" / "words.png").write_bytes(b"no picture")
    source = load_source(tmp_path, None, Photos(min_side=32), FaceConfig())
    reasons = {Path(one.path).stem: one.broken for one in source.items}
    assert reasons == {
        "one": None,
        "large": None,
        "two": "face: several, none of them dominant",
        "none": "face: none was found",
        "tiny": "face: too_small",
        "words": "source: not_media",
    }
    boxes = [Face((0, 0, 20, 20)), Face((30, 0, 44, 14))]
    assert the_face(boxes, 2.0) is boxes[0] and isinstance(the_face(boxes, 3.0), str)


def test_people_who_share_a_photo_are_one_group_and_duplicates_go(tmp_path):
    write_portraits(tmp_path, people=3, each=2)
    copied = Image.open(tmp_path / "person0" / "1.png")
    copied.save(tmp_path / "person2" / "7.jpg", quality=80)
    source = load_source(tmp_path, None, Photos(), WHOLE)
    groups = {one.identity: one.group for one in source.items}
    assert groups == {"person0": "person0", "person1": "person1", "person2": "person0"}
    assert len(source.items) == 6
    assert any("3 people are 2 groups" in note for note in source.notes)
    assert any("1 photos show" in note for note in source.notes)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(20, 90),
    st.integers(20, 90),
    st.tuples(st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0.1, 1), st.floats(0.1, 1)),
    st.integers(0, 2**62),
)
def test_the_cut_keeps_the_face_and_follows_the_seed_alone(width, height, place, seed):
    left, top = int(place[0] * width), int(place[1] * height)
    right = min(width, left + max(2, int(place[2] * width)))
    bottom = min(height, top + max(2, int(place[3] * height)))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top:bottom, left:right] = 255
    inside = pixels[..., 0] > 0
    plain = frame(pixels, None, (left, top, right, bottom), Framing(), seed, 12)
    masked = frame(pixels, inside, (left, top, right, bottom), Framing(), seed, 12)
    assert (plain.pixels == masked.pixels).all() and plain.drawn == masked.drawn
    assert plain.mask is None and masked.mask is not None and plain.box == masked.box
    x0, y0, x1, y1 = plain.box
    assert 0 <= x0 < x1 <= plain.pixels.shape[1] and 0 <= y0 < y1 <= plain.pixels.shape[0]
    assert min(x1 - x0, y1 - y0) >= 12
    boxed = np.zeros(masked.mask.shape, bool)
    boxed[y0:y1, x0:x1] = True
    if min(x1 - x0, y1 - y0) > 8:  # rounding aside, the box lies where the face lies
        shared = (boxed & masked.mask).sum() / (boxed | masked.mask).sum()
        assert shared > 0.6


@given(st.integers(0, 255), st.integers(0, 255))
def test_grey_stays_what_it_is_and_colour_goes(grey, other):
    plain = np.full((3, 4, 3), grey, np.uint8)
    assert (without_colour(plain) == plain).all()
    tinted = plain.copy()
    tinted[..., 1] = other
    assert np.ptp(without_colour(tinted), axis=2).max() == 0


def test_a_box_moves_with_its_picture():
    assert rescaled((10, 20, 30, 40), (100, 200), (50, 100)) == (5, 10, 15, 20)
    assert rescaled((0, 0, 1, 1), (100, 100), (10, 10)) == (0, 0, 1, 1)
