"""Image corpora through the command line, in real processes, with editors that really misbehave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from helpers.builds import build, children, command, digests, items
from helpers.frames import frame, write_frames
from PIL import Image

from forensics.corpus.build import build_dataset, plan_dataset
from forensics.media.image import read_image, read_mask


@pytest.fixture
def frames(tmp_path):
    return write_frames(tmp_path / "frames")


def test_a_build_holds_every_edit_of_every_frame(tmp_path, frames, make_image_recipe, environment):
    recipe, out = make_image_recipe("[e-plain, e-regenerates]"), tmp_path / "c"
    result = build(recipe, frames, out, environment)
    assert (result["items"], result["failed"]) == (48, 0)
    found = items(out)
    groups = {
        split: {i.meta.group for i in found if i.meta.split == split} for split in ("train", "test")
    }
    assert groups["train"] and groups["test"] and not groups["train"] & groups["test"]
    for item in found:
        meta, picture = item.meta, read_image(item.media)
        assert (meta.width, meta.height) == (picture.width, picture.height) == (160, 120)
        assert picture.exif == {} and meta.conditions[-1]["use"] == "encode"
        assert picture.format == meta.conditions[-1]["format"]
        assert picture.subsampling == meta.conditions[-1].get("subsampling")
        if meta.label == "bonafide":
            assert item.mask is None and meta.params == {}
            continue
        mask = read_mask(item.mask, (120, 160))
        left, top, right, bottom = meta.params["box"]
        assert mask[top:bottom, left:right].sum() == mask.sum() > 0
        assert meta.params["area"] == pytest.approx(mask.mean(), abs=1e-6)
        mode = "composite" if meta.system == "e-plain" else "regenerated"
        assert (meta.params["mode"], meta.params["planner"]) == (mode, "rules")
    info = json.loads((out / "info.json").read_text())
    assert info["modes"] == {"composite": 16, "regenerated": 16}
    assert sum(info["edits"].values()) == 32
    rows = pq.read_table(out / "manifest.parquet").to_pylist()
    assert {row["modality"] for row in rows} == {"image"} and len(rows) == 48
    checked = subprocess.run([sys.executable, "-m", "forensics", "verify", str(out)])
    assert checked.returncode == 0
    inspect = [sys.executable, "-m", "forensics", "inspect", str(out)]
    shown = subprocess.run(inspect, capture_output=True, text=True).stdout
    assert "megapixels" in shown and "regenerated" in shown


def test_in_a_png_only_the_mask_differs(tmp_path, frames, make_image_recipe, environment):
    recipe = make_image_recipe("[e-plain]", "encoder: {formats: {png: 1}}")
    build(recipe, frames, tmp_path / "c", environment)
    families = {}
    for item in items(tmp_path / "c"):
        families.setdefault(item.meta.source_id, {})[item.meta.label] = item
    for family in families.values():
        real, forged = (read_image(family[label].media).pixels for label in ("bonafide", "spoof"))
        mask = read_mask(family["spoof"].mask)
        assert not (real != forged).any(axis=2)[~mask].any()
        assert (real != forged).any(axis=2)[mask].mean() > 0.5


def test_the_encoder_is_blind_to_labels(tmp_path, frames, make_image_recipe, environment):
    """Same seeds, same draws: what a pristine frame is sent through depends on its key alone."""
    more = "conditions: {probability: 0.5, choose: [{use: jpeg}]}\n"
    build(make_image_recipe("[e-plain]", more), frames, tmp_path / "one", environment)
    build(make_image_recipe("[e-plain, e-slow]", more), frames, tmp_path / "two", environment)
    one = {i.key: (i.media, i.meta.conditions) for i in items(tmp_path / "one")}
    two = {i.key: (i.media, i.meta.conditions) for i in items(tmp_path / "two")}
    assert len(two) > len(one) and all(two[key] == one[key] for key in one)
    assert len({str(conditions) for _, conditions in one.values()}) > 16


def test_workers_do_not_change_a_byte(tmp_path, frames, make_image_recipe, environment):
    recipe = make_image_recipe("[copy-move, splice, e-plain]")
    for workers in (1, 2):
        build(recipe, frames, tmp_path / str(workers), environment, "--workers", workers)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")
    assert (tmp_path / "1" / "info.json").read_bytes() == (
        tmp_path / "2" / "info.json"
    ).read_bytes()


def test_killed_builds_go_on(tmp_path, frames, make_image_recipe, environment):
    recipe, out = make_image_recipe("[e-slow]", shard=1), tmp_path / "c"
    build(recipe, frames, tmp_path / "whole", environment, "--workers", 2)
    finished = 0
    for wanted in (2, 5):  # once the build itself, then one of its workers and the build
        process = subprocess.Popen(command(recipe, frames, out, "--workers", "2"), env=environment)
        while len(list(out.glob("shards/*.json"))) < wanted:
            assert process.poll() is None
            time.sleep(0.02)
        if wanted > 2:
            os.kill(children(process.pid)[0], signal.SIGKILL)
            time.sleep(0.3)
        process.kill()
        process.wait()
        finished = len(list(out.glob("shards/*.json")))
    result = build(recipe, frames, out, environment)
    assert result["shards_reused"] >= finished >= 5 and result["shards_built"]
    assert digests(out) == digests(tmp_path / "whole")
    assert not list(out.rglob("*.part"))


REASONS = {
    "e-size": "check: another size than the frame",
    "e-nan": "check: pixels are NaN or infinite",
    "e-float": "check: pixels are not 8-bit",
    "e-nothing": "check: nothing changed",
    "e-spills": "check: pixels outside of the mask changed",
    "e-none": "check: the editor returned no edit",
    "e-empty": "check: the region is too small",
    "e-details": "TypeError: Object of type object is not JSON serializable",
    "e-raises": "ValueError: no edit for this",
    "e-refuses": "this one cannot be edited",
    "e-hangs": "hung: no answer within 5 s",
    "e-crashes": "crashed its process (SIGSEGV)",
}


def test_bad_editors_cost_their_own_items_only(tmp_path, make_image_recipe, environment):
    """Each goes wrong in one of two frames; whatever the others do is as it would be alone."""
    source, out = write_frames(tmp_path / "frames", cameras=2, each=1), tmp_path / "c"
    recipe = make_image_recipe(f"[e-plain, {', '.join(REASONS)}]", timeout_s=5)
    result = build(recipe, source, out, environment, "--max-failed", "0.1", code=3)
    assert (result["items"], result["failed"], result["rejected"]) == (16, 12, 7)
    again = build(recipe, source, out, environment, "--max-failed", "0.2")
    assert again["shards_built"] == 0
    listed = {
        failure["system"]: failure["reason"]
        for path in (out / "shards").glob("*.json")
        for failure in json.loads(path.read_text())["failures"]
    }
    assert listed == REASONS
    build(make_image_recipe("[e-plain]"), source, tmp_path / "plain", environment)
    kept = {item.key: item.media for item in items(out)}
    assert all(kept[item.key] == item.media for item in items(tmp_path / "plain"))


def test_an_editor_cannot_change_what_others_get(tmp_path, make_image_recipe, environment):
    source = write_frames(tmp_path / "frames", cameras=1, each=3)
    build(make_image_recipe("[e-plain]"), source, tmp_path / "alone", environment)
    beside = make_image_recipe("[e-vandal, e-plain]")
    result = build(beside, source, tmp_path / "beside", environment, code=3)
    assert "ValueError: assignment destination is read-only" in result["failures_by_reason"]
    alone, beside = (
        {i.key: i.media for i in items(tmp_path / name) if i.meta.system != "e-vandal"}
        for name in ("alone", "beside")
    )
    assert alone == beside


def test_images_that_cannot_be_used_are_listed(tmp_path, make_image_recipe, environment):
    source = write_frames(tmp_path / "frames", cameras=2, each=2)
    whole = (source / "camera0" / "0.jpg").read_bytes()
    (source / "camera0" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "camera1" / "words.png").write_bytes(b"no picture at all")
    Image.fromarray(frame(1, 5)[:40, :40]).save(source / "camera1" / "small.png")
    result = build(make_image_recipe("[e-plain]"), source, tmp_path / "c", environment, code=3)
    assert result["items"] == 8
    assert result["failures_by_reason"] == {
        "source: truncated": 1,
        "source: not_media": 1,
        "source: too_small": 1,
    }


def test_systems_that_need_a_camera_are_planned_where_there_is_one(
    tmp_path, make_image_recipe, environment
):
    source = write_frames(tmp_path / "frames", cameras=1, each=3)
    write_frames(tmp_path / "two", cameras=3, each=2)
    (tmp_path / "two" / "camera1").rename(source / "camera1")
    (tmp_path / "two" / "camera2" / "1.jpg").unlink()
    (tmp_path / "two" / "camera2").rename(source / "camera2")
    recipe = make_image_recipe("[e-plain, e-pair, e-plate]")
    plan = build(recipe, source, tmp_path / "c", environment, "--dry-run")
    assert {name: row["items"] for name, row in plan["systems"].items()} == {
        "bonafide": 6,
        "e-plain": 6,
        "e-pair": 5,
        "e-plate": 3,
    }
    assert any("3 of 6 frames have fewer than two others" in text for text in plan["warnings"])
    assert not (tmp_path / "c").exists()


def test_large_and_turned_frames_take_the_same_road(tmp_path, make_image_recipe, environment):
    """Made smaller, and turned as EXIF says, before anything else: for both labels."""
    source = tmp_path / "frames" / "camera0"
    source.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(3):
        large = Image.fromarray(frame(0, number)).resize((640, 480))
        large.save(source / f"{number}.jpg", exif=exif, quality=95)
    recipe = make_image_recipe("[e-plain]", "frames: {max_side: 320}")
    build(recipe, source.parent, tmp_path / "c", environment)
    found = items(tmp_path / "c")
    assert {(i.meta.width, i.meta.height) for i in found} == {(240, 320)} and len(found) == 6
    assert all(read_image(item.media).orientation == 1 for item in found)


def test_an_image_corpus_is_a_source_again(tmp_path, frames, make_image_recipe, environment):
    recipe = make_image_recipe("[e-plain]", "frames: {dedupe: false}")
    build(recipe, frames, tmp_path / "first", environment)
    result = build(recipe, tmp_path / "first" / "shards", tmp_path / "second", environment)
    assert (result["items"], result["failed"]) == (32, 0)
    first, second = (
        {(i.meta.source_id, i.meta.group, i.meta.split) for i in items(tmp_path / name)}
        for name in ("first", "second")
    )
    assert first == second


def test_frames_of_videos(tmp_path, make_image_recipe, environment):
    av = pytest.importorskip("av", reason="needs PyAV")
    place = tmp_path / "videos"
    place.mkdir()
    for camera in range(2):
        with av.open(str(place / f"camera{camera}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            stream.bit_rate = 2_000_000
            for number in range(18):
                picture = av.VideoFrame.from_ndarray(frame(camera, number), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
    more = "frames: {per_video: 4, dedupe: false}"
    result = build(make_image_recipe("[e-plain]", more), place, tmp_path / "c", environment)
    assert (result["items"], result["failed"]) == (16, 0)
    found = items(tmp_path / "c")
    assert {item.meta.group for item in found} == {"camera0", "camera1"}
    assert len({item.meta.parent for item in found}) == 8


WEIGHTY = ["own-inpainter", "diffusers-inpaint", "diffusers-instruct", "instruct-regenerated"]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Tiny weights for the editors of `surfitr` that a user gives some."""
    from helpers import tiny_diffusers, tiny_inpainter

    folder = tmp_path_factory.mktemp("weights")
    few = {"size": 64, "steps": 2}
    words = {**tiny_diffusers.build("pix2pix", folder / "pix2pix"), **few}
    return {
        "own-inpainter": {"weights": tiny_inpainter.build(folder / "own"), "steps": [2, 2]},
        "diffusers-inpaint": {**tiny_diffusers.build("sd", folder / "sd"), **few},
        "diffusers-instruct": words,
        "instruct-regenerated": words,
    }


def test_the_shipped_pipeline_takes_the_weights_that_are_named(frames, named):
    systems = ["copy-move", *WEIGHTY]
    plan, _ = plan_dataset("surfitr", frames, systems=systems)
    assert {system.name for system in plan.missing} == set(WEIGHTY)
    plan, _ = plan_dataset("surfitr", frames, systems=systems, settings=named)
    assert not plan.missing and {system.name for system in plan.systems} == set(systems)


@pytest.mark.slow
def test_weights_that_are_named_make_edits(tmp_path, named):
    frames = write_frames(tmp_path / "frames", cameras=1, each=2)
    build_dataset("surfitr", frames, tmp_path / "c", systems=WEIGHTY, settings=named)
    made = {item.meta.system for item in items(tmp_path / "c")}
    assert {"bonafide"} < made <= {"bonafide", *WEIGHTY}
