"""`list`, `configs`, `doctor`, `inspect`, and how errors and pipes end."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from helpers.command import forensics


def run(*arguments, code=0):
    done = forensics(*arguments)
    assert done.returncode == code, done.stderr
    return done


def run_alone(*arguments, code=0):
    """In a process of its own, that has imported nothing before."""
    line = [sys.executable, "-m", "forensics", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("what", ["generators", "detectors", "conditions", "pipelines", "datasets"])
def test_list_gives_a_line_an_entry(what):
    rows = [json.loads(line) for line in run("list", what, "--json").stdout.splitlines()]
    assert rows and all(row["name"] and row["summary"] for row in rows)
    plain = run("list", what).stdout
    assert all(row["name"] in plain for row in rows)


def test_generators_that_are_not_ready_say_how_to_get_them():
    rows = [json.loads(line) for line in run("list", "generators", "--json").stdout.splitlines()]
    by_name = {row["name"]: row for row in rows}
    assert by_name["espeak"]["state"] == "ready"
    assert by_name["griffinlim"]["state"] == "ready"
    assert by_name["bark"]["fixes"]
    assert all(bool(row["fixes"]) == (row["state"] != "ready") for row in rows)


def test_pictures_are_listed_beside_speech():
    def rows(what):
        return [json.loads(line) for line in run("list", what, "--json").stdout.splitlines()]

    detectors = {row["name"]: row for row in rows("detectors")}
    assert {"zero", "copy-move", "image-fusion", "localiser"} <= set(detectors)
    assert detectors["zero"]["kind"] == "image" and detectors["zero"]["state"] == "ready"
    assert detectors["image-fusion"]["state"] == "needs weights"
    generators = {row["name"]: row for row in rows("generators")}
    assert generators["splice"]["modality"] == "image" and generators["splice"]["state"] == "ready"
    assert generators["espeak"]["modality"] == "speech"
    assert generators["face-swap"]["kind"] == "faceswap"
    assert generators["face-swap"]["state"] == "ready"
    assert generators["ip-adapter"]["state"] == "needs weights"
    kinds = {(row["name"], row["kind"]) for row in rows("conditions")}
    assert {("noise", "speech"), ("noise", "image"), ("social", "image")} <= kinds
    assert {"speech", "image", "face"} == {row["kind"] for row in rows("pipelines")}
    assert "configs/image-fusion" in run("configs", "ls").stdout.split()


def test_configs_are_listed_shown_and_copied(tmp_path):
    names = run("configs", "ls").stdout.split()
    assert "pipelines/audeter" in names and "datasets/audeter" in names
    for name in names:
        assert run("configs", "show", name).stdout
    run("configs", "cp", "audeter", tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").is_file()
    assert (tmp_path / "audeter-sentences.txt").is_file()
    again = run("configs", "cp", "audeter", tmp_path / "mine.yaml", code=2)
    assert "exists" in again.stderr and "--force" in again.stderr
    assert "nothing shipped is named" in run("configs", "show", "../secrets", code=2).stderr


def test_a_copied_recipe_can_be_used(tmp_path):
    run("configs", "cp", "audeter", tmp_path / "mine.yaml")
    texts = tmp_path / "texts.csv"
    texts.write_text("text\nA sentence to read aloud.\n")
    plan = run(
        *("build-dataset", tmp_path / "mine.yaml", "--source", texts, "--out", tmp_path / "c"),
        *("--dry-run", "--json", "--systems", "espeak"),
    )
    assert json.loads(plan.stdout)["items"] == 1


def test_doctor_knows_every_core_package():
    report = json.loads(run_alone("doctor", "--json").stdout)
    assert all(package["works"] for package in report["packages"] if package["core"])
    plain = run("doctor").stdout
    assert all(name in plain for name in ("espeak", "pillow", "zero", "copy-move"))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("build-dataset", "nothing", "--source", ".", "--out", "../x"),
            2,
            "no pipeline 'nothing'",
        ),
        (("build-dataset", "audeter", "--source", "/nowhere", "--out", "x"), 2, "does not exist"),
        (("inspect", "/nowhere"), 4, "no finished shards"),
        (("frobnicate",), 2, "frobnicate"),
        (("build-dataset", "audeter"), 2, "--source"),
    ],
)
def test_usage_errors_have_their_code_and_no_traceback(arguments, code, said):
    done = run_alone(*arguments, code=code)
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_closed_pipe_ends_quietly():
    command = f"{sys.executable} -m forensics list generators | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stdout.count("\n") == 1 and done.stderr == ""
