"""What forgeries of faces show, on drawn faces and on real photos."""

from __future__ import annotations

import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers import tiny_diffusers
from PIL import Image

from forensics.demo.portrait import portrait
from forensics.errors import ForensicsError, MissingRequirement, UsageError
from forensics.faces.align import crop_to_picture
from forensics.faces.base import Face
from forensics.faces.tools import open_faces
from forensics.generators.face.base import FORGERS, FaceRequest, Portrait
from forensics.generators.face.carry import donor_to_target, match_colours
from forensics.generators.face.cutout import figure_cut, head_cut
from forensics.generators.face.shapes import FaceShape

BOX = (30, 32, 114, 116)
EYES = np.array([[56, 62], [88, 62]], np.float32)


def drawn(person: int, number: int = 0) -> Portrait:
    return Portrait(f"person{person}", portrait(person, number), Face(BOX, EYES))


@pytest.fixture(scope="module")
def tools():
    return open_faces()


@pytest.fixture(scope="module")
def people(shared_data, tools):
    """Identity → three portraits, of six people in colour and six in grey."""
    root = shared_data("faces")
    with (root / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = list(dict.fromkeys(row["identity"] for row in rows))
    found: dict[str, list[Portrait]] = {}
    for name in [n for n in names if n.startswith("lfw")][:6] + names[4:10]:
        for row in [r for r in rows if r["identity"] == name][:3]:
            pixels = np.array(Image.open(root / row["path"]).convert("RGB"))
            faces = tools.locate(pixels)
            if faces:
                found.setdefault(name, []).append(Portrait(name, pixels, faces[0]))
    return found


def embedded(tools, pixels: np.ndarray, face: Face) -> np.ndarray:
    return tools.embed([tools.crop(pixels, face)])[0]


def pairs(people):
    """A target and a photo of the next person of the same sort, for everybody."""
    for sort in ("lfw", "orl"):
        names = [name for name in people if name.startswith(sort)]
        for one, other in zip(names, names[1:] + names[:1], strict=True):
            yield people[one][0], people[other]


def test_a_swap_looks_like_the_donor_and_no_longer_like_the_target(people, tools):
    forger = FORGERS.get("face-swap")(part="face", blend="alpha")
    gains = []
    for target, donors in pairs(people):
        result = forger.forge(FaceRequest("k", 3, target, tuple(donors)))
        donor = donors[result.details["donor"]]
        theirs = embedded(tools, donor.pixels, donor.face)
        own = embedded(tools, target.pixels, target.face)
        made = embedded(tools, result.pixels, target.face)
        gains.append((made @ theirs - own @ theirs, own @ made))
    towards, kept = np.array(gains).T
    assert (towards > 0).mean() >= 0.9 and towards.mean() > 0.03
    assert kept.max() < 0.97


def test_a_self_blend_still_looks_like_its_person(people, tools):
    forger = FORGERS.get("self-blend")()
    for target, donors in pairs(people):
        result = forger.forge(FaceRequest("k", 3, target))
        own = embedded(tools, target.pixels, target.face)
        made = embedded(tools, result.pixels, target.face)
        assert made @ own > made @ embedded(tools, donors[0].pixels, donors[0].face)


def test_in_somebody_elses_picture_the_donor_is_found(people, tools):
    forger = FORGERS.get("context-swap")()
    done = 0
    for target, donors in pairs(people):
        try:
            result = forger.forge(FaceRequest("k", 3, target, tuple(donors)))
        except ForensicsError:
            continue
        donor = donors[result.details["donor"]]
        faces = tools.locate(result.pixels)
        assert faces, (target.identity, donor.identity)
        made = embedded(tools, result.pixels, faces[0])
        own = embedded(tools, target.pixels, target.face)
        done += bool(made @ embedded(tools, donor.pixels, donor.face) > made @ own)
    assert done >= 9


def test_a_swap_of_a_coloured_face_takes_the_targets_colours():
    target, donor = drawn(1), drawn(2, 1)
    tinted = np.clip(donor.pixels.astype(int) + np.array([-60, 0, 60]), 0, 255).astype(np.uint8)
    forger = FORGERS.get("face-swap")(blend="alpha", colour=(1.0, 1.0), part="face")
    result = forger.forge(FaceRequest("k", 1, target, (replace(donor, pixels=tinted),)))
    before, after = target.pixels[result.mask], result.pixels[result.mask]
    assert np.abs(before.mean(axis=0) - after.mean(axis=0)).max() < 16


def test_a_poisson_blend_leaves_no_step_at_its_rim():
    target, donor = drawn(1), drawn(2, 1)
    bright = np.clip(donor.pixels.astype(int) + 50, 0, 255).astype(np.uint8)
    forger = FORGERS.get("face-swap")(blend="poisson", colour=(0.0, 0.0), part="inner")
    result = forger.forge(FaceRequest("k", 1, target, (replace(donor, pixels=bright),)))
    rim = result.mask & ~cv2.erode(result.mask.astype(np.uint8), np.ones((5, 5))).astype(bool)
    step = np.abs(result.pixels[rim].astype(int) - target.pixels[rim]).mean()
    assert step < 8


def test_a_donor_whose_face_is_cut_off_is_refused():
    donor = drawn(2, 1)
    cut = replace(donor, pixels=np.ascontiguousarray(donor.pixels[:, 70:]))
    cut = replace(cut, face=Face((0, 32, 44, 116), EYES - [70, 0]))
    with pytest.raises(ForensicsError, match="cuts its face off"):
        FORGERS.get("face-swap")().forge(FaceRequest("k", 1, drawn(1), (cut,)))


def test_the_nearest_donor_is_the_one_like_the_target():
    target, donors = drawn(1), (drawn(2, 1), drawn(3, 2))
    twin = replace(drawn(1, 0), identity="twin")
    result = FORGERS.get("face-swap")().forge(FaceRequest("k", 1, target, (*donors, twin)))
    assert result.details["donor"] == 2


def test_a_refined_fit_finds_a_small_stretch():
    target = drawn(1)
    stretch = np.array([[1.0, 0, 0], [0, 1.08, -4.0]])
    donor = replace(target, pixels=cv2.warpAffine(target.pixels, stretch, (144, 144)))
    plain, _ = donor_to_target(target, donor, refine=False)
    fitted, refined = donor_to_target(target, donor, refine=True)
    mouth = np.array([72.0, 104.0])
    there = stretch @ [*mouth, 1]
    far, near = (np.linalg.norm(move @ [*there, 1] - mouth) for move in (plain, fitted))
    assert refined and near < 1.5 < far


def test_colours_are_matched_within_the_mask_and_by_share():
    rng = np.random.default_rng(0)
    face = rng.integers(100, 140, (40, 40, 3)).astype(np.uint8)
    target = np.clip(face.astype(int) + np.array([50, 10, -40]), 0, 255).astype(np.uint8)
    where = np.ones((40, 40), bool)
    whole, half, none = (match_colours(face, target, where, share) for share in (1, 0.5, 0))
    assert np.abs(whole.mean((0, 1)) - target.mean((0, 1))).max() < 3
    assert np.abs(none.astype(int) - face).max() <= 1
    distance = [np.abs(one.mean((0, 1)) - target.mean((0, 1))).sum() for one in (whole, half, none)]
    assert distance == sorted(distance)


def test_shapes_stay_within_their_rim_and_follow_the_face():
    shape = FaceShape("face", 1.0, 2.0, 0.2, np.zeros((4, 2)))
    alpha = shape.alpha(np.eye(2, 3), (112, 112))
    rows, columns = np.nonzero(alpha)
    assert abs(rows.mean() - 66) < 1 and abs(columns.mean() - 56) < 1
    assert 70 <= np.ptp(columns) <= 72 and alpha.max() == 1
    moved = shape.alpha(np.array([[2.0, 0, 30], [0, 2.0, 10]]), (260, 260))
    rows, columns = np.nonzero(moved)
    assert abs(rows.mean() - 142) < 1 and abs(columns.mean() - 142) < 1
    assert abs((moved > 0).sum() / (alpha > 0).sum() - 4) < 0.1


def test_a_head_and_a_figure_are_cut_out():
    person = drawn(1)
    head, figure = head_cut(person), figure_cut(person)
    inside = crop_to_picture(person.face) @ [56, 70, 1]
    x, y = round(inside[0]), round(inside[1])
    for cut in (head, figure):
        assert cut[y, x] and not cut[0, 0] and 0.1 < cut.mean() < 0.8
    same = head_cut(person)
    assert np.array_equal(head, same)


def test_an_adapter_makes_the_photo_count(tmp_path):
    words = {**tiny_diffusers.build("sd-words", tmp_path / "pipe"), "steps": 2, "size": 64}
    adapter = tiny_diffusers.ip_adapter(tmp_path / "adapter")
    request = FaceRequest("k", 1, drawn(1), (drawn(1, 1),))
    other = replace(request, donors=(drawn(1, 2),))

    def made(scale):
        forger = FORGERS.get("ip-adapter")(**words, **{**adapter, "adapter_scale": scale})
        forger.load()
        return [forger.forge(one).pixels for one in (request, other)]

    strong, off = made(1.0), made(0.0)
    assert not np.array_equal(*strong) and np.array_equal(*off)


def test_adapters_that_cannot_be_used_are_refused(tmp_path):
    words = {**tiny_diffusers.build("sd-words", tmp_path / "pipe"), "steps": 1, "size": 64}
    adapter = tiny_diffusers.ip_adapter(tmp_path / "adapter")
    make = FORGERS.get("ip-adapter")
    pickled = make(**words, **{**adapter, "adapter_file": "models/tiny.bin"})
    assert "pickled" in str(pickled.check()[0])
    nowhere = make(**words, **{**adapter, "adapter": str(tmp_path / "none")})
    assert nowhere.check()
    with pytest.raises(MissingRequirement):
        nowhere.fingerprint()

    flux = tiny_diffusers.build("kontext", tmp_path / "flux")
    unfit = make(**flux, steps=1, size=64, **adapter)
    with pytest.raises(UsageError, match="IP-Adapter"):
        unfit.load()
    (tmp_path / "adapter" / "models" / "tiny.safetensors").write_bytes(b"no tensors")
    broken = make(**words, **adapter)
    with pytest.raises(UsageError, match="IP-Adapter"):
        broken.load()


@pytest.mark.parametrize(
    ("name", "family"),
    [("face-inpaint", "pix2pix"), ("face-reference", "sd-4"), ("face-text2image", "sd")],
)
def test_pipelines_of_another_kind_are_refused(name, family, tmp_path):
    forger = FORGERS.get(name)(**tiny_diffusers.build(family, tmp_path / "pipe"))
    with pytest.raises(UsageError, match=r"mask|picture"):
        forger.load()


@pytest.mark.parametrize("family", ["kontext", "qwen-edit", "klein"])
def test_photos_of_a_person_go_to_editors_by_words(family, tmp_path):
    made = tiny_diffusers.build(family, tmp_path / "pipe")
    forger = FORGERS.get("face-reference")(**made, steps=1, size=64)
    forger.load()
    target = drawn(1)
    wide = replace(target, pixels=np.ascontiguousarray(target.pixels[:120]))
    request = FaceRequest("k", 1, wide, (drawn(1, 1), drawn(1, 2)))
    result = forger.forge(request)
    assert result.pixels.shape == wide.pixels.shape and result.mask.all()
    assert result.mode == "regenerated"


def test_words_alone_are_enough_for_pipelines_that_also_take_pictures(tmp_path):
    made = tiny_diffusers.build("klein", tmp_path / "pipe")
    forger = FORGERS.get("face-text2image")(**made, steps=1, size=64)
    forger.load()
    assert forger.forge(FaceRequest("k", 1, drawn(1))).mask.all()
