from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import face_corpus
from PIL import Image

from forensics.detectors.face.classifier import FaceClassifierDetector
from forensics.detectors.face.window import Window
from forensics.errors import UsageError
from forensics.faces.base import Face
from forensics.generators.face.base import FORGERS
from forensics.media.image import read_image
from forensics.networks.face_encoder.folder import load_encoder
from forensics.shards import open as open_shards
from forensics.training.face_encoder.crops import FaceMasker
from forensics.training.journal import read
from forensics.training.run import run

TINY = [
    "architecture={side: 32, patch: 8, width: 32, depth: 2, heads: 2}",
    "pretraining={decoder_width: 32, decoder_depth: 1, decoder_heads: 2, view_depth: 1, "
    "projected: 8, hidden: 16}",
    "fit.batch=8", "fit.steps=240", "fit.warmup=20", "fit.learning_rate=0.004",
    "fit.evaluate_every=120", "fit.looks_at=12", "fit.log_every=10",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return face_corpus.build(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("encoder") / "out"
    report = run("face-encoder", out, shards=corpus, changes=TINY, device="cpu")
    return report, out


def test_a_run_learns_to_draw_what_is_hidden(trained, corpus):
    report, out = trained
    looks = [line for line in read(out / "fits" / "all" / "log.jsonl") if "dev_pixels" in line]
    assert report.steps == 240 and len(looks) == 2
    assert report.dev_pixels == min(line["dev_pixels"] for line in looks) < 0.95
    assert -1 <= looks[-1]["dev_instance"] < -0.1
    encoder, card = load_encoder(out / "encoder")
    assert card.architecture.width == 32 and "real photos" in card.trained_on
    assert 0.2 < card.architecture.mean[0] < 0.8 and card.architecture.std[0] > 0.05
    assert not any(name.startswith("target") for name in encoder.state_dict())
    with pytest.raises(UsageError, match="holds a finished run"):
        run("face-encoder", out, shards=corpus, changes=TINY, device="cpu")


def test_an_encoder_is_the_features_of_a_classifier(trained, corpus, tmp_path):
    folder = trained[1] / "encoder"
    FORGERS.names()
    changes = [
        "architecture={backbone: encoder, side: 32, channels: 8}",
        f"architecture.encoder_weights={folder}", "fit.batch=4", "fit.steps=3", "fit.warmup=1",
        "fit.evaluate_every=3", "fit.looks_at=6", "calibrate=null",
        "fit.self_blended.probability=0",
    ]  # fmt: skip
    run("face-classifier", tmp_path / "out", shards=corpus, changes=changes, device="cpu")
    detector = FaceClassifierDetector.from_folder(tmp_path / "out" / "bundle")
    tensors, own = detector.bundle.tensors(), load_encoder(folder)[0].state_dict()
    assert all(torch.equal(tensors[f"features.encoder.{name}"], own[name]) for name in own)
    items = open_shards(corpus, "test", shuffle=False, rank=0, world_size=1)
    found = detector.examine_faces(read_image(next(iter(items)).media), [Face(face_corpus.BOX)])
    assert found.score is not None and found.heatmap is not None


def test_an_encoder_of_another_size_is_refused(trained, corpus, tmp_path):
    changes = ["architecture={backbone: encoder, side: 48}", "calibrate=null"]
    changes += [f"architecture.encoder_weights={trained[1] / 'encoder'}"]
    changes += ["fit.self_blended.probability=0"]
    with pytest.raises(UsageError, match="takes crops of 32"):
        run("face-classifier", tmp_path / "out", shards=corpus, changes=changes, device="cpu")


def masker(**changes) -> FaceMasker:
    given = {"side": 64, "patch": 8, "margin": 1.3, "shift": 0.1, "zoom": 1.2, "flip": 0.5}
    return FaceMasker(**{**given, "share": 0.75, **changes})


def first(corpus):
    return next(iter(open_shards(corpus, "train", shuffle=False, rank=0, world_size=1)))


def test_a_crop_of_one_seed_is_always_the_same_and_has_its_share_hidden(corpus):
    item = first(corpus)
    one, other = (masker().cut(item, np.random.default_rng(4))[0] for _ in range(2))
    assert torch.equal(one.pixels, other.pixels) and torch.equal(one.hidden, other.hidden)
    assert one.hidden.sum() == 48 and not (one.covered & ~one.hidden).any()
    moved = masker().cut(item, np.random.default_rng(5))[0]
    assert not torch.equal(one.pixels, moved.pixels)


def test_the_template_lies_over_the_face_wherever_the_crop_is(corpus):
    from forensics.networks.face_encoder.regions import EYES

    face, tool = Face(face_corpus.BOX), masker()
    for window in (Window.around(face.box, 1.3), Window.around(face.box, 2.0)):
        labels = tool._template(window, face)
        rows, columns = np.nonzero(np.isin(labels, EYES))
        scale = window.side / 64
        middle = window.left + columns.mean() * scale, window.top + rows.mean() * scale
        left, top, right, bottom = face.box
        assert middle[0] == pytest.approx((left + right) / 2, abs=2)
        assert middle[1] == pytest.approx(top + 0.4 * (bottom - top), abs=3)


def test_parsing_maps_of_the_user_are_used_and_checked(corpus, tmp_path):
    item = first(corpus)
    tool = masker(parsing=str(tmp_path), margin=1.0)
    with pytest.raises(UsageError, match="no parsing map"):
        tool.crop(item, np.random.default_rng(0), still=True)
    path = tmp_path / f"{item.key}.png"
    labels = np.ones((item.meta.height, item.meta.width), np.uint8)
    left, top, right, _ = face_corpus.BOX
    labels[top + 20 : top + 50, left:right] = 6
    Image.fromarray(labels).save(path)
    drawn = tool.crop(item, np.random.default_rng(0), still=True)
    rows = drawn.covered.view(8, 8).any(1)
    assert rows.tolist() == [False, True, True, True, False, False, False, False]
    Image.fromarray(labels + 20).save(path)
    with pytest.raises(UsageError, match="labels up to"):
        tool.crop(item, np.random.default_rng(0), still=True)


def test_a_corpus_that_does_not_know_its_faces_is_refused(tmp_path):
    from helpers import picture_corpus

    corpus = picture_corpus.build(tmp_path / "c")
    with pytest.raises(UsageError, match="where its face is"):
        run("face-encoder", tmp_path / "out", shards=corpus, changes=TINY, device="cpu")
