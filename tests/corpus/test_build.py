"""Builds through the command line, in real processes, with engines that really misbehave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from helpers.builds import anyone, build, check_killed, children, command, digests, items, parent


def test_a_build_holds_every_copy_of_every_utterance(
    tmp_path, make_source, make_recipe, environment
):
    result = build(make_recipe("[espeak, lpc]"), make_source(6, 3), tmp_path / "c", environment)
    assert (result["items"], result["failed"]) == (18, 0)
    found = items(tmp_path / "c")
    families = {item.meta.source_id for item in found}
    assert len(families) == 6
    for family in families:
        members = [item.meta for item in found if item.meta.source_id == family]
        assert {m.system for m in members} == {"bonafide", "espeak", "lpc"}
        shared = {(m.duration_s, m.sampling_rate, m.split, m.group, m.parent) for m in members}
        assert len(shared) == 1
    groups = {
        split: {i.meta.group for i in found if i.meta.split == split} for split in ("train", "test")
    }
    assert groups["train"] and groups["test"] and not groups["train"] & groups["test"]
    assert {len(item.media) for item in found if item.meta.source_id == min(families)} == {
        len(next(i for i in found if i.meta.source_id == min(families)).media)
    }


def test_workers_do_not_change_a_byte(tmp_path, make_source, make_recipe, environment):
    recipe, source = make_recipe("[espeak, lpc]"), make_source(8, 4)
    for workers in (1, 3):  # of four shards
        build(recipe, source, tmp_path / str(workers), environment, "--workers", workers)
    assert digests(tmp_path / "1") == digests(tmp_path / "3")


def test_six_kills_later_the_shards_are_the_same(tmp_path, make_source, make_recipe, environment):
    source, recipe = make_source(90, 12, seconds=1.3), make_recipe("[t-slow]", shard=1)
    check_killed(tmp_path, recipe, source, environment, "--workers", 2, kills=6, victim=parent)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_twenty_kills_of_anyone(workers, tmp_path, make_source, make_recipe, environment):
    count = 130 * workers  # so much that the build is not done before the last kill
    source, recipe = make_source(count, 12, seconds=1.3), make_recipe("[t-slow, lpc]", shard=1)
    check_killed(tmp_path, recipe, source, environment, "--workers", workers, victim=anyone)


def test_a_killed_worker_process_is_replaced_within_the_build(
    tmp_path, make_source, make_recipe, environment
):
    recipe, source = make_recipe("[t-slow]", shard=2), make_source(16, 4)
    build(recipe, source, tmp_path / "whole", environment)
    process = subprocess.Popen(
        command(recipe, source, tmp_path / "c", "--workers", "2", "--json"),
        env=environment,
        stdout=subprocess.PIPE,
    )
    while not list(tmp_path.glob("c/shards/*.json")):
        time.sleep(0.05)
    (child,) = children(process.pid)[:1]
    os.kill(child, signal.SIGKILL)
    out, _ = process.communicate(timeout=120)
    result = json.loads(out)
    assert (result["items"], result["failed"]) == (32, 0)
    assert digests(tmp_path / "c") == digests(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_damaged_shard_is_named_and_rebuilt_alone(
    damage, tmp_path, make_source, make_recipe, environment
):
    recipe, source, out = make_recipe("[espeak]"), make_source(6, 3), tmp_path / "c"
    build(recipe, source, out, environment)
    before = digests(out)
    tar = sorted((out / "shards").glob("*.tar"))[1]
    content = bytearray(tar.read_bytes())
    if damage == "truncated":
        tar.write_bytes(content[: len(content) // 2])
    elif damage == "altered":
        content[len(content) // 2] ^= 4
        tar.write_bytes(content)
    else:
        tar.unlink()
    others = {p: p.stat().st_mtime_ns for p in out.glob("shards/*.tar") if p.name != tar.name}
    checked = subprocess.run(
        [sys.executable, "-m", "forensics", "verify", str(out)], capture_output=True, text=True
    )
    assert checked.returncode == 4
    assert tar.stem in checked.stdout and not any(p.stem in checked.stdout for p in others)
    result = build(recipe, source, out, environment)
    assert (result["shards_built"], result["shards_reused"]) == (1, len(others))
    assert digests(out) == before
    assert {p: p.stat().st_mtime_ns for p in others} == others
    assert subprocess.run([sys.executable, "-m", "forensics", "verify", str(out)]).returncode == 0


DEADLY = {
    "t-hangs": "hung: no answer within 2 s",
    "t-crashes": "crashed its process (SIGSEGV)",
}
BAD = {
    "t-raises": "ValueError: no voice for this text",
    "t-silent": "silent: below -60 dBFS",
    "t-nan": "holds NaN or infinite samples",
    "t-short": "too short: 0.30 s of speech, need 1.0 s",
    "t-rate": "ValueError: Sample rate should be over 0",
    "t-list": "AttributeError: 'list' object has no attribute 'mean'",
    "t-details": "TypeError: Object of type object is not JSON serializable",
}


@pytest.mark.parametrize(
    ("sound", "bad", "timeout_s"), [(["espeak"], BAD, 60), ([], DEADLY, 2)], ids=["bad", "deadly"]
)
def test_bad_engines_cost_their_own_items_only(
    sound, bad, timeout_s, tmp_path, make_source, make_recipe, environment
):
    """Each fails for the two odd texts of four, and makes the other two as it should."""
    recipe = make_recipe(f"[{', '.join([*sound, *bad])}]", shard=4, timeout_s=timeout_s)
    source, out = make_source(4, 2), tmp_path / "c"
    more = ("--workers", 2, "--max-failed")
    result = build(recipe, source, out, environment, *more, "0.1", code=3)
    made = Counter(item.meta.system for item in items(out))
    assert made == dict.fromkeys(["bonafide", *sound], 4) | dict.fromkeys(bad, 2)
    assert (result["items"], result["failed"]) == (made.total(), 2 * len(bad))
    listed: dict[str, list[str]] = {}
    for path in (out / "shards").glob("*.json"):
        for failure in json.loads(path.read_text())["failures"]:
            listed.setdefault(failure["system"], []).append(failure["reason"])
    assert listed.keys() == bad.keys()
    for engine, reasons in listed.items():
        assert len(reasons) == 2 and all(said.startswith(bad[engine]) for said in reasons)
    again = build(recipe, source, out, environment, "--max-failed", "0.5")
    assert again["shards_built"] == 0


def test_an_engine_that_prints_does_not_break_the_json(
    tmp_path, make_source, make_recipe, environment
):
    result = build(make_recipe("[t-noisy]"), make_source(2, 2), tmp_path / "c", environment)
    assert result["failed"] == 0


def test_another_plan_in_the_same_folder_is_an_error(
    tmp_path, make_source, make_recipe, environment
):
    recipe, source = make_recipe("[espeak]"), make_source(2, 2)
    build(recipe, source, tmp_path / "c", environment)
    said = build(recipe, source, tmp_path / "c", environment, "--seed", 5, code=2)
    assert "another plan" in said and "seed" in said


def test_two_builds_in_one_folder(tmp_path, make_source, make_recipe, environment):
    recipe, source = make_recipe("[t-slow]"), make_source(20, 2)
    first = subprocess.Popen(command(recipe, source, tmp_path / "c"), env=environment)
    while not (tmp_path / "c" / "plan.json").exists():
        time.sleep(0.02)
    first.send_signal(signal.SIGSTOP)  # it is not done before the second one has looked
    said = build(recipe, source, tmp_path / "c", environment, code=2)
    first.kill()
    first.wait()
    assert "another build is running" in said


def test_sources_that_cannot_be_decoded_are_listed(tmp_path, make_source, make_recipe, environment):
    source = make_source(4, 2)
    (source.parent / "clip 1.wav").write_bytes(b"no audio at all")
    (source.parent / "clip 2.wav").unlink()
    result = build(make_recipe("[espeak]"), source, tmp_path / "c", environment, code=3)
    assert result["failures_by_reason"] == {"source: not_found": 2, "source: not_media": 2}
    assert result["items"] == 4


def test_dry_run_builds_nothing_and_names_what_is_missing(
    tmp_path, make_source, make_recipe, environment
):
    recipe, source = make_recipe("[espeak, lyra]"), make_source(4, 2)
    plan = build(recipe, source, tmp_path / "c", environment, "--dry-run")
    assert plan["items"] == 8 and not (tmp_path / "c").exists()
    (missing,) = plan["missing"]
    assert missing["name"] == "lyra" and missing["fixes"][0]
    assert any("2 groups" in warning for warning in plan["warnings"])
    build(recipe, source, tmp_path / "c", environment, "--require-all", code=5)


def test_texts_without_recordings_give_tts_only(tmp_path, make_recipe, environment):
    source = tmp_path / "texts.csv"
    source.write_text("text,speaker\nA first sentence to read.,a\nAnd a second one as well.,b\n")
    result = build(make_recipe("[espeak, lpc]"), source, tmp_path / "c", environment)
    assert result["items"] == 2
    assert {item.meta.system for item in items(tmp_path / "c")} == {"espeak"}


def test_a_corpus_is_a_source_again(tmp_path, make_source, make_recipe, environment):
    recipe, source = make_recipe("[espeak]"), make_source(4, 2)
    build(recipe, source, tmp_path / "first", environment)
    result = build(recipe, tmp_path / "first" / "shards", tmp_path / "second", environment)
    assert result["items"] == 8
    first, second = (
        {i.meta.source_id: i.meta.split for i in items(tmp_path / name)}
        for name in ("first", "second")
    )
    assert first == second


def test_a_full_disk_is_said_and_resumed(tmp_path, make_source, make_recipe, environment):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        recipe, source = make_recipe("[espeak]"), make_source(10, 5)
        said = build(recipe, source, disk / "c", environment, "--workers", "3", code=6)
        assert "cannot write" in said and "free some space" in said
        kept = {p.name for p in (disk / "c" / "shards").glob("*.json")}
        assert kept and not list(disk.rglob("*.part"))
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        result = build(recipe, source, disk / "c", environment)
        assert result["shards_reused"] == len(kept)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("file,speaker\na.wav,x\n", "no column 'path'"),
        ("path,split\na.wav,validation\n", "split 'validation'"),
        ("path,speaker\na.wav,x\n./a.wav,y\n", "lists a.wav twice"),
        ("text\nOne text.\nOne text.\n", "lists 'One text.' twice"),
        ("path;speaker\na.wav;x\n", "split at ';'"),
        ("path,label\na.wav,maybe\n", "the label 'maybe' is not known"),
        ("path,label\na.wav,fake\n", "1 rows of list.csv are spoofs"),
        (b"path,speaker\ncaf\xe9.wav,x\n", "not UTF-8"),
        ("path,text\na.wav," + "x" * 140_000 + "\n", "not a CSV"),
        ("path,speaker\n", "holds no recordings"),
        ("path,speaker,split\na.wav,x,train\nb.wav,x,test\n", "in the splits train and test"),
    ],
)
def test_bad_lists(content, complaint, tmp_path, make_recipe, environment):
    (tmp_path / "list.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    said = build(
        make_recipe("[espeak]"), tmp_path / "list.csv", tmp_path / "c", environment, code=2
    )
    assert complaint in said and "fix:" in said
    assert not (tmp_path / "c").exists()


def test_an_engine_cannot_change_the_bona_fide_item(
    tmp_path, make_source, make_recipe, environment
):
    source = make_source(2, 2)
    build(make_recipe("[espeak]"), source, tmp_path / "alone", environment)
    build(make_recipe("[t-vandal, espeak]"), source, tmp_path / "beside", environment)
    alone, beside = (
        {i.key: i.media for i in items(tmp_path / name) if i.meta.system == "bonafide"}
        for name in ("alone", "beside")
    )
    assert alone == beside


def test_a_source_that_changes_is_another_plan_or_a_failure(
    tmp_path, make_source, make_recipe, environment
):
    recipe, source = make_recipe("[espeak]"), make_source(4, 2)
    build(recipe, source, tmp_path / "c", environment)
    clip = source.parent / "clip 1.wav"
    content = bytearray(clip.read_bytes())
    content[2_000] ^= 1
    clip.write_bytes(content)
    said = build(recipe, source, tmp_path / "c", environment, code=2)
    assert "the source list differs" in said


def test_a_plan_that_was_edited_is_refused(tmp_path, make_source, make_recipe, environment):
    recipe, source = make_recipe("[espeak]"), make_source(2, 2)
    build(recipe, source, tmp_path / "c", environment)
    plan = tmp_path / "c" / "plan.json"
    plan.write_text(plan.read_text().replace("a plain sentence", "another sentence"))
    assert "was changed after" in build(recipe, source, tmp_path / "c", environment, code=4)


@pytest.mark.parametrize("out", ["", "inside", "file"])
def test_bad_places_for_a_corpus(out, tmp_path, make_source, make_recipe, environment):
    source = make_source(2, 2).parent
    (source / "list.csv").unlink()
    (tmp_path / "file").write_text("in the way")
    place = {"": "", "inside": source / "corpus", "file": tmp_path / "file"}[out]
    code = 6 if out == "file" else 2
    said = build(make_recipe("[espeak]"), source, place, environment, code=code)
    assert "fix:" in said and "Traceback" not in said


def test_a_pipe_in_a_list_is_not_waited_for(tmp_path, make_source, make_recipe, environment):
    source = make_source(2, 2)
    os.mkfifo(source.parent / "pipe.wav")
    with source.open("a") as rows:
        rows.write("pipe.wav,spk9,a text,CC0,Home\n")
    result = build(make_recipe("[espeak]"), source, tmp_path / "c", environment, code=3)
    assert result["failures_by_reason"] == {"source: not_readable": 2}
