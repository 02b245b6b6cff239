"""What every registered forger of faces keeps, whoever wrote it.

A forger that is ready as it is gets tested without further ado. One that needs weights is tested
when `READY_PARAMS` says how to make it ready.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from helpers import tiny_autoencoders

from forensics.demo.portrait import portrait
from forensics.errors import ForensicsError, MissingRequirement, UsageError
from forensics.faces.base import Face
from forensics.generators.face.base import FORGERS, FaceKind, FaceRequest, Portrait
from forensics.generators.image.base import EditMode

BOX = (30, 32, 114, 116)
EYES = ((56, 62), (88, 62))
FIVE = (*EYES, (72, 84), (60, 102), (84, 102))


def _pipeline(family: str):
    def make(folder: Path) -> dict[str, Any]:
        from helpers import tiny_diffusers

        return {**tiny_diffusers.build(family, folder / "pipeline"), "steps": 1, "size": 64}

    return make


def _adapter(folder: Path) -> dict[str, Any]:
    from helpers import tiny_diffusers

    return {**_pipeline("sd-words")(folder), **tiny_diffusers.ip_adapter(folder / "adapter")}


READY_PARAMS = {
    "face-latent": lambda folder: {"weights": tiny_autoencoders.taef2(folder / "taef2")},
    "face-inpaint": _pipeline("sd"),
    "face-text2image": _pipeline("sd-words"),
    "face-reference": _pipeline("pix2pix"),
    "ip-adapter": _adapter,
}
"""Forger → its parameters, from weights that are built on the spot."""

# Other tests register crude ones of their own in the same process.
NAMES = [name for name in FORGERS.names() if FORGERS.get(name).__module__.startswith("forensics.")]
LANDMARKS = {"none": None, "eyes": EYES, "five": FIVE}


def drawn(person: int, number: int = 0, landmarks=EYES, grey: bool = False) -> Portrait:
    points = None if landmarks is None else np.array(landmarks, np.float32)
    face = Face(BOX, points, 0.9)
    return Portrait(f"person{person}", portrait(person, number, grey=grey), face)


def request_for(name: str, seed: int = 5, **how: Any) -> FaceRequest:
    target = drawn(1, **how)
    wanted = FORGERS.get(name).donors
    who = {"none": (), "other": (2, 2), "same": (1, 1)}[wanted]
    donors = tuple(drawn(person, 1 + i, **how) for i, person in enumerate(who))
    return FaceRequest("k", seed, target, donors)


@pytest.fixture(scope="session")
def loaded(tmp_path_factory):
    """`loaded("face-swap")` → the forger, ready."""
    known: dict[str, Any] = {}

    def make(name: str):
        if name not in known:
            params = READY_PARAMS.get(name, lambda _: {})(tmp_path_factory.mktemp(name))
            forger = FORGERS.get(name)(**params)
            if lacking := forger.check():
                pytest.skip("; ".join(str(error) for error in lacking))
            forger.load()
            known[name] = forger
        return known[name]

    return make


@pytest.fixture(scope="session")
def forged(loaded):
    """`forged(name)` → request and result, made once."""
    known: dict[str, Any] = {}

    def make(name: str):
        if name not in known:
            request = request_for(name)
            known[name] = request, loaded(name).forge(request)
        return known[name]

    return make


def holds(request: FaceRequest, result) -> None:
    before = request.target.pixels
    assert result.pixels.shape == before.shape and result.pixels.dtype == np.uint8
    assert result.mask.shape == before.shape[:2] and result.mask.dtype == np.bool_
    assert result.mask.any() and result.mode in get_args(EditMode)
    if result.mode == "composite":
        assert np.array_equal(result.pixels[~result.mask], before[~result.mask])
        assert not result.mask.all()
    changed = (result.pixels != before).any(axis=2)
    assert changed[result.mask].mean() > 0.02
    assert json.loads(json.dumps(result.details)) == result.details


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name):
    cls = FORGERS.get(name)
    assert cls.kind in get_args(FaceKind)
    assert cls.donors in ("none", "other", "same")
    assert cls.summary and "\n" not in cls.summary and not cls.summary.endswith(".")
    assert cls.licence and cls.version and cls.modality == "image"
    assert all(error.fix for error in cls().check())


@pytest.mark.parametrize("name", NAMES)
def test_the_result_is_a_picture_with_its_mask(name, forged):
    holds(*forged(name))


@pytest.mark.parametrize("name", NAMES)
def test_details_say_which_donor(name, forged):
    request, result = forged(name)
    if request.donors:
        assert result.details["donor"] in range(len(request.donors))


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides(name, forged, loaded):
    request, result = forged(name)
    again = loaded(name).forge(replace(request))
    assert np.array_equal(again.pixels, result.pixels)
    assert np.array_equal(again.mask, result.mask) and again.details == result.details
    others = [loaded(name).forge(replace(request, seed=seed)).pixels for seed in (6, 7)]
    assert not all(np.array_equal(other, result.pixels) for other in others)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_left_alone(name, forged, loaded):
    request, result = forged(name)
    photos = (request.target, *request.donors)
    locked = [replace(one, pixels=one.pixels.copy()) for one in photos]
    for one in locked:
        one.pixels.setflags(write=False)
    again = loaded(name).forge(replace(request, target=locked[0], donors=tuple(locked[1:])))
    assert np.array_equal(again.pixels, result.pixels)


@pytest.mark.parametrize("landmarks", LANDMARKS)
@pytest.mark.parametrize("name", NAMES)
def test_boxes_eyes_and_five_landmarks_are_enough(name, landmarks, loaded):
    request = request_for(name, landmarks=LANDMARKS[landmarks])
    holds(request, loaded(name).forge(request))


@pytest.mark.parametrize("name", NAMES)
def test_grey_photos_give_grey_forgeries(name, loaded):
    request = request_for(name, grey=True)
    result = loaded(name).forge(request)
    if result.mode == "regenerated" or name in ("face-swap", "self-blend", "context-swap"):
        spread = result.pixels.astype(int).max(axis=2) - result.pixels.min(axis=2)
        assert spread.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_wrong_donor_is_refused(name, loaded):
    request = request_for(name)
    wanted = FORGERS.get(name).donors
    if wanted == "none":
        return
    wrong = drawn(1 if wanted == "other" else 3, 2)
    with pytest.raises(UsageError, match="donor"):
        loaded(name).forge(replace(request, donors=(*request.donors, wrong)))
    with pytest.raises(ForensicsError, match="donor"):
        loaded(name).forge(replace(request, donors=()))


def with_face(request: FaceRequest, **changed: Any) -> FaceRequest:
    target = replace(request.target, face=replace(request.target.face, **changed))
    return replace(request, target=target)


def with_pixels(request: FaceRequest, pixels: np.ndarray) -> FaceRequest:
    return replace(request, target=replace(request.target, pixels=pixels))


BROKEN = {
    "float pixels": lambda r: with_pixels(r, r.target.pixels / 255),
    "grey array": lambda r: with_pixels(r, r.target.pixels[..., 0]),
    "one pixel": lambda r: with_pixels(r, r.target.pixels[:1, :1]),
    "box outside": lambda r: with_face(r, box=(100, 100, 200, 200)),
    "empty box": lambda r: with_face(r, box=(50, 50, 50, 90)),
    "three landmarks": lambda r: with_face(r, landmarks=np.zeros((3, 2), np.float32)),
    "landmarks at one point": lambda r: with_face(r, landmarks=np.full((2, 2), 60, np.float32)),
    "landmarks that are no numbers": lambda r: with_face(
        r, landmarks=np.full((2, 2), np.nan, np.float32)
    ),
    "tiny face": lambda r: with_face(r, box=(60, 60, 75, 75), landmarks=None),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("name", NAMES)
def test_a_broken_request_is_refused(name, broken, loaded):
    request = BROKEN[broken](request_for(name))
    if broken == "landmarks at one point" and FORGERS.get(name).kind in ("fullsynth", "idpreserve"):
        holds(request, loaded(name).forge(request))
        return
    with pytest.raises(ForensicsError) as error:
        loaded(name).forge(request)
    assert error.value.fix


@pytest.mark.parametrize("box", [(0, 0, 144, 144), (0, 40, 60, 100), (84, 84, 144, 144)])
@pytest.mark.parametrize("name", NAMES)
def test_faces_at_the_border_give_a_result_or_an_error_that_says_why(name, box, loaded):
    request = with_face(request_for(name), box=box, landmarks=None)
    try:
        result = loaded(name).forge(request)
    except ForensicsError as error:
        assert error.fix
        return
    assert result.pixels.shape == request.target.pixels.shape
    if result.mode == "composite":
        same = result.pixels == request.target.pixels
        assert same[~result.mask].all()


@pytest.mark.parametrize("name", sorted(READY_PARAMS))
def test_without_weights_it_says_how_to_get_them(name):
    lacking = FORGERS.get(name)().check()
    assert lacking and all(isinstance(e, MissingRequirement) and e.fix for e in lacking)


@pytest.mark.parametrize("name", ["face-latent", "face-inpaint"])
def test_regenerated_mode_makes_all_pixels(name, tmp_path):
    forger = FORGERS.get(name)(**READY_PARAMS[name](tmp_path), mode="regenerated")
    forger.load()
    request = request_for(name)
    result = forger.forge(request)
    outside = result.pixels[~result.mask] != request.target.pixels[~result.mask]
    assert result.mode == "regenerated" and outside.mean() > 0.5


@pytest.mark.parametrize("name", [n for n in NAMES if FORGERS.get(n).reads_prompt])
def test_words_of_the_request_go_before_the_forgers_own(name, loaded):
    result = loaded(name).forge(replace(request_for(name), prompt="a person on the moon"))
    assert result.details["prompt"] == "a person on the moon"
