"""Image plans: groups, near-duplicates, cameras, recipes."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.frames import background, frame, write_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from forensics.corpus.images.frame import Frame
from forensics.corpus.images.plan import make_plan
from forensics.corpus.images.recipe import Frames, ImageRecipe
from forensics.corpus.images.source import load_source
from forensics.corpus.item import Source
from forensics.corpus.pictures.encoder import drawn_encoding
from forensics.corpus.pictures.near_duplicates import near_pairs, signature
from forensics.corpus.pictures.settings import Encoder
from forensics.corpus.recipe import load_recipe
from forensics.errors import UsageError

BASE = {"name": "x", "version": 1, "modality": "image", "summary": "s", "systems": ["copy-move"]}


def recipe(**fields) -> ImageRecipe:
    return ImageRecipe.model_validate({**BASE, **fields})


def source_of(folder, **frames):
    return load_source(folder, None, Frames(**frames))


def test_a_hash_survives_recompression_and_size_and_tells_cameras_apart(tmp_path):
    pixels = frame(0, 0)
    Image.fromarray(pixels).resize((320, 240)).save(tmp_path / "a.jpg", quality=40)
    again = np.asarray(Image.open(tmp_path / "a.jpg"))
    bits = signature(pixels).bits
    assert (bits ^ signature(again).bits).bit_count() <= 4
    others = [signature(background(camera)).bits for camera in range(1, 20)]
    assert min((bits ^ other).bit_count() for other in others) > 8


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20), st.integers(0, 64))
def test_near_pairs_are_those_of_a_plain_loop(hashes, bits):
    expected = {
        (i, j)
        for j in range(len(hashes))
        for i in range(j)
        if (hashes[i] ^ hashes[j]).bit_count() <= bits
    }
    assert set(near_pairs(hashes, bits)) == expected


def test_something_small_that_moves_is_no_duplicate():
    still = signature(background(0))
    noise = np.random.default_rng(0).integers(-2, 3, background(0).shape)
    again = np.clip(background(0).astype(int) + noise, 0, 255).astype(np.uint8)
    walked = background(0)
    walked[70:82, 30:36] = 0
    assert still.same(signature(again)) and not still.same(signature(walked))


def test_cameras_that_share_frames_are_one_group(tmp_path):
    folder = write_frames(tmp_path / "frames", cameras=4, each=3)
    copied = Image.open(folder / "camera0" / "1.jpg")
    copied.save(folder / "camera2" / "9.jpg", quality=60)
    found = source_of(folder)
    groups = {item.camera: item.group for item in found.items}
    assert groups == {
        "camera0": "camera0",
        "camera1": "camera1",
        "camera2": "camera0",
        "camera3": "camera3",
    }
    assert any("4 cameras are 3 groups" in note for note in found.notes)
    # The recompressed copy is left out: it shows what its original shows.
    assert len(found.items) == 12 and any("1 frames show" in note for note in found.notes)
    for seed in range(8):
        plan = make_plan(recipe(seed=seed), found)
        splits = {p.source.camera: p.split for shard in plan.shards for p in shard.frames}
        assert splits["camera0"] == splits["camera2"]


def test_duplicates_are_kept_where_the_recipe_says_so(tmp_path):
    folder = write_frames(tmp_path / "frames", cameras=2, each=2)
    shutil.copy(folder / "camera0" / "0.jpg", folder / "camera0" / "7.jpg")
    assert len(source_of(folder).items) == 4
    assert len(source_of(folder, dedupe=False).items) == 5


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12))
def test_large_cameras_are_dealt_into_even_parts(count, most):
    frames = [
        Frame(
            **{"id": f"f{i:02d}", "path": f"a/{i}.jpg", "sha256": "0", "group": "a"},
            **{"domain": "d", "camera": "a", "width": 64, "height": 64},
        )
        for i in range(count)
    ]
    plan = make_plan(recipe(frames={"per_camera": most}), Source(Path(), frames))
    planned = [p for shard in plan.shards for p in shard.frames]
    parts = {p.camera: plan.frames_of(p.camera) for p in planned}
    sizes = [len(part) for part in parts.values()]
    assert sum(sizes) == count and max(sizes) <= most and max(sizes) - min(sizes) <= 1
    for part in parts.values():  # in time: 9 before 10
        numbers = [int(p.source.path[2:-4]) for p in part]
        assert numbers == sorted(numbers)
    order = [p.camera for shard in plan.shards for p in shard.frames]
    changes = sum(a != b for a, b in itertools.pairwise(order))
    assert changes == len(parts) - 1  # the frames of a part lie together


def test_edits_per_frame_draws_systems_evenly(tmp_path):
    folder = write_frames(tmp_path / "frames", cameras=8, each=4)
    systems = [{"use": "copy-move", "name": f"s{i}"} for i in range(4)]
    plan = make_plan(recipe(systems=systems, edits_per_frame=2), source_of(folder))
    planned = [p for shard in plan.shards for p in shard.frames]
    assert all(len(p.systems) == 2 for p in planned)
    counts = [sum(f"s{i}" in p.systems for p in planned) for i in range(4)]
    assert sum(counts) == 64 and min(counts) >= 8
    again = make_plan(recipe(systems=systems, edits_per_frame=2), source_of(folder))
    assert again.hash == plan.hash


def test_the_hash_covers_pixels_and_recipe(tmp_path):
    folder = write_frames(tmp_path / "frames", cameras=2, each=2)
    base = make_plan(recipe(), source_of(folder))
    assert make_plan(recipe(encoder={"quality": [60, 90]}), source_of(folder)).hash != base.hash
    Image.fromarray(frame(1, 3)).save(folder / "camera1" / "1.jpg", quality=92)
    assert make_plan(recipe(), source_of(folder)).hash != base.hash


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("file,scene\na.jpg,x\n", "no column 'path'"),
        ("path;scene\na.jpg;x\n", "split at ';'"),
        ("path,scene\n,x\n", "no path"),
        ("path,scene,label\na.jpg,x,2\n", "label '2' is not known"),
        ("path,scene,split\na.jpg,x,val\n", "split 'val'"),
        ("path,scene\na.jpg,x\n./a.jpg,y\n", "lists a.jpg twice"),
    ],
)
def test_bad_lists(content, complaint, tmp_path):
    Image.fromarray(frame(0, 0)).save(tmp_path / "a.jpg")
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(UsageError, match=complaint):
        source_of(tmp_path / "list.csv")


@pytest.mark.parametrize("column", ["scene", "camera", "group"])
def test_lists_name_cameras(column, tmp_path):
    Image.fromarray(frame(0, 0)).save(tmp_path / "a.jpg")
    (tmp_path / "list.csv").write_text(f"path,{column},licence,label\na.jpg,gate,CC0,real\n")
    (found,) = source_of(tmp_path / "list.csv").items
    assert (found.camera, found.licence, found.width) == ("gate", "CC0", 160)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"encoder": {"quality": [95, 60]}}, "quality is"),
        ({"encoder": {"formats": {}}}, "name at least one"),
        ({"encoder": {"formats": {"jpeg": 0}}}, "weights above 0"),
        ({"encoder": {"formats": {"gif": 1}}}, "formats"),
        ({"checks": {"area": [0.5, 0.1]}}, "area is"),
        ({"frames": {"max_side": 100, "min_side": 200}}, "min_side is above"),
        ({"edits": []}, "edits"),
        ({"edits": ["deletion"]}, "edits"),
        ({"planner": {"use": "oracle"}}, "planner"),
        ({"edits_per_frame": 0}, "edits_per_frame"),
        ({"sentences": "x.txt"}, "sentences"),
        ({"systems": ["copy-move", "copy-move"]}, "named twice"),
    ],
)
def test_bad_recipes_say_what_is_wrong(fields, complaint, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**BASE, **fields}))
    with pytest.raises(UsageError, match=complaint):
        load_recipe(str(path))


@pytest.mark.parametrize("modality", ["smell", ["image"], None])
def test_an_unknown_modality_is_said(modality, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**BASE, "modality": modality}))
    with pytest.raises(UsageError, match="modality is"):
        load_recipe(str(path))


weights = st.floats(0.01, 100)


@given(
    st.dictionaries(st.sampled_from(["jpeg", "png"]), weights, min_size=1),
    st.tuples(st.integers(1, 100), st.integers(1, 100)),
    st.dictionaries(st.sampled_from(["4:2:0", "4:4:4", "4:2:2"]), weights, min_size=1),
    st.integers(0, 2**63 - 1),
)
def test_encodings_stay_within_the_recipe(formats, quality, subsampling, seed):
    fields = {"formats": formats, "quality": quality, "subsampling": subsampling}
    if quality[0] > quality[1]:
        with pytest.raises(ValidationError):
            Encoder.model_validate(fields)
        return
    encoder = Encoder.model_validate(fields)
    drawn = drawn_encoding(encoder, seed)
    assert drawn == drawn_encoding(encoder, seed)
    assert drawn["format"] in formats
    if drawn["format"] == "jpeg":
        assert quality[0] <= drawn["quality"] <= quality[1] and drawn["subsampling"] in subsampling


def test_draws_follow_the_weights():
    encoder = Encoder(formats={"jpeg": 3, "png": 1}, quality=(70, 71), subsampling={"4:4:4": 1})
    drawn = [drawn_encoding(encoder, seed) for seed in range(2000)]
    jpegs = [one for one in drawn if one["format"] == "jpeg"]
    assert 0.7 < len(jpegs) / len(drawn) < 0.8
    assert 0.45 < np.mean([one["quality"] == 70 for one in jpegs]) < 0.55
