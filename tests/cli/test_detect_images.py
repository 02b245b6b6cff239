"""`forensics detect` on pictures: lines, files that are written, exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import typer
from helpers.red_detector import Red, scene
from PIL import Image
from typer.testing import CliRunner

from forensics.cli.detect import detect as command
from forensics.errors import MachineError, MissingRequirement, UsageError
from forensics.verdict import loading
from forensics.verdict.schema import Verdict

app = typer.Typer()
app.command()(command)
BOX = (10, 6, 26, 18)


@pytest.fixture
def red(monkeypatch):
    """`image-default` is the detector whose scores are known."""

    class Spec(loading.ImageSpec):
        def load(self, device="cpu", threads=None):
            return Red()

    real = loading.resolve_detector

    def resolve(name, weights=None):
        return Spec(Red, None) if name == "image-default" else real(name, weights)

    monkeypatch.setattr("forensics.verdict.detect.resolve_detector", resolve)


@pytest.fixture
def photo(tmp_path):
    return save(tmp_path / "photo.png", scene(red=BOX))


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_people_read_the_label_and_where(red, photo):
    result = run(photo)
    assert result.exit_code == 0 and result.stderr == ""
    (line,) = result.stdout.splitlines()
    assert line.startswith("manipulated     p 1.000  ")
    assert line.endswith("; 1 region at x 10-26, y 6-18")


def test_json_is_a_verdict_a_line_and_one_bad_file_costs_itself(red, photo, tmp_path):
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:200])
    result = run("--json", photo, tmp_path / "cut.png", save(tmp_path / "r.png", scene()))
    assert result.exit_code == 3
    verdicts = [Verdict.model_validate(json.loads(line)) for line in result.stdout.splitlines()]
    assert [v.reason for v in verdicts] == ["above_threshold", "truncated", "below_threshold"]
    (alone,) = run("--json", photo).stdout.splitlines()
    assert json.loads(alone)["llr"] == verdicts[0].llr


def test_the_map_is_grey_of_the_pictures_size_and_upright(red, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = save(tmp_path / "turned.jpg", scene(red=BOX), quality=95, exif=exif)
    run(turned, "--heatmap", tmp_path / "map.png", "--overlay", tmp_path / "o.png")
    with Image.open(tmp_path / "map.png") as image:
        assert (image.mode, image.size) == ("L", (48, 64))
        heat = np.asarray(image)
    left, top, right, bottom = BOX
    inside = heat[left + 2 : right - 2, 48 - bottom + 2 : 48 - top - 2]
    assert inside.min() == 255 and heat[40:].max() < 100
    with Image.open(tmp_path / "o.png") as image:
        assert image.mode == "RGB" and image.width >= 320
        assert image.height > image.width / 48 * 64  # the legend is below
        (r, g, b) = np.asarray(image)[130, 230].tolist()  # inside the red box, at 320 / 48
    assert r > 180 and max(g, b) < 90


def test_several_pictures_are_written_to_a_folder(red, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / "x.png", scene(red=BOX))
    (tmp_path / "b" / "y.png").write_bytes(b"junk")
    out = tmp_path / "maps" / "deep"
    result = run(tmp_path / "a", tmp_path / "b", "--heatmap", out, "--overlay", tmp_path / "o")
    assert result.exit_code == 3
    assert sorted(path.name for path in out.iterdir()) == ["x.png-2.png", "x.png.png"]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["x.png-2.png", "x.png.png"]
    single = run(tmp_path / "a" / "x.png", "--heatmap", out)
    assert single.exit_code == 0 and (out / "x.png.png").is_file()


def test_what_cannot_be_written_is_said_before_the_work(red, photo, tmp_path):
    (tmp_path / "file.png").write_bytes(b"")
    more = save(tmp_path / "more.png", scene())
    for option in ("--heatmap", "--overlay"):
        with pytest.raises(MachineError):
            run(photo, option, tmp_path / "no" / "map.png")
        with pytest.raises(UsageError, match="written as PNG"):
            run(photo, option, tmp_path / "map.jpg")
        with pytest.raises(UsageError, match="there are 2 inputs"):
            run(photo, more, option, tmp_path / "file.png")
        with pytest.raises(MachineError):
            run(photo, more, option, tmp_path / "file.png" / "maps")


def test_a_report_shows_overlays_regions_and_reasons_escaped(red, photo, tmp_path):
    name = "<script>alert(1)<img src=x onerror=alert(1)>.png"
    hostile = save(tmp_path / name.replace("/", "_"), scene(red=BOX))
    target = tmp_path / "r.html"
    result = run(photo, hostile, tmp_path / "gone.png", "--report", target)
    assert result.exit_code == 3
    html = target.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") == 2
    assert "<script>" not in html and "<img src=x" not in html
    assert html.count("1: x 10–26, y 6–18 (6.2 %, heat 1.00)") == 2
    assert "marks 1 region, 6.2 % of the picture" in html
    assert html.startswith("<!doctype html>")


def test_a_sequence_gets_one_verdict_with_its_frames(red, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(4):
        save(folder / f"{number}.png", scene(red=BOX if number else None))
    (folder / "4.png").write_bytes(b"junk")
    result = run("--sequence", folder, "--overlay", tmp_path / "o.png")
    assert result.exit_code == 0
    first, *frames = result.stdout.splitlines()
    assert first.startswith("manipulated") and str(folder) in first
    assert len(frames) == 5 and "not judged" in frames[4]
    assert frames[1].endswith("1.png; 1 region at x 10-26, y 6-18")
    assert (tmp_path / "o.png").is_file()
    (line,) = run("--sequence", "--json", "--frames", "2", folder).stdout.splitlines()
    assert len(json.loads(line)["frames"]) == 2
    separate = run(folder)
    assert separate.exit_code == 3 and len(separate.stdout.splitlines()) == 5


def test_the_default_without_weights_names_the_fix(photo, monkeypatch, tmp_path):
    monkeypatch.setitem(loading._SHIPPED, "image-default", tmp_path / "gone")
    with pytest.raises(MissingRequirement) as caught:
        run(photo)
    assert caught.value.exit_code == 5 and "--detector zero" in (caught.value.fix or "")


def test_a_classical_detector_judges_a_real_process(tmp_path):
    path = save(tmp_path / "photo.jpg", scene(128, 160), quality=85)
    line = [sys.executable, "-m", "forensics", "detect", str(path), "--detector", "zero"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 3), done.stderr
    assert done.stdout.startswith(("uncertain", "not_applicable"))
    png = save(tmp_path / "photo.png", scene(128, 160))
    line = [*line[:4], str(png), "--detector", "double-jpeg", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3
    verdict = json.loads(done.stdout)
    assert verdict["reason"] == "unsuitable" and "not a JPEG" in verdict["message"]
    assert verdict["detectors"][0]["says"].startswith("could not judge")


def test_one_of_several_modalities_is_refused_with_a_fix(red, tmp_path, photo):
    buffer = io.BytesIO()
    Image.fromarray(scene()).save(buffer, "PNG")
    result = run(photo, "--detector", "speech-default")
    assert result.exit_code == 3
    assert "the detector judges speech; leave --detector out" in result.stdout
