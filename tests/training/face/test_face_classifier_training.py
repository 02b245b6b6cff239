"""The face classifier's trainer as a user runs it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from helpers import face_corpus

from forensics import resources
from forensics.demo.portrait import portrait
from forensics.detectors.face.classifier import FaceClassifierDetector
from forensics.detectors.image.base import IMAGE_DETECTORS
from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.faces.base import Face
from forensics.generators.face.base import FORGERS
from forensics.media.image import Picture, encode_image, read_image
from forensics.shards import open as open_shards
from forensics.training.config import read_settings
from forensics.training.detector.folds import Fold
from forensics.training.face_classifier.crops import FaceCropper, people
from forensics.training.face_classifier.fit import wanted
from forensics.training.run import run


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def blender():
    FORGERS.names()
    FORGERS._classes["test-blender"] = face_corpus.Blender
    yield
    del FORGERS._classes["test-blender"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return face_corpus.build(tmp_path_factory.mktemp("faces"))


def written(folder, settings) -> str:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    settings = face_corpus.tiny_settings()
    settings["calibrate"] = {
        "leave_out": [["faceswap"], ["smooth"]],  # a kind, and a system
        "target_fpr": 0.2,
        "target_fnr": 0.2,
        "channels": ["jpeg70"],
        "vouch_below_eer": 0.49,
        "steps": 45,
    }
    report = run(written(folder, settings), folder / "out", shards=corpus, device="cpu")
    return report, folder / "out"


def test_a_run_leaves_a_bundle_that_tells_faces_apart(trained):
    report, out = trained
    for name in ("report.json", "report.md", "curves.png", "run.yaml"):
        assert (out / name).stat().st_size > 0
    assert IMAGE_DETECTORS.get("face-classifier") is FaceClassifierDetector
    detector = FaceClassifierDetector.from_folder(out / "bundle")
    face = Face(face_corpus.BOX)
    scores = {"real": [], "forged": []}
    for person in range(6):
        pixels = portrait(person + 40, 0)
        for label, shown in (
            ("real", pixels),
            ("forged", face_corpus.forged(pixels, "swapped", portrait(person + 60, 1))),
        ):
            picture = read_image(encode_image(shown, "jpeg", 92))
            found = detector.examine_faces(picture, [face])
            assert found.heatmap is not None and found.heatmap.shape == shown.shape[:2]
            assert found.details["box"] == [2, 8, 142, 144] and found.details["face"] == [*face.box]
            scores[label].append(found.score)
    assert np.mean(scores["real"]) > np.mean(scores["forged"])
    card = detector.bundle.config
    assert card.calibration == report.calibration and card.thresholds == (report.threshold,)
    assert {m.metric for m in card.measured} >= {"image auc", "pixel f1 at 0.5", "false alarms"}
    assert float(detector.bundle.tensors()["cut"]) == pytest.approx(report.cut)


def test_a_face_that_nobody_sees_is_not_judged(trained):
    detector = FaceClassifierDetector.from_folder(trained[1] / "bundle")
    found = detector.examine(Picture(np.full((64, 64, 3), 127, np.uint8)))
    assert found.score is None and found.not_applicable == "no face was found"
    small = detector.examine_faces(Picture(portrait(0, 0)), [Face((0, 0, 20, 22))])
    assert small.score is None and "22 pixels" in (small.not_applicable or "")


def test_the_face_that_looks_most_forged_decides_and_maps_lie_as_stored(trained):
    detector = FaceClassifierDetector.from_folder(trained[1] / "bundle")
    wide = np.concatenate(
        [portrait(3, 0), face_corpus.forged(portrait(4, 0), "smooth", portrait(5, 0))], 1
    )
    left, top, right, bottom = face_corpus.BOX
    faces = [Face(face_corpus.BOX), Face((left + 144, top, right + 144, bottom))]
    found = detector.examine_faces(Picture(wide), faces)
    alone = [detector.examine_faces(Picture(wide), [face]) for face in faces]
    assert found.score == min(one.score for one in alone)
    assert len(found.details["faces"]) == 2 and found.details["faces_found"] == 2
    assert np.array_equal(found.heatmap, np.maximum(alone[0].heatmap, alone[1].heatmap))
    # the same picture as a file that says "turn me"
    stored = np.ascontiguousarray(np.rot90(wide, 1))  # orientation 6 turns it back, clockwise
    turned = detector.examine_faces(Picture(stored, orientation=6), faces)
    assert turned.score == found.score
    assert np.array_equal(turned.heatmap, np.rot90(found.heatmap, 1))


def test_crossed_fits_saw_neither_the_people_nor_the_forgeries(trained, corpus):
    _, out = trained
    with np.load(out / "fits" / "fold-1" / "unheard.npz") as found:
        assert set(found["system"]) <= {"bonafide", "swapped"}
        assert set(found["channel"]) == {"clean", "jpeg70"}
    items = list(open_shards(corpus, "train", shuffle=False, rank=0, world_size=1))
    fold = Fold("fold-1", frozenset({"swapped"}), 0, 2)
    heard = [item for item in items if wanted(item.meta, fold.heard)]
    unheard = [item for item in items if wanted(item.meta, fold.unheard)]
    seen = set().union(*(people(item.meta) for item in heard))
    assert heard and unheard
    assert all(not people(item.meta) & seen for item in unheard)
    swaps = [item for item in items if item.meta.system == "swapped"]
    assert any(len(people(item.meta)) == 2 for item in swaps)


def test_a_fit_that_leaves_self_blended_photos_out_makes_none(corpus, tmp_path):
    from forensics.corpus.index import inspect_corpus
    from forensics.training.config import checked
    from forensics.training.face_classifier.config import FaceClassifierTrainConfig
    from forensics.training.face_classifier.train import _plan

    config = checked(FaceClassifierTrainConfig, face_corpus.tiny_settings(), "tiny")
    info = inspect_corpus(corpus)
    systems = dict(info.systems)
    systems["smooth"] = systems["smooth"].model_copy(update={"kind": "selfblend"})
    info = info.model_copy(update={"systems": systems})
    for left_out, blends in (({"smooth"}, False), ({"swapped"}, True)):
        fold = Fold("fold-1", frozenset(left_out), 0, 2)
        assert _plan(corpus, config, fold, info, tmp_path).blends is blends


def cropper(**changes) -> FaceCropper:
    from forensics.conditions.image.draw import ImageConditionPolicy

    still = {
        "side": 48, "margin": 1.0, "shift": 0.0, "zoom": 1.0, "augment": ImageConditionPolicy(),
        "recompress": 0.0, "quality": (90, 90), "flip": 0.0, "blended": 1.0,
        "blender": face_corpus.Blender(),
    }  # fmt: skip
    return FaceCropper(**{**still, **changes})


def first(corpus, system):
    items = open_shards(corpus, "train", shuffle=False, rank=0, world_size=1)
    return next(item for item in items if item.meta.system == system)


def test_a_crop_is_what_detection_cuts_and_its_mask_lies_on_it(corpus):
    from forensics.detectors.face.window import Window

    item = first(corpus, "swapped")
    crops = cropper().pair(first(corpus, "bonafide"), item, np.random.default_rng(0))
    window = Window.around(face_corpus.BOX, 1.0)
    expected = window.cut(read_image(item.media).pixels, 48)
    assert np.array_equal(crops[1].pixels[0].permute(1, 2, 0).numpy(), expected)
    share = window.cut(face_corpus.face_mask().astype(np.float32), 12)
    assert np.abs(crops[1].share[0, 0].numpy() - share).mean() < 0.03
    assert not crops[0].share.any() and float(crops[0].forged) == 0 == 1 - float(crops[1].forged)
    assert bool(crops[1].judged) and crops[1].weights.sum() == pytest.approx(1, abs=1e-4)


def test_a_blended_pair_differs_inside_its_mask_alone_but_for_the_saving(corpus):
    pair = cropper().blended_pair(first(corpus, "bonafide"), np.random.default_rng(0))
    assert pair is not None
    real, fake = (one.pixels.float() for one in pair)
    share = torch.nn.functional.interpolate(pair[1].share, scale_factor=4.0)
    apart = (real - fake).abs()
    inside, outside = apart[(share > 0.9).expand_as(apart)], apart[(share == 0).expand_as(apart)]
    assert inside.mean() > 4 * outside.mean()


def test_a_face_of_unknown_place_is_an_error(corpus):
    item = first(corpus, "bonafide")
    params = {k: v for k, v in item.meta.params.items() if k != "box"}
    from dataclasses import replace

    lost = replace(item, meta=item.meta.model_copy(update={"params": params}))
    with pytest.raises(UsageError, match="where its face is"):
        cropper().pair(lost, lost, np.random.default_rng(0))


def test_weights_are_guarded(trained, tmp_path):
    with pytest.raises(MissingRequirement, match="needs weights"):
        FaceClassifierDetector.from_folder(None)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((trained[1] / "bundle" / name).read_bytes())
    with (tmp_path / "model.safetensors").open("ab") as file:
        file.write(b"\x01")
    with pytest.raises(CorpusError, match="SHA-256"):
        FaceClassifierDetector.from_folder(tmp_path)


def test_the_shipped_config_runs(corpus, tmp_path):
    assert "face-classifier" in resources.names("configs")
    small = ["architecture.side=32", "architecture.channels=4", "fit.batch=4", "fit.steps=2"]
    small += ["fit.evaluate_every=2", "fit.looks_at=6", "fit.warmup=1", "calibrate=null"]
    small += ["fit.self_blended.use=test-blender"]
    report = run("face-classifier", tmp_path / "out", shards=corpus, changes=small, device="cpu")
    assert report.steps == 2 and report.calibration is None


def test_the_shipped_network_is_small():
    from forensics.training.face_classifier.fit import built

    network = built(read_settings("face-classifier")["architecture"])
    assert sum(p.numel() for p in network.parameters()) < 50_000
