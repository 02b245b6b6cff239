"""`task: regeneration` as a user runs it: on frames that were made anew by a blur, and others."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from helpers import training_corpus
from helpers.picture_corpus import scene

from forensics.detectors.bundle import Bundle
from forensics.detectors.image.regeneration import RegenerationDetector
from forensics.errors import CorpusError, UsageError
from forensics.media.image import Picture, encode_image, read_image
from forensics.shards import write_shard
from forensics.shards.format import Item, ItemMeta
from forensics.training.run import run

SPLITS = {"train": 10, "dev": 6, "test": 6}
QUICK = ["fit.steps=150", "copies.parts=1", "copies.channels=1"]


def item(pixels, mode, group, split, rng) -> Item:
    media = encode_image(pixels, "jpeg", int(rng.integers(80, 96)))
    real = mode is None
    meta = ItemMeta(
        label="bonafide" if real else "spoof",
        modality="image",
        system={None: "bonafide", "regenerated": "blurred", "composite": "patched"}[mode],
        system_version="1",
        kind={None: "bonafide", "regenerated": "regeneration", "composite": "inpaint"}[mode],
        source_id=f"{group}-frame",
        group=group,
        domain="textures",
        split=split,
        seed=0,
        params={} if real else {"mode": mode},
        licence="CC0-1.0",
        parent=hashlib.sha256(pixels.tobytes()).hexdigest(),
        sha256=hashlib.sha256(media).hexdigest(),
        width=pixels.shape[1],
        height=pixels.shape[0],
    )
    name = hashlib.sha256(f"{group}{mode}".encode()).hexdigest()[:8]
    return Item(f"{hashlib.sha256(group.encode()).hexdigest()[:12]}-{name}", "jpg", media, meta)


def corpus_with(root, modes, size=(112, 144)):
    for split, cameras in SPLITS.items():
        items = []
        for camera in range(cameras):
            group, rng = f"{split}-{camera}", np.random.default_rng([len(split), camera])
            pixels = scene(rng, *size)
            blurred = cv2.GaussianBlur(pixels, (0, 0), 1.2)
            patched = pixels.copy()
            patched[:24, :24] = blurred[:24, :24]
            of = {None: pixels, "regenerated": blurred, "composite": patched}
            items += [item(of[mode], mode, group, split, rng) for mode in modes]
        write_shard(root / "shards", f"tiny-{split}-0000", items, split=split, plan="0" * 64)
    return str(root)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return corpus_with(tmp_path_factory.mktemp("anew"), (None, "regenerated", "composite"))


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "run"
    return run("regeneration", out, shards=corpus, changes=QUICK, device="cpu"), out


def test_the_shipped_config_trains_a_detector_of_regenerated_frames(trained):
    report, out = trained
    test = {on: one.value for one in report.measured if "test split" in (on := one.on)}
    anew, system, pasted = test.values()
    assert anew == system > 0.95 and abs(pasted - 0.5) < 0.3
    assert report.rows == (10 * 3, 20 * 3)  # each as it is, one part, one copy
    bundle = Bundle.load(out / "bundle")
    assert bundle.config.measured == report.measured and bundle.calibration is None
    detector = RegenerationDetector.from_folder(out / "bundle")
    pixels = scene(np.random.default_rng(99), 112, 144)
    real, forged = (
        detector.examine(read_image(encode_image(one, "jpeg", 90)))
        for one in (pixels, cv2.GaussianBlur(pixels, (0, 0), 1.2))
    )
    assert real.score is not None and forged.score is not None and real.score > forged.score
    assert real.heatmap is None and real.details == {"windows": 1, "table_known": True}


def test_what_was_measured_is_not_measured_again(trained, corpus, tmp_path, monkeypatch):
    out = tmp_path / "cut"
    from forensics.training.regeneration import train

    monkeypatch.setattr(train, "_fit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run("regeneration", out, shards=corpus, changes=QUICK, device="cpu")
    monkeypatch.undo()
    rows = out / "train-statistics.npz"
    before = rows.stat().st_mtime_ns
    again = run("regeneration", out, shards=corpus, changes=QUICK, device="cpu")
    assert rows.stat().st_mtime_ns == before
    assert [one.value for one in again.measured] == [one.value for one in trained[0].measured]
    with pytest.raises(UsageError, match="finished run"):
        run("regeneration", out, shards=corpus, changes=QUICK, device="cpu")


def test_editors_that_are_left_out_train_nothing(trained, corpus, tmp_path):
    changes = [*QUICK, "leave_out=[inpaint]"]
    report = run("regeneration", tmp_path / "out", shards=corpus, changes=changes, device="cpu")
    assert report.rows == (10 * 3, 10 * 3) and len(report.measured) == len(trained[0].measured)
    with pytest.raises(UsageError, match="holds no picture that is regenerated"):
        changes = [*QUICK, "leave_out=[blurred]"]
        run("regeneration", tmp_path / "none", shards=corpus, changes=changes, device="cpu")


def test_a_corpus_of_small_pictures_is_refused(tmp_path, caplog):
    corpus = corpus_with(tmp_path / "corpus", (None, "regenerated"), size=(90, 120))
    with pytest.raises(UsageError, match="at least 96 pixels"):
        run("regeneration", tmp_path / "out", shards=corpus, changes=QUICK, device="cpu")
    (line,) = [one.getMessage() for one in caplog.records]
    assert line.startswith("20 of the train split left out, first ") and "120 x 90" in line


def test_a_corpus_of_speech_is_refused_at_once(tmp_path):
    (tmp_path / "speech").mkdir()
    corpus = training_corpus.build(tmp_path / "speech")
    with pytest.raises(UsageError, match="is speech"):
        run("regeneration", tmp_path / "out", shards=str(corpus), changes=QUICK, device="cpu")


def test_small_pictures_are_declined_and_weights_are_guarded(trained, tmp_path):
    detector = RegenerationDetector.from_folder(trained[1] / "bundle")
    found = detector.examine(Picture(np.zeros((95, 300, 3), np.uint8)))
    assert found.score is None and "96" in (found.not_applicable or "")
    copy = tmp_path / "bundle"
    copy.mkdir()
    for name in ("config.json", "model.safetensors"):
        data = (trained[1] / "bundle" / name).read_bytes()
        (copy / name).write_bytes(data[:-1] + b"\x01" if name.startswith("model") else data)
    with pytest.raises(CorpusError, match="SHA-256"):
        RegenerationDetector.from_folder(copy)


def test_a_corpus_without_regenerated_frames_is_refused(tmp_path):
    corpus = corpus_with(tmp_path / "corpus", (None, "composite"))
    with pytest.raises(UsageError, match="holds no picture that is regenerated"):
        run("regeneration", tmp_path / "out", shards=corpus, changes=QUICK, device="cpu")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"changes": ["copies.quality=[90, 60]"]}, "quality is a range"),
        ({"changes": ["fit.batch=1"]}, "fit.batch"),
        ({"seeds": [1, 2]}, "with one seed"),
        ({"where": {"a": "b"}}, "leave out --source"),
        ({"shards": None}, "name it with --shards"),
    ],
)
def test_wrong_settings_are_named(corpus, tmp_path, given, message):
    with pytest.raises(UsageError, match=message):
        run("regeneration", tmp_path / "out", **{"shards": corpus, **given})
