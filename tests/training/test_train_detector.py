"""`forensics train` for detectors on a corpus of synthetic voices: real engines, a few steps."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from helpers.training_corpus import SYSTEMS, tiny_settings, written
from typer.testing import CliRunner

from forensics import detect
from forensics.cli import app
from forensics.detectors.bundle import Bundle
from forensics.errors import UsageError
from forensics.media.audio import Waveform
from forensics.training.detector.report import OverSeeds
from forensics.training.journal import LOG, read
from forensics.training.run import run


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A run with two seeds and calibration, through the command line."""
    folder = tmp_path_factory.mktemp("trained")
    settings = tiny_settings(steps=40, evaluate_every=20)
    settings["fit"]["augment"] = {}
    settings["calibrate"] = {
        "leave_out": [[name] for name in SYSTEMS],
        "target_fpr": 0.3,
        "target_fnr": 0.3,
    }
    given = ["train", written(folder, settings), "--shards", corpus, "--out", str(folder / "run")]
    given += ["--seeds", "1,2", "--workers", "2", "--json", "--set", "limits=only tests"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    return folder / "run", json.loads(done.stdout), given


def test_bundle_says_where_it_comes_from(trained):
    out, report, _ = trained
    config = Bundle.load(out / "bundle").config
    assert all(name in config.trained_on for name in SYSTEMS)
    assert config.limits == "only tests"
    assert config.calibration is not None and config.thresholds
    assert config.calibration.model_dump(mode="json") == report["calibration"]
    assert any("test split" in figure.on for figure in config.measured)
    assert any("without having heard" in figure.on for figure in config.measured)
    assert all(0 <= figure.value <= 1 for figure in config.measured)


def test_report_holds_every_seed_and_its_mean(trained):
    out, report, _ = trained
    assert report == json.loads((out / "report.json").read_text())
    assert [one["seed"] for one in report["seeds"]] == [1, 2]
    errors = [one["test_eer"] for one in report["seeds"]]
    assert report["test_eer"]["mean"] == pytest.approx(sum(errors) / 2)
    assert report["test_eer"]["best"] == min(errors)
    assert report["chosen_seed"] == min(report["seeds"], key=lambda one: one["dev_eer"])["seed"]
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "| mean |" in (out / "report.md").read_text()
    assert len({folder.name for folder in (out / "fits").iterdir()}) == 4
    looks = [line for line in read(out / "fits" / "seed-1" / LOG) if "dev_eer" in line]
    assert [line["step"] for line in looks] == [20, 40]
    assert set(looks[0]["dev"]) == set(SYSTEMS)


def test_systems_without_a_part_are_in_no_figure(corpus, tmp_path):
    kept, gone = SYSTEMS
    config = written(tmp_path, tiny_settings() | {"without": [gone]})
    report = run(config, shards=corpus, out=tmp_path / "run")
    looked_at = [line for line in read(tmp_path / "run/fits/seed-1" / LOG) if "dev_eer" in line]
    assert [set(line["dev"]) for line in looked_at] == [{kept}, {kept}]
    card = Bundle.load(tmp_path / "run/bundle").config
    assert f": {kept};" in card.trained_on
    named = " ".join(figure.on for figure in card.measured)
    assert f": {kept}" in named and gone not in named
    with pytest.raises(UsageError, match="without names 'nobody'"):
        run(config, shards=corpus, out=tmp_path / "new", changes=["without=[nobody]"])
    with pytest.raises(UsageError, match="nothing forged"):
        run(config, shards=corpus, out=tmp_path / "new", changes=[f"without=[{kept},{gone}]"])
    assert report


def test_interval_over_seeds_is_students():
    found = OverSeeds.of([0.1, 0.2, 0.3])
    assert found.mean == pytest.approx(0.2) and found.best == 0.1
    assert found.interval == pytest.approx((0.2 - 4.303 * 0.1 / 3**0.5, 0.2 + 0.2484), abs=1e-3)
    assert OverSeeds.of([0.5]).interval is None


def test_detect_runs_on_what_was_trained(trained, speech_like):
    verdict = detect(Waveform(speech_like(2.0), 16_000), trained[0] / "bundle")[0]
    assert verdict.label != "not_applicable"
    assert verdict.detectors[0].name == "spectral-cnn"


def test_a_finished_run_stays_and_another_config_is_refused(trained):
    given = trained[2]
    done = CliRunner().invoke(app, given)
    assert isinstance(done.exception, UsageError) and "finished run" in str(done.exception)
    changed = CliRunner().invoke(app, [*given, "--set", "fit.learning_rate=0.02"])
    assert isinstance(changed.exception, UsageError)
    assert "learning_rate: 0.02" in str(changed.exception)


def test_fits_that_are_there_are_not_done_again(trained):
    out, report, given = trained
    (out / "bundle" / "config.json").unlink()  # as a kill leaves it that comes after the weights
    shutil.rmtree(out / "fits" / "seed-2")
    logs = {path: path.read_text() for path in out.rglob(LOG)}
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["seeds"] == report["seeds"]
    assert {path: path.read_text() for path in logs} == logs


def test_without_calibrate_the_verdict_is_uncertain(corpus, tmp_path, speech_like):
    settings = tiny_settings(
        steps=None,
        epochs=1,
        sampling={"kind": "stream", "shuffle_buffer": 10},
        ema=0,
        accumulate=2,
        schedule="constant",
        optimiser="adam",
        loss={"kind": "cross-entropy", "spoof_weight": 0.1, "bonafide_weight": 0.9},
    )
    settings["tensorboard"] = True
    pytest.importorskip("tensorboard")
    report = run(written(tmp_path, settings), tmp_path / "run", shards=corpus, device="cpu")
    assert "none: verdicts will be uncertain" in str(report)
    fit = tmp_path / "run" / "fits" / "seed-1"
    lines = [line for line in read(fit / LOG) if "loss" in line]
    assert len(lines) == 30 // 8  # an epoch of ten voices, three copies each
    assert {line["learning_rate"] for line in lines[2:]} == {0.01}
    assert list((fit / "tensorboard").iterdir())
    verdict = detect(Waveform(speech_like(2.0), 16_000), tmp_path / "run" / "bundle")[0]
    assert verdict.label == "uncertain"


def test_training_stops_when_dev_gets_no_better(corpus, tmp_path):
    settings = tiny_settings(
        steps=200, evaluate_every=2, patience=2, learning_rate=1e-9, weight_decay=0.0, ema=0
    )
    # No batch norm: nothing changes from look to look, so that none is better than the first.
    settings["detector"] = "mean-pool"
    settings["architecture"] = {
        "backbone": {
            "kind": "compact",
            "bands": 32,
            "stem": [4, 4, 4, 4],
            "width": 16,
            "depth": 1,
            "heads": 2,
        }
    }
    report = run(written(tmp_path, settings), tmp_path / "run", shards=corpus, device="cpu")
    assert report.seeds[0].steps < 20  # pyright: ignore


def test_a_loss_that_is_lost_is_said(corpus, tmp_path):
    settings = tiny_settings(learning_rate=1e30, gradient_clip=None, warmup=0)
    with pytest.raises(UsageError, match="not finite any more at step"):
        run(written(tmp_path, settings), tmp_path / "run", shards=corpus, device="cpu")


def test_what_is_wrong_is_named(corpus, tmp_path):
    settings = tiny_settings()
    path = written(tmp_path, settings)
    with pytest.raises(UsageError, match="stepz"):
        run(path, tmp_path / "run", shards=corpus, changes=["fit.stepz=3"])
    with pytest.raises(UsageError, match="--shards"):
        run(path, tmp_path / "run", source="somewhere")
    with pytest.raises(UsageError, match="task is None"):
        run(path, tmp_path / "run", shards=corpus, changes=["task=null"])
    with pytest.raises(UsageError, match="no FIELD=VALUE"):
        run(path, tmp_path / "run", shards=corpus, changes=["fit.steps"])
    with pytest.raises(UsageError, match="epochs"):
        run(path, tmp_path / "run", shards=corpus, changes=["fit.epochs=3"])
    with pytest.raises(UsageError, match="multiple of 6"):
        run(path, tmp_path / "run", shards=corpus, changes=["fit.lanes=3"], device="cpu")
    settings["calibrate"] = {"leave_out": [["nobody"], ["lpc-a"]]}
    with pytest.raises(UsageError, match="at least two entries"):
        run(written(tmp_path, settings), tmp_path / "run", shards=corpus, device="cpu")
    assert not (tmp_path / "run" / "run.yaml").exists()  # the mended config may take the folder
