"""Corpora of faces through the command line, in real processes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers.builds import build, children, command, digests, items
from PIL import Image

from forensics.demo.portrait import portrait, write_portraits
from forensics.faces.base import Face
from forensics.faces.tools import open_faces
from forensics.media.image import read_image, read_mask

ALL = (
    "[f-paste, f-shade, {use: f-scene, prompts: [at sea]}, {use: f-nobody, splits: [test]}, "
    "f-refuses, f-spills]"
)


@pytest.fixture
def people(tmp_path):
    """A CSV of six people with four photos each, two of them without colour."""
    folder = write_portraits(tmp_path / "people", people=6, each=4, grey=(4, 5))
    with (folder / "list.csv").open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["path", "person", "licence", "consent"])
        for person in range(6):
            for number in range(4):
                licence, consent = ("CC0", "given") if person % 2 else ("CC BY", "")
                rows.writerow(
                    [f"person{person}/{number}.png", f"Person {person}", licence, consent]
                )
    return folder / "list.csv"


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "forensics", *map(str, words)], capture_output=True, text=True
    )


def test_a_build_says_of_every_item_what_it_claims_and_what_it_shows(
    tmp_path, people, make_face_recipe, environment
):
    out = tmp_path / "c"
    result = build(make_face_recipe(ALL), people, out, environment, "--max-failed", "0.2")
    reasons = result["failures_by_reason"]
    assert set(reasons) == {
        "check: pixels outside of the mask changed", "this face cannot be forged",
    }  # fmt: skip
    found = items(out)
    by_split = {
        split: {i.meta.group for i in found if i.meta.split == split} for split in ("train", "test")
    }
    assert len(by_split["train"]) == len(by_split["test"]) == 3
    assert not by_split["train"] & by_split["test"]
    apart = {i.meta.source_id for i in found if i.meta.params["use"] == "enrol"}
    assert len(apart) == 6
    for item in found:
        meta, told, picture = item.meta, item.meta.params, read_image(item.media)
        left, top, right, bottom = told["box"]
        assert 0 <= left < right <= meta.width and 0 <= top < bottom <= meta.height
        assert (meta.width, meta.height) == (picture.width, picture.height)
        assert [c["use"] for c in meta.conditions] == ["frame", "encode"]
        assert {told["claimed"], told["shows"]} - {""} <= by_split[meta.split]
        assert told["scene"] == meta.group
        colour = np.ptp(picture.pixels.astype(int), axis=2).mean()
        assert (colour == 0) == (told["scene"] in ("Person 4", "Person 5"))
        donors = told.get("donors", [])
        assert not apart & {donor["id"] for donor in donors}
        if meta.label == "bonafide":
            assert (meta.system, meta.kind, item.mask) == ("bonafide", "bonafide", None)
            assert told["role"] == ("real" if told["claimed"] == told["shows"] else "lookalike")
            assert told["consent"] == ("given" if meta.licence == "CC0" else "not stated")
            continue
        mask = read_mask(item.mask, (meta.height, meta.width))
        assert told["area"] == pytest.approx(mask.mean(), abs=1e-6)
        assert meta.source_id not in apart and told["use"] == "probe"
        if told["role"] == "swap":
            assert told["shows"] == donors[0]["identity"] != meta.group
            assert told["tool"] == "scissors"
            both = {int(told["shows"][-1]) % 2, int(meta.group[-1]) % 2}
            assert meta.licence == (
                "CC BY; CC0" if len(both) == 2 else ("CC BY", "CC0")[both.pop()]
            )
    roles = json.loads((out / "info.json").read_text())["roles"]
    assert roles["real"] == 24 and set(roles) == {
        "real", "lookalike", "swap", "selfblend", "context", "fullsynth",
    }  # fmt: skip
    assert {i.meta.split for i in found if i.meta.system == "f-nobody"} == {"test"}
    assert run("verify", out).returncode == 0
    assert "lookalike" in run("inspect", out).stdout
    sheet = tmp_path / "sheet.png"
    assert run("contact-sheet", out, "--out", sheet, "--rows", 7).returncode == 0
    assert Image.open(sheet).size[1] > Image.open(sheet).size[0]
    assert run("export", out, "--out", tmp_path / "e", "--format", "folders").returncode == 0
    lines = (tmp_path / "e" / "test" / "metadata.jsonl").read_text().splitlines()
    assert all(json.loads(line)["params"]["claimed"] for line in lines)


def test_workers_and_kills_do_not_change_a_byte(tmp_path, people, make_face_recipe, environment):
    recipe = make_face_recipe("[f-paste, f-slow]", "faces: {locator: {use: whole}}\n", shard=2)
    out = tmp_path / "killed"
    build(recipe, people, tmp_path / "whole", environment)
    process = subprocess.Popen(command(recipe, people, out, "--workers", "2"), env=environment)
    while len(list(out.glob("shards/*.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    time.sleep(0.2)
    process.kill()
    process.wait()
    finished = len(list(out.glob("shards/*.json")))
    result = build(recipe, people, out, environment, "--workers", 2)
    assert result["shards_reused"] >= finished >= 3 and result["shards_built"]
    assert digests(out) == digests(tmp_path / "whole")
    assert not list(out.rglob("*.part"))


def test_what_cannot_be_used_costs_itself_alone(tmp_path, make_face_recipe, environment):
    """A photo that is cut, one of two people, one that changes after it was planned; and then the
    corpus is a source again."""
    source = write_portraits(tmp_path / "people", people=4, each=3)
    whole = (source / "person0" / "0.png").read_bytes()
    (source / "person0" / "cut.png").write_bytes(whole[: len(whole) // 2])
    beside = [portrait(n, 9) for n in (1, 2)]
    canvas = Image.new("RGB", (288, 144))
    for number, pixels in enumerate(beside):
        canvas.paste(Image.fromarray(pixels), (144 * number, 0))
    canvas.save(source / "person1" / "both.png")
    recipe, out = make_face_recipe("[f-paste]"), tmp_path / "c"
    result = build(recipe, source, out, environment, code=0)
    assert result["failures_by_reason"] == {
        "face: several, none of them dominant": 1, "source: truncated": 1,
    }  # fmt: skip
    assert (result["failed"], result["rejected"]) == (2, 1)
    again = build(recipe, out / "shards", tmp_path / "again", environment)
    first, second = (
        {(i.meta.source_id, i.meta.group, i.meta.split) for i in items(place)}
        for place in (out, tmp_path / "again")
    )
    assert first == second and again["items"] == result["items"]


def test_real_photos_show_whom_they_say(tmp_path, shared_data, make_face_recipe, environment):
    """The shipped forgers on real photos: a swapped face resembles its donor more than the photo
    did that it was put into."""
    faces = shared_data("faces")
    lines = (faces / "manifest.csv").read_text().splitlines()
    wanted = ("orl_s2,", "orl_s7,", "orl_s11,", "orl_s19,")
    chosen = [line for name in wanted for line in [ln for ln in lines if name in ln][:4]]
    source = tmp_path / "people"
    source.mkdir()
    (source / "images").symlink_to(faces / "images")
    (source / "list.csv").write_text("\n".join([lines[0], *chosen]))
    systems = "[{use: face-swap, params: {part: face}}, self-blend]"
    recipe = make_face_recipe(systems, shard=16)
    recipe.write_text(recipe.read_text().replace("train: 0.5, test: 0.5", "test: 1"))
    build(recipe, source / "list.csv", tmp_path / "c", environment, code=0)
    tools = open_faces()
    vectors, swaps, shown = {}, [], {}
    for item in items(tmp_path / "c"):
        told = item.meta.params
        crop = tools.crop(read_image(item.media).pixels, Face(tuple(told["box"])))
        vector = tools.embed([crop])[0]
        if told["role"] == "swap":
            swaps.append((vector, told["shows"], item.meta.source_id))
        elif told["role"] == "real":
            shown.setdefault(told["shows"], []).append(vector)
            vectors[item.meta.source_id] = vector
    gained = [
        float((vector - vectors[scene]) @ np.mean(shown[donor], axis=0))
        for vector, donor, scene in swaps
    ]
    assert len(gained) == 12 and sum(gain > 0 for gain in gained) >= 10
