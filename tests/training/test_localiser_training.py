"""The localiser's trainer as a user runs it: a bundle that detects, and going on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from helpers import picture_corpus
from helpers.picture_corpus import scores_of, tiny_settings
from safetensors.torch import load_file

from forensics import resources
from forensics.detectors.image.localiser import LocaliserDetector
from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.media.image import Picture, encode_image, read_image
from forensics.training.config import read_settings
from forensics.training.detector.folds import Fold
from forensics.training.journal import read
from forensics.training.localiser.held_out import items
from forensics.training.loop import CHECKPOINT
from forensics.training.run import run

TINY = ["architecture.channels=8", "fit.side=64", "fit.batch=4", "fit.steps=2"]
TINY += ["fit.evaluate_every=2", "fit.looks_at=6", "fit.warmup=1", "calibrate=null"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return picture_corpus.build(tmp_path_factory.mktemp("pictures"))


def written(folder, settings) -> str:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """Report and folder of a run with calibration."""
    folder = tmp_path_factory.mktemp("run")
    settings = tiny_settings(steps=150, evaluate_every=75)  # fewer give scores of no sign
    settings["calibrate"] = {
        "leave_out": [["copymove"], ["smooth"]],  # a kind, and a system
        "target_fpr": 0.2,
        "target_fnr": 0.2,
        "channels": ["jpeg70"],
        "vouch_below_eer": 0.49,
        "steps": 100,
    }
    report = run(written(folder, settings), folder / "out", shards=corpus, device="cpu")
    return report, folder / "out"


def test_a_run_leaves_a_bundle_that_detects(trained):
    report, out = trained
    for name in ("report.json", "report.md", "curves.png", "run.yaml"):
        assert (out / name).stat().st_size > 0
    detector = LocaliserDetector.from_folder(out / "bundle")
    pixels = picture_corpus.scene(np.random.default_rng(5), 90, 130)
    found = detector.examine(read_image(encode_image(pixels, "jpeg", 90)))
    assert found.score is not None and np.isfinite(found.score)
    assert found.heatmap.shape == found.mask.shape == (90, 130)
    assert np.array_equal(found.mask, np.asarray(found.heatmap) > 0.5)
    assert found.details["table_known"] and found.details["tiles"] == 1
    card = detector.bundle.config
    assert card.calibration == report.calibration and card.thresholds == (report.threshold,)
    assert {m.metric for m in card.measured} >= {"image auc", "pixel f1 at 0.5", "false alarms"}
    assert "moved, smooth" in card.trained_on and "CC0-1.0" in card.trained_on
    assert float(detector.bundle.tensors()["cut"]) == pytest.approx(report.cut)


def test_the_stored_orientation_is_kept(trained):
    detector = LocaliserDetector.from_folder(trained[1] / "bundle")
    pixels = picture_corpus.scene(np.random.default_rng(6), 70, 130)
    upright = detector.examine(Picture(pixels))
    turned = detector.examine(Picture(pixels, orientation=6))
    assert turned.score == upright.score and turned.heatmap.shape == (70, 130)


def test_small_pictures_are_not_judged(trained):
    detector = LocaliserDetector.from_folder(trained[1] / "bundle")
    found = detector.examine(Picture(np.zeros((1, 1, 3), np.uint8)))
    assert found.score is None and "at least 64" in found.not_applicable


def test_crossed_fits_did_not_see_what_they_are_asked_about(trained):
    _, out = trained
    with np.load(out / "fits" / "fold-1" / "unheard.npz") as found:
        assert set(found["system"]) == {"bonafide", "moved"}
        assert set(found["channel"]) == {"clean", "jpeg70"}
        assert set(found["system"][found["channel"] == "jpeg70"]) == {"bonafide"}
    log = read(out / "fits" / "fold-1" / "log.jsonl")
    assert set(next(line["dev"] for line in log if "dev" in line)) == {"smooth"}
    assert max(line["step"] for line in log) == 100  # those fits may be shorter
    assert max(line["step"] for line in read(out / "fits" / "all" / "log.jsonl")) == 150


def test_editors_that_are_left_out_are_seen_in_the_end_alone(corpus, tmp_path):
    changes = [*TINY, "fit.steps=4", "leave_out=[copymove]"]
    report = run("localiser-small", tmp_path / "out", shards=corpus, changes=changes, device="cpu")
    seen, log = tmp_path / "out" / "fits" / "all", read(tmp_path / "out/fits/all/log.jsonl")
    assert set(next(line["dev"] for line in log if "dev" in line)) == {"smooth"}
    with np.load(seen / "dev.npz") as dev, np.load(seen / "test.npz") as test:
        assert set(dev["system"]) == {"bonafide", "smooth"}
        assert set(test["system"]) == {"bonafide", "smooth", "moved"}
    left_out = [m for m in report.measured if "left out" in m.on]
    assert [m.on.rpartition(": ")[2] for m in left_out][1:] == ["moved"]
    assert left_out[0].value == left_out[1].value
    fold = Fold("all", frozenset({"moved"}))
    drawn = {item.meta.system for item in items(corpus, "train", fold.heard)}
    assert drawn == {"bonafide", "smooth"}


def test_weights_are_guarded(trained, corpus, tmp_path):
    with pytest.raises(MissingRequirement, match="needs weights"):
        LocaliserDetector.from_folder(None)
    copy = tmp_path / "bundle"
    copy.mkdir()
    for name in ("config.json", "model.safetensors"):
        (copy / name).write_bytes((trained[1] / "bundle" / name).read_bytes())
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    with pytest.raises(CorpusError, match="SHA-256"):
        LocaliserDetector.from_folder(copy)
    with pytest.raises(UsageError, match="holds a finished run"):
        run(str(trained[1].parent / "config.yaml"), trained[1], shards=corpus)


def test_a_killed_training_goes_on_as_if_it_had_not_been(corpus, tmp_path):
    settings = tiny_settings(steps=12, evaluate_every=4, patience=50)
    config = written(tmp_path, settings)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(config, whole, shards=corpus, device="cpu")
    command = [sys.executable, "-m", "forensics", "train", config, "--shards", corpus]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [*command, "--out", str(cut), "--device", "cpu"], env=environment, stderr=subprocess.PIPE
    )
    log = cut / "fits" / "all" / "log.jsonl"
    while process.poll() is None:
        if log.exists() and '"step": 6, "loss"' in log.read_text():
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    assert (cut / "fits" / "all" / CHECKPOINT).exists() and not (cut / "bundle").exists()
    run(config, cut, shards=corpus, device="cpu")
    assert scores_of(log) == scores_of(whole / "fits" / "all" / "log.jsonl")
    kept, wanted = (load_file(out / "bundle" / "model.safetensors") for out in (cut, whole))
    assert kept.keys() == wanted.keys()
    assert all(torch.equal(kept[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("name", ["localiser-small", "localiser-timm"])
def test_shipped_configs_train(name, corpus, tmp_path):
    changes = [*TINY, "architecture.widths=[4,4,8,8]"]
    if name == "localiser-timm":
        changes = [*TINY, "architecture.backbone=mobilenetv4_conv_small_050"]
    report = run(name, tmp_path / "out", shards=corpus, changes=changes, device="cpu")
    assert report.steps == 2 and report.calibration is None  # pyright: ignore
    assert LocaliserDetector.from_folder(tmp_path / "out" / "bundle").bundle is not None


def test_shipped_configs_are_valid_as_they_are():
    from forensics.networks.localiser.network import LocaliserConfig
    from forensics.training.config import checked
    from forensics.training.localiser.config import LocaliserTrainConfig

    for name in ("localiser-small", "localiser-timm"):
        assert name in resources.names("configs")
        config = checked(LocaliserTrainConfig, read_settings(name), name)
        LocaliserConfig.model_validate(config.architecture)
        assert config.calibrate is not None and config.limits


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["fit.side=100"], "multiple of 32"),
        (["fit.quality=[90, 60]"], "quality is a range"),
        (["fit.batch=3"], "multiple of 2"),
        (["calibrate={leave_out: [[a], [b]], channels: [telephone]}"], "no such channel"),
        (["calibrate={leave_out: [[a], [b]]}"], "at least two entries"),
        (["architecture.streams=[dct]"], "streams"),
        (["leave_out=[nobody]"], "names 'nobody', which the corpus does not have"),
        (["leave_out=[copymove, smooth]"], "leaves nothing forged"),
        (["leave_out=[smooth]", "calibrate={leave_out: [[a], [b]]}"], "set calibrate=null"),
    ],
)
def test_wrong_settings_are_refused(changes, message, corpus, tmp_path):
    config = written(tmp_path, tiny_settings())
    with pytest.raises(UsageError, match=message):
        run(config, tmp_path / "out", shards=corpus, changes=changes, device="cpu")


def test_a_localiser_wants_shards(tmp_path):
    config = written(tmp_path, tiny_settings())
    with pytest.raises(UsageError, match="--shards"):
        run(config, tmp_path / "out", source="recordings", device="cpu")
