"""Finding, aligning and comparing faces: on drawn ones, and on real photos where they lie here."""

from __future__ import annotations

import csv
import time

import cv2
import numpy as np
import pytest
from helpers import tiny_faces
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from forensics.demo.portrait import portrait
from forensics.errors import MediaError, MissingRequirement, UsageError
from forensics.faces.align import TEMPLATE, aligned, crop_to_picture, similarity
from forensics.faces.base import Face
from forensics.faces.cascade import CascadeLocator
from forensics.faces.eyes import find_eyes
from forensics.faces.lbp import LbpEmbedder
from forensics.faces.onnx_embedder import OnnxEmbedder
from forensics.faces.tools import FaceConfig, open_faces
from forensics.faces.yunet import YuNet

CENTRE = np.array([72, 76])  # of a drawn face, about


@pytest.fixture(scope="module")
def tools():
    return open_faces()


def config(**parts) -> FaceConfig:
    return FaceConfig.model_validate(parts)


# --- finding


@pytest.mark.parametrize("person", range(4))
def test_a_drawn_face_is_found_with_its_eyes(tools, person):
    pixels = portrait(person, 0)
    found = tools.locate(pixels)
    assert len(found) == 1
    left, top, right, bottom = found[0].box
    assert np.abs([(left + right) / 2 - CENTRE[0], (top + bottom) / 2 - CENTRE[1]]).max() < 16
    assert 0 < found[0].confidence < 1
    eyes = found[0].landmarks
    assert eyes.shape == (2, 2) and eyes.dtype == np.float32
    assert eyes[0, 0] < eyes[1, 0] and abs(eyes[0, 1] - eyes[1, 1]) < 8
    grey = pixels.mean(axis=2)
    assert all(grey[int(y), int(x)] < 90 for x, y in eyes)  # pupils are dark


def test_many_faces_come_largest_first(tools):
    wall = np.full((320, 480, 3), 128, np.uint8)
    large = cv2.resize(portrait(0, 0), (288, 288), interpolation=cv2.INTER_CUBIC)
    wall[16:304, 8:296] = large
    wall[20:164, 316:460], wall[170:314, 316:460] = portrait(1, 0), portrait(2, 0)
    found = tools.locate(wall)
    areas = [(f.box[2] - f.box[0]) * (f.box[3] - f.box[1]) for f in found]
    assert len(found) == 3 and areas == sorted(areas, reverse=True)
    assert found[0].box[2] <= 300


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((1, 400, 3), np.uint8),
        np.full((200, 200, 3), 128, np.uint8),
        np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8),
    ],
    ids=["one pixel", "one row", "flat", "noise"],
)
@pytest.mark.parametrize("turns", [False, True])
def test_where_there_is_no_face_none_is_found(pixels, turns):
    assert open_faces(config(locator={"turns": turns})).locate(pixels) == []


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((40, 40, 3)),
        np.zeros((0, 40, 3), np.uint8),
    ],
    ids=["grey array", "alpha", "floats", "empty"],
)
@pytest.mark.parametrize("use", ["cascade", "whole"])
def test_arrays_that_are_no_pictures_are_refused(use, pixels):
    with pytest.raises(UsageError, match="uint8"):
        open_faces(config(locator={"use": use})).locate(pixels)


def test_grey_photos_are_as_good(tools):
    assert len(tools.locate(portrait(1, 0, grey=True))) == 1


def test_a_huge_picture_is_searched_in_bounded_time(tools):
    huge = cv2.resize(portrait(1, 0), (4800, 4800), interpolation=cv2.INTER_LINEAR)
    start = time.process_time()
    found = tools.locate(huge)
    assert time.process_time() - start < 10
    assert len(found) == 1 and found[0].box[2] - found[0].box[0] > 1500
    assert tools.crop(huge, found[0]).pixels.shape == (112, 112, 3)


def test_a_tiny_face_is_said_to_be_too_small(tools):
    small = cv2.resize(portrait(1, 0), (38, 38), interpolation=cv2.INTER_AREA)
    field = np.full((96, 96, 3), 128, np.uint8)
    field[24:62, 24:62] = small
    found = tools.locate(field)
    assert found and found[0].box[2] - found[0].box[0] < 32
    with pytest.raises(MediaError) as error:
        tools.crop(field, found[0])
    assert error.value.reason == "too_small" and error.value.fix
    lenient = open_faces(config(locator={"least_side": 16}))
    assert lenient.crop(field, found[0]).pixels.shape == (112, 112, 3)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_faces_on_their_side_are_found_with_turns_and_made_upright(tools, quarters):
    upright = portrait(1, 0)
    lying = np.ascontiguousarray(np.rot90(upright, quarters))
    assert tools.locate(lying) == []
    turning = open_faces(config(locator={"turns": True}))
    (there,), (here,) = turning.locate(lying), tools.locate(upright)
    assert turning.locate(upright)[0].box == here.box
    crops = turning.crop(lying, there), tools.crop(upright, here)
    difference = crops[0].pixels.astype(int) - crops[1].pixels
    assert np.abs(difference).mean() < 4
    left, top, right, bottom = there.box
    assert 0 <= left < right <= 144 and 0 <= top < bottom <= 144
    inside = there.landmarks
    assert (inside > [left, top]).all() and (inside < [right, bottom]).all()


def test_the_whole_picture_as_a_face():
    tools = open_faces(config(locator={"use": "whole"}))
    (face,) = tools.locate(portrait(1, 0)[20:130, 20:130])
    assert face.box == (0, 0, 110, 110) and face.confidence is None
    assert tools.locate(np.zeros((15, 90, 3), np.uint8)) == []


def test_fewer_votes_find_more():
    pixels = portrait(1, 0)
    many = CascadeLocator(votes=1).locate(pixels)
    assert len(many) >= len(CascadeLocator(votes=5).locate(pixels)) == 1
    assert CascadeLocator(votes=10_000).locate(pixels) == []


# --- eyes


@settings(max_examples=25, deadline=None)
@given(
    st.floats(34, 44), st.floats(76, 86), st.floats(44, 56), st.floats(-4, 4), st.integers(0, 99)
)
def test_dark_discs_in_white_are_found_to_the_pixel(left, right, level, lean, seed):
    rng = np.random.default_rng(seed)
    face = np.full((120, 120), 170, np.float32)
    eyes = np.array([[left, level - lean / 2], [right, level + lean / 2]])
    for x, y in eyes:
        cv2.ellipse(face, (round(x), round(y)), (11, 6), 0, 0, 360, 230, -1)
        cv2.circle(face, (round(x), round(y)), 5, 40, -1)
    grey = np.clip(cv2.GaussianBlur(face, (0, 0), 1) + rng.normal(0, 3, face.shape), 0, 255)
    found = find_eyes(grey.astype(np.uint8), (0, 0, 120, 120))
    assert found is not None
    assert np.abs(found - np.round(eyes)).max() < 2.5


def test_no_eyes_in_nothing():
    assert find_eyes(np.full((90, 90), 128, np.uint8), (0, 0, 90, 90)) is None
    assert find_eyes(np.zeros((90, 90), np.uint8), (0, 0, 8, 8)) is None
    wide = np.random.default_rng(0).integers(0, 255, (20, 200), np.uint8)
    found = find_eyes(wide, (0, 0, 200, 20))
    assert found is None or found.shape == (2, 2)


# --- alignment


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 9), st.floats(-3, 3), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_found_exactly(scale, angle, x, y):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for points in (TEMPLATE, TEMPLATE[:2]):
        found = similarity(points, points @ turn.T + [x, y])
        assert np.allclose(found[:, :2], turn, atol=1e-3 * scale)
        assert np.allclose(
            points @ found[:, :2].T + found[:, 2], points @ turn.T + [x, y], atol=0.1
        )


@pytest.mark.parametrize("count", [2, 5])
def test_landmarks_come_to_the_template(count):
    points = (TEMPLATE[:count] * 2 + [30, 10]).astype(np.float32)
    pixels = np.zeros((300, 320, 3), np.uint8)
    for x, y in points:
        cv2.circle(pixels, (round(float(x)), round(float(y))), 5, (255, 255, 255), -1)
    crop = aligned(pixels, Face((40, 20, 250, 240), points))
    for x, y in TEMPLATE[:count]:
        assert crop.pixels[round(float(y)), round(float(x))].min() > 200
    back = TEMPLATE[:count] @ crop.to_picture[:, :2].T + crop.to_picture[:, 2]
    assert np.abs(back - points).max() < 0.1


def test_fine_pictures_are_not_aliased():
    stripes = np.zeros((1120, 1120, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = aligned(stripes, Face((0, 0, 1120, 1120), TEMPLATE * 10))
    assert np.abs(crop.pixels.astype(int) - 127).max() < 12


def test_crops_of_shrunk_pictures_lie_where_they_should():
    ramp = np.repeat(np.linspace(0, 255, 1120)[None], 1120, axis=0)
    pixels = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    crop = aligned(pixels, Face((0, 0, 1120, 1120), TEMPLATE * 10))
    wanted = np.arange(112) * 10 * 255 / 1119
    assert np.abs(crop.pixels[50, :, 0] - wanted)[2:-2].max() < 1.5


def test_bad_landmarks_are_refused():
    for points in (np.zeros((3, 2)), np.full((2, 2), np.nan), np.full((5, 2), 7.0)):
        with pytest.raises(UsageError, match="landmarks"):
            crop_to_picture(Face((0, 0, 50, 50), points))


# --- comparing


def test_vectors_are_unit_and_mirrors_are_the_same():
    crops = np.stack([aligned(portrait(i, 0), Face((30, 32, 114, 116))).pixels for i in range(3)])
    vectors = LbpEmbedder().embed(crops)
    assert vectors.dtype == np.float32 and np.allclose(
        np.linalg.norm(vectors, axis=1), 1, atol=1e-5
    )
    mirrored = LbpEmbedder().embed(crops[:, :, ::-1])
    # The grid is not quite symmetric about the middle of the crop: alike, not equal.
    assert ((vectors * mirrored).sum(axis=1) > 0.99).all()
    one = LbpEmbedder().embed(crops[1:2])
    assert np.array_equal(one[0], vectors[1])
    dark = LbpEmbedder().embed((crops * 0.6).astype(np.uint8))
    assert ((vectors * dark).sum(axis=1) > 0.85).all()
    flat = LbpEmbedder().embed(np.zeros((1, 112, 112, 3), np.uint8))
    assert np.isfinite(flat).all()


def test_drawn_people_are_told_apart(tools):
    def vector(person, number):
        pixels = portrait(person, number)
        return tools.embed([tools.crop(pixels, tools.locate(pixels)[0])])[0]

    same = [vector(p, 0) @ vector(p, 1) for p in range(4)]
    other = [vector(p, 0) @ vector((p + 1) % 4, 1) for p in range(4)]
    assert np.mean(same) > np.mean(other)


def test_nothing_to_embed(tools):
    assert tools.embed([]).shape[0] == 0 and tools.embed([]).shape[1] > 0


def test_real_photos_reach_the_figures_of_the_docs(shared_data, tools):
    """A tenth of the benchmark: benchmarks/faces.py."""
    root = shared_data("faces")
    with (root / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    vectors, names, missed = [], [], 0
    for row in rows[::25] + rows[1::25]:
        pixels = np.array(Image.open(root / row["path"]).convert("RGB"))
        faces = [f for f in tools.locate(pixels) if f.box[2] - f.box[0] >= 32]
        missed += not faces
        if faces:
            vectors.append(tools.embed([tools.crop(pixels, faces[0])])[0])
            names.append(row["identity"])
    assert missed <= 2
    likeness, ids = np.array(vectors) @ np.array(vectors).T, np.array(names)
    same = ids[:, None] == ids[None]
    np.fill_diagonal(same, False)
    assert likeness[same].mean() > likeness[~same & ~np.eye(len(ids), dtype=bool)].mean() + 0.02


# --- users' models


def test_yunet_gives_boxes_landmarks_and_scores(tmp_path):
    path = tiny_faces.yunet(tmp_path / "yunet.onnx")
    tools = open_faces(config(locator={"use": "yunet", "model": path}))
    pixels = np.zeros((200, 300, 3), np.uint8)
    assert tools.locate(pixels) == []
    pixels[64:96, 96:128] = 255
    (face,) = tools.locate(pixels)
    assert face.box == (80, 48, 144, 112) and face.confidence == pytest.approx(1, abs=1e-3)
    wanted = [[96, 64], [128, 64], [112, 80], [99.2, 96], [124.8, 96]]
    assert np.allclose(face.landmarks, wanted, atol=0.1)
    large = YuNet(path, longest=300)
    (twice,) = large.locate(cv2.resize(pixels, (600, 400), interpolation=cv2.INTER_NEAREST))
    assert twice.box == (160, 96, 288, 224)
    assert "yunet" in tools.fingerprint()


def test_files_that_are_no_yunet_are_refused(tmp_path):
    with pytest.raises(MissingRequirement, match="YuNet"):
        open_faces(config(locator={"use": "yunet"}))
    with pytest.raises(MissingRequirement) as gone:
        open_faces(config(locator={"use": "yunet", "model": tmp_path / "none.onnx"}))
    assert "2026may" in str(gone.value)
    text = tmp_path / "text.onnx"
    text.write_bytes(b"not a graph")
    for path in (text, tiny_faces.embedder(tmp_path / "other.onnx")):
        with pytest.raises(UsageError, match="YuNet"):
            YuNet(path)


@pytest.mark.parametrize(
    ("side", "batch", "last"), [(112, None, False), (None, 1, False), (56, 1, True)]
)
def test_a_users_embedder(tmp_path, side, batch, last):
    path = tiny_faces.embedder(tmp_path / "tiny.onnx", side, batch, last)
    tools = open_faces(config(embedder={"use": "onnx", "model": path, "pixels": "sface"}))
    crops = [tools.crop(portrait(i, 0), Face((30, 32, 114, 116))) for i in range(3)]
    vectors = tools.embed(crops)
    assert vectors.shape == (3, 12) and vectors.dtype == np.float32
    quarters = crops[0].pixels.reshape(2, 56, 2, 56, 3).mean(axis=(1, 3)).transpose(2, 0, 1).ravel()
    assert np.allclose(vectors[0], quarters / np.linalg.norm(quarters), atol=1e-3)
    assert np.allclose(tools.embed(crops[1:2])[0], vectors[1], atol=1e-6)
    assert tools.embed([]).shape == (0, 12)


def test_pixels_are_given_as_the_family_wants_them(tmp_path):
    path = tiny_faces.embedder(tmp_path / "tiny.onnx")
    crop = np.zeros((1, 112, 112, 3), np.uint8)
    crop[..., 0] = 255
    plain, unit = OnnxEmbedder(path, "sface").embed(crop), OnnxEmbedder(path, "arcface").embed(crop)
    assert np.allclose(plain[0], [0.5] * 4 + [0] * 8)
    assert np.allclose(unit[0] * np.sqrt(12), [1] * 4 + [-1] * 8, atol=1e-3)
    own = {"use": "onnx", "model": path, "pixels": {"channels": "bgr", "scale": (2, 2, 2)}}
    tools = open_faces(config(embedder=own))
    from forensics.faces.base import FaceCrop

    turned = tools.embed([FaceCrop(crop[0], Face((0, 0, 9, 9)), np.eye(2, 3))])
    assert np.allclose(turned[0], [0] * 8 + [0.5] * 4)
    prints = {OnnxEmbedder(path, f).fingerprint() for f in ("sface", "arcface")}
    other = tiny_faces.embedder(tmp_path / "other.onnx", scale=2.0)
    assert len(prints | {OnnxEmbedder(other, "sface").fingerprint()}) == 3


def test_embedders_that_cannot_be_used_are_refused(tmp_path):
    path = tiny_faces.embedder(tmp_path / "tiny.onnx")
    with pytest.raises(UsageError, match="family"):
        OnnxEmbedder(path, None)
    with pytest.raises(MissingRequirement, match="embedder"):
        OnnxEmbedder(None, "sface")
    with pytest.raises(ValidationError):
        config(embedder={"use": "onnx", "model": path, "pixels": "vgg"})
    text = tmp_path / "text.onnx"
    text.write_bytes(b"not a graph")
    with pytest.raises(UsageError, match="no graph"):
        OnnxEmbedder(text, "sface")
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(path.read_bytes() + b"location")
    with pytest.raises(UsageError, match="other files"):
        OnnxEmbedder(outside, "sface")
    silent = OnnxEmbedder(tiny_faces.embedder(tmp_path / "zero.onnx", scale=0.0), "sface")
    with pytest.raises(UsageError, match="direction"):
        silent.embed(np.full((1, 112, 112, 3), 99, np.uint8))
    with pytest.raises(UsageError, match="not one batch"):
        OnnxEmbedder(_two_inputs(tmp_path / "two.onnx"), "sface")


def _two_inputs(path):
    import onnx

    model = onnx.load(str(tiny_faces.embedder(path)))
    more = onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, [1, 3, 112, 112])
    model.graph.input.append(more)
    onnx.save(model, str(path))
    return path


def test_every_choice_changes_the_fingerprint(tmp_path):
    yunet = tiny_faces.yunet(tmp_path / "yunet.onnx")
    model = tiny_faces.embedder(tmp_path / "tiny.onnx")
    configs = [
        config(),
        config(locator={"use": "whole"}),
        config(locator={"turns": True}),
        config(locator={"use": "yunet", "model": yunet}),
        config(embedder={"use": "onnx", "model": model, "pixels": "sface"}),
    ]
    prints = [open_faces(one).fingerprint() for one in configs]
    assert len(set(prints)) == len(prints)
    assert prints[0] == open_faces().fingerprint()
