"""`forensics identity` and `forensics detect --identity`, as people call them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from helpers import painted_faces
from helpers.painted_faces import ANNA, BEN, photo, strangers
from helpers.red_detector import Red
from PIL import Image
from typer.testing import CliRunner

from forensics.cli import app
from forensics.errors import ForensicsError, MediaError, UsageError
from forensics.verdict import loading


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Photos on disk, painted faces, an own store, and a detector whose scores are known."""

    class Spec(loading.ImageSpec):
        def load(self, device="cpu", threads=None):
            return Red()

    monkeypatch.setattr("forensics.faces.tools.open_faces", painted_faces.tools)
    monkeypatch.setattr("forensics.verdict.detect.resolve_detector", lambda *_: Spec(Red, None))
    monkeypatch.setenv("FORENSICS_IDENTITIES", str(tmp_path / "people"))
    for folder, pictures in {
        "anna": [photo(ANNA, i) for i in range(5)],
        "others": strangers(),
        "ben": [photo(BEN, 9)],
    }.items():
        (tmp_path / folder).mkdir()
        for i, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    return tmp_path


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, ForensicsError):
        raise result.exception
    return result


def enrol(world, *more):
    return run(
        "identity", "enrol", "Anna Müller", "--images", world / "anna",
        "--others", world / "others", *more,
    )  # fmt: skip


def test_words_are_read_before_any_model_is_opened(world):
    with pytest.raises(UsageError, match="words teach tokens"):
        enrol(world, "--words", world / "words.csv")
    (world / "words.csv").write_text("photo,hair\nnobody.png,dark\n")
    with pytest.raises(UsageError, match="0 of 29 photos end in"):
        enrol(world, "--words", world / "words.csv", "--model", world / "no-model")


def test_enrol_ls_show_detect_rm(world):
    done = enrol(world)
    assert done.exit_code == 0 and "enrolled as anna-muller from 5 photos" in done.stdout
    assert "29/29 photos" in done.stderr and "no consent record" in done.stderr
    assert "anna-muller" in run("identity", "ls").stdout
    shown = json.loads(run("identity", "show", "anna-muller", "--json").stdout)
    assert shown["vectors"] == {"face_centre": [3]} and shown["photos"] == 5
    mine, other = world / "anna" / "0.png", world / "ben" / "0.png"
    result = run("detect", mine, other, "--identity", "anna müller")
    assert result.exit_code == 3
    first, second = result.stdout.splitlines()
    assert first.startswith("bonafide") and "shows Anna Müller by similarity" in first
    assert second.startswith("not_applicable") and "other_person" in second
    gone = run("identity", "rm", "Anna Müller")
    assert "2 files overwritten and removed" in gone.stdout and "backups" in gone.stderr
    assert run("identity", "ls", "--json").stdout.strip() == "[]"
    with pytest.raises(UsageError, match="nobody is enrolled"):
        run("detect", mine, "--identity", "Anna Müller")


def test_json_and_reports(world):
    card = json.loads(enrol(world, "--json").stdout)
    assert card["slug"] == "anna-muller" and len(card["used"]) == 5 and card["consent"] is None
    report = world / "report.html"
    run(
        "detect", world / "anna", "--identity", "anna-muller", "--json", "--report", report,
        "--overlay", world / "overlays",
    )  # fmt: skip
    assert "Anna Müller" in report.read_text() and len(list((world / "overlays").iterdir())) == 5


def test_export_and_import_between_stores(world):
    enrol(world)
    file = world / "anna.safetensors"
    run("identity", "export", "anna-muller", file)
    run("identity", "import", file, "--store", world / "elsewhere")
    again = run("identity", "show", "anna-muller", "--store", world / "elsewhere", "--json")
    assert json.loads(again.stdout)["name"] == "Anna Müller"
    with pytest.raises(UsageError, match="already enrolled"):
        run("identity", "import", file)
    run("identity", "import", file, "--replace")
    with pytest.raises(MediaError, match="not"):
        run("identity", "import", world / "nothing.safetensors")


def test_rm_of_several_is_one_json_object(world):
    enrol(world)
    run(
        "identity", "enrol", "Ben", "--images", world / "anna", "--others", world / "others",
    )  # fmt: skip
    gone = json.loads(run("identity", "rm", "Anna Müller", "ben", "anna-muller", "--json").stdout)
    assert gone["removed"] == [{"slug": "anna-muller", "files": 2}, {"slug": "ben", "files": 2}]
    assert "backups" in " ".join(gone["beyond"])
    assert run("identity", "ls", "--json").stdout.strip() == "[]"


def test_nobody_is_deleted_when_one_name_is_wrong(world):
    enrol(world)
    with pytest.raises(UsageError):
        run("identity", "rm", "anna-muller", "bem")
    assert "anna-muller" in run("identity", "ls").stdout


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--set", "steps=3"], "about a model"),
        (["--pick", "some"], "--pick some"),
        (["--faces", "nothing.yaml"], "names no face tools"),
        (["--consent", "{world}/anna/0.png"], "no consent record"),
        (["--model", "x", "--set", "steps=often"], "steps"),
    ],
)
def test_wrong_options_are_told(world, arguments, what):
    with pytest.raises(UsageError, match=what):
        enrol(world, *(a.format(world=world) for a in arguments))


def test_options_of_people_need_one(world):
    with pytest.raises(UsageError, match="enrolled people"):
        run("detect", world / "anna", "--store", world)


def test_a_damaged_identity_is_listed_and_can_be_removed(world):
    enrol(world)
    (world / "people" / "anna-muller" / "identity.json").write_text("{")
    assert "cannot be read" in run("identity", "ls").stdout
    assert "files overwritten" in run("identity", "rm", "anna-muller").stdout


@pytest.mark.parametrize("line", [["identity", "--help"], ["identity", "ls"]])
def test_neither_help_nor_a_list_loads_torch(line, tmp_path):
    code = (
        "import sys\nfrom forensics.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'cv2', 'skimage', 'transformers') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, *line]
    env = {"FORENSICS_IDENTITIES": str(tmp_path), "PATH": "/usr/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip().endswith("[]")
