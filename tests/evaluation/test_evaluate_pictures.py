"""`forensics.evaluate` on pictures, with a detector whose answers are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from helpers import image_shards
from helpers.red_detector import Red, scene
from PIL import Image
from typer.testing import CliRunner

import forensics
from forensics.cli.evaluate import evaluate as command
from forensics.detectors.image.base import Finding
from forensics.detectors.image.planes import Plane
from forensics.errors import CorpusError, UsageError
from forensics.evaluation.images.baselines import AlwaysCentre, MeanMask
from forensics.evaluation.images.html import as_html
from forensics.evaluation.images.run import LOG
from forensics.evaluation.images.sweep import degraded
from forensics.evaluation.images.text import as_text
from forensics.media.image import Picture, encode_image, mask_png, read_image

ODD = "<script>alert(1)</script>"

app = typer.Typer()
app.command()(command)


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def png(pixels, forged, rng):
    return encode_image(pixels, "png"), "png"


def corner(rng):
    """Far from the middle, always about the same."""
    return int(rng.integers(0, 4)), int(rng.integers(0, 4))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Eight scenes to test on and four to train on; edits are red boxes near the upper left."""
    test = image_shards.items(8, 2, split="test", where=corner, encode=png, seed=1)
    train = image_shards.items(4, 1, split="train", where=corner, encode=png, seed=2)
    return image_shards.corpus(tmp_path_factory.mktemp("corpus"), train, test)


def evaluated(corpus, detectors=None, **options):
    return forensics.evaluate(detectors or [Red()], shards=corpus, replicates=60, **options)


def test_figures_of_whole_pictures_and_of_pixels(corpus):
    """Red boxes of 24 x 16 in 64 x 96: 6.25 % of the picture; pristine frames have no red."""
    found = evaluated(corpus)
    report, (red,) = found.report, found.report.detectors
    assert (report.pictures, report.labels, report.groups) == (
        32, {"bonafide": 16, "spoof": 16}, 8,
    )  # fmt: skip
    assert report.masks == 16 and red.judged == 32 and not red.not_applicable
    clean = red.conditions[0]
    assert clean.eer.value == 0 and clean.auc.value == 1
    assert red.accuracy.value == 1 and clean.real_answers.error == 0
    pixels = red.pixels
    assert pixels.overall.pictures == 16
    for figure in ("f1", "f1_best", "iou", "auc"):
        assert getattr(pixels.overall, figure).value == 1
    assert pixels.auc_pooled.value == 1 and pixels.pristine == 16
    assert pixels.pristine_area.value == 0
    assert [(row.name, row.pictures) for row in pixels.sizes] == [("5-15 %", 16)]
    assert [part.name for part in red.sizes] == ["5-15 %"]
    assert {part.name for part in red.systems} == {"copymove", "splice"}
    assert [row.name for row in pixels.modes] == [part.name for part in red.modes] == ["composite"]


def test_a_prior_does_not_pass_for_a_detector(corpus):
    found = evaluated(corpus)
    centre, mean = found.report.baselines
    assert (centre.label, mean.label) == ("always-centre", "mean-mask")
    assert centre.pixels.overall.auc.value < 0.5 < 0.9 < mean.pixels.overall.auc.value
    over = found.report.detectors[0].pixels.over
    assert over["always-centre"]["auc"].value == pytest.approx(1 - centre.pixels.overall.auc.value)
    assert over["mean-mask"]["f1_best"].low >= 0


def test_a_sweep_goes_through_the_channels(corpus):
    found = evaluated(corpus, conditions=["jpeg50", "rescale0.5", "social"])
    (red,) = found.report.detectors
    names = ["clean", "jpeg50", "rescale0.5", "social"]
    assert [row.condition for row in red.conditions] == names
    assert [row.name for row in red.pixel_conditions] == names
    clean, jpeg = red.pixel_conditions[:2]
    assert clean.f1.value == 1 > jpeg.f1.value > 0.5
    assert list(found.report.settings.conditions) == names
    assert "by condition" in as_text(found.report)
    with pytest.raises(UsageError, match="jpeg50"):
        evaluated(corpus, conditions=["opus"])


def test_a_cut_off_run_goes_on_and_gives_the_same(corpus, tmp_path):
    whole = evaluated(corpus, conditions=["jpeg70"], out=tmp_path / "whole")
    lines = (tmp_path / "whole" / LOG).read_text().splitlines(keepends=True)
    assert len(lines) == 32 * 2 + 32 * 2  # red under two conditions, two baselines
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / LOG).write_text("".join(lines[:70]) + lines[70][:40])
    red = Red()
    again = evaluated(corpus, [red], conditions=["jpeg70"], out=tmp_path / "cut")
    assert 0 < len(red.seen) < 64
    assert again.report.model_dump(exclude={"seconds"}) == whole.report.model_dump(
        exclude={"seconds"}
    )
    assert max(len(line) for line in lines) < 2000  # counts, not heatmaps
    (tmp_path / "cut" / LOG).write_text(lines[0].replace('"pixels": "', '"pixels": "A'))
    with pytest.raises(CorpusError, match="line 1"):
        evaluated(corpus, out=tmp_path / "cut")


def test_another_mask_of_the_same_picture_is_judged_anew(tmp_path):
    folder = listed(tmp_path)
    first = forensics.evaluate([Red()], protocol=folder / "list.csv", out=tmp_path / "run")
    mask = np.zeros((48, 64), bool)
    mask[:4, :4] = True
    (folder / "m0.png").write_bytes(mask_png(mask))
    again = forensics.evaluate([Red()], protocol=folder / "list.csv", out=tmp_path / "run")
    assert again.report.detectors[0].pixels.overall.f1.value < (
        first.report.detectors[0].pixels.overall.f1.value
    )


def listed(tmp_path, extra: str = ""):
    """Four forged pictures with masks, four real ones, as a CSV."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = ["path,label,mask,group,system,mode"]
    for n in range(4):
        box = (10 * n, 5, 10 * n + 9, 15)
        Image.fromarray(scene(red=box)).save(folder / f"forged{n}.png")
        mask = np.zeros((48, 64), bool)
        mask[5:15, 10 * n : 10 * n + 9] = True
        (folder / f"m{n}.png").write_bytes(mask_png(mask))
        rows.append(f"forged{n}.png,tampered,m{n}.png,s{n % 2},{ODD},regenerated")
        Image.fromarray(scene(height=47 - n)).save(folder / f"real{n}.png")
        rows.append(f"real{n}.png,real,,s{n % 2},,")
    (folder / "list.csv").write_text("\n".join(rows) + "\n" + extra)
    return folder


def test_lists_folders_and_what_cannot_be_judged(tmp_path):
    extra = "bad.png,real,,s0,,\nsmall.png,tampered,,s1,x,\nodd.png,tampered,odd-mask.png,s1,x,\n"
    folder = listed(tmp_path, extra)
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    Image.fromarray(scene(1, 1)).save(folder / "small.png")
    Image.fromarray(scene(20, 20)).save(folder / "odd.png")
    (folder / "odd-mask.png").write_bytes(mask_png(np.ones((7, 7), bool)))
    options = ["--protocol", folder / "list.csv", "--detector", "ela", "--replicates", 20]
    printed = run(*options)
    assert printed.exit_code == 3
    assert "wrong_size" in printed.output and "always-centre" in printed.output
    report = json.loads(run(*options, "--json").stdout)
    assert report["pictures"] == 11 and report["masks"] == 4
    assert {one["key"] for one in report["not_judged"]} == {"bad.png", "odd.png"}
    assert any("no mask" in note for note in report["notes"])
    assert any("mean-mask" in note for note in report["notes"])
    found = forensics.evaluate([Red()], protocol=folder / "list.csv", replicates=20)
    (red,) = found.report.detectors
    assert red.judged == 8 and red.not_applicable == {"1 pixel a side: too small": 1}


def test_what_a_detector_breaks_is_told_and_the_rest_is_judged(tmp_path):
    class Broken(Red):
        def examine(self, picture):
            found = super().examine(picture)
            if picture.height == 47:
                raise RuntimeError("no such luck")
            if picture.height == 46:
                return Finding(float("inf"))
            if picture.height == 45:
                return Finding(1.0, heatmap=Plane.of(np.zeros((3, 3), np.float32)))
            return found

    found = forensics.evaluate([Broken()], protocol=listed(tmp_path) / "list.csv", replicates=20)
    assert [one.reason for one in found.report.not_judged] == ["internal_error"] * 3
    assert found.report.detectors[0].judged == 5 and found.report.exit_code == 3


def test_a_detector_that_no_condition_suits(corpus):
    """One that wants JPEG tables judges the JPEG channels and nothing else."""

    class Tables(Red):
        def examine(self, picture):
            if not picture.quantisation:
                return Finding(None, "no quantisation table")
            return super().examine(picture)

    found = evaluated(corpus, [Tables()], conditions=["jpeg80", "screenshot"])
    (one,) = found.report.detectors
    clean, jpeg, shot = one.conditions
    assert clean.auc.value is None and shot.auc.value is None and jpeg.auc.value == 1
    assert one.not_applicable == {"no quantisation table": 32} and one.pixels is None
    assert "nothing that it can judge" in as_text(found.report)


def test_detectors_without_heatmaps_have_no_pixels(corpus):
    class Blind(Red):
        def examine(self, picture):
            return Finding(super().examine(picture).score)

    found = evaluated(corpus, [Blind(calibrated=False)])
    (one,) = found.report.detectors
    assert one.pixels is None and one.accuracy is None and one.conditions[0].auc.value == 1
    assert "no heatmaps" in as_text(found.report) and "uncalibrated" in as_text(found.report)


def test_the_page_has_everything_and_escapes_it(tmp_path):
    found = forensics.evaluate(
        [Red()], protocol=listed(tmp_path) / "list.csv", replicates=20, conditions=["jpeg60"]
    )
    page = as_html(found)
    for text in ("DET and ROC", "How the scores spread", "Pixels by size", "always-centre"):
        assert text in page
    assert ODD not in page and "&lt;script&gt;" in page and page.count("data:image/png") == 5


def test_the_material_decides_where_no_detector_is_named(corpus, tmp_path, monkeypatch):
    from forensics.evaluation import run as module

    asked = {}
    monkeypatch.setattr(module, "evaluate_pictures", lambda names, **named: asked.update(d=names))
    forensics.evaluate(shards=corpus)
    assert asked.pop("d") == ["image-default"]
    forensics.evaluate(protocol=listed(tmp_path) / "list.csv")
    assert asked.pop("d") == ["image-default"]
    forensics.evaluate("zero", protocol="anything.csv")
    assert asked.pop("d") == ["zero"]
    with pytest.raises(UsageError, match="two evaluations"):
        forensics.evaluate(["zero", "speech-default"], shards=corpus)
    with pytest.raises(UsageError, match="audio"):
        forensics.evaluate("zero", protocol="x.csv", audio="y")


def test_several_workers_give_the_same(corpus):
    found = [
        evaluated(corpus, ["ela"], workers=workers).report.model_dump(exclude={"seconds"})
        for workers in (1, 2)
    ]
    assert found[0] == found[1]
    with pytest.raises(UsageError, match="one process"):
        evaluated(corpus, workers=2)


def test_a_jpeg_channel_leaves_what_its_file_would_hold():
    pixels = scene(64, 80)
    made, _ = degraded(Picture(pixels), None, "0" * 64, "jpeg70")
    read = read_image(encode_image(pixels, "jpeg", 70, "4:2:0"))
    assert np.array_equal(made.pixels, read.pixels)
    assert made.format == read.format and made.subsampling == read.subsampling
    assert all(map(np.array_equal, made.quantisation, read.quantisation))
    shot, _ = degraded(read, None, "0" * 64, "screenshot")
    assert shot.format == "pixels" and not shot.quantisation


def test_masks_move_with_their_pictures():
    mask = np.zeros((48, 64), bool)
    mask[10:20, 10:30] = True
    made, moved = degraded(Picture(scene()), mask, "0" * 64, "rescale0.5")
    assert moved is not None and moved.shape == made.pixels.shape[:2] == (24, 32)
    assert moved.mean() == pytest.approx(mask.mean(), rel=0.1)


def test_baselines_worked_by_hand():
    heatmap = np.asarray(AlwaysCentre().examine(Picture(scene(41, 61))).heatmap)
    assert heatmap is not None and np.unravel_index(heatmap.argmax(), heatmap.shape) == (20, 30)
    assert heatmap[20, 30] == 1 and heatmap[0, 0] < 0.05
    assert np.array_equal(heatmap, heatmap[::-1, ::-1])
    left, both = np.zeros((40, 40), bool), np.ones((40, 40), bool)
    left[:, :20] = True
    mean = MeanMask.of([left, both])
    assert mean is not None
    drawn = np.asarray(mean.examine(Picture(scene(20, 100))).heatmap)
    assert drawn is not None and drawn.shape == (20, 100)
    assert drawn[:, :40].min() == 1 and drawn[:, 60:] == pytest.approx(0.5)
    assert MeanMask.of([np.zeros((9, 9), bool)]) is None and MeanMask.of([]) is None
