"""`task: identity-vlm` as a user runs it: the shipped configs, with tiny bases in their place."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from helpers import face_corpus
from helpers.scripted_vlm import Scripted
from helpers.tiny_vlms import BUILDERS

import forensics
from forensics import shards
from forensics.detectors.calibration import Calibration
from forensics.detectors.face.vlm import FaceVlmDetector
from forensics.detectors.face.vlm_calibration import VlmCalibration
from forensics.errors import CorpusError, UsageError
from forensics.faces.tools import FaceConfig, open_faces
from forensics.networks.vlm import Question, open_vlm
from forensics.training.config import checked, read_settings
from forensics.training.run import run
from forensics.training.vlm.calibrating import calibrated
from forensics.training.vlm.config import VlmTrainConfig
from forensics.training.vlm.enrol import enrol_tokens
from forensics.training.vlm.enrol_settings import EnrolSettings
from forensics.training.vlm.lane import TalkLanePlan
from forensics.training.vlm.questions import Asker

FACES = FaceConfig.model_validate({"locator": {"use": "whole"}})
FAST = [
    f"stages.{i}.fit.{change}"
    for i in range(2)
    for change in (
        "steps=4", "batch=4", "accumulate=2", "warmup=1", "evaluate_every=2", "log_every=2",
        "looks_at=4", "pool=12",
    )
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    made = {}
    for name, build in BUILDERS.items():
        made[name] = tmp_path_factory.mktemp(name)
        build(made[name])
    return made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, monkeypatch_module):
    """Faces with words for what is seen of them."""
    plain = face_corpus._item

    def described(pixels, system, who, *more, **params):
        item = plain(pixels, system, who, *more, **params)
        told = item.meta.params | {"attributes": {"hair": ("dark", "light")[who % 2]}}
        return type(item)(
            item.key, item.extension, item.media, item.meta.model_copy(update={"params": told}),
            item.mask,
        )  # fmt: skip

    monkeypatch_module.setattr(face_corpus, "_item", described)
    return face_corpus.build(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def settings(config, base, folder, **more):
    read = read_settings(config)
    read |= {"base": str(base), "dtype": "float32"} | more
    for i, stage in enumerate(read["stages"]):
        for change in FAST:
            place, name, rest = change.removeprefix("stages.").split(".", 2)
            field, value = rest.split("=")
            if int(place) == i:
                stage[name][field] = int(value)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(read))
    return str(path)


def test_the_papers_config_trains_an_adapter_and_enrols(bases, corpus, tmp_path):
    adapter = {"layer": 1, "tokens": 3, "hidden": 8}
    config = settings("identity-vlm", bases["llava_next"], tmp_path, adapter=adapter)
    report = run(config, tmp_path / "out", shards=corpus, device="cpu")
    assert "detection" in str(report) and report.stages[0].right_after is not None
    lines = [json.loads(x) for x in (tmp_path / "out/fits/detection/log.jsonl").open()]
    assert [line["step"] for line in lines if "dev_loss" in line] == [2, 4]
    vlm = open_vlm(tmp_path / "out/vlm")
    assert vlm.adapter is not None and vlm.card.view == "picture"
    picture = np.zeros((40, 40, 3), np.uint8)
    base = open_vlm(bases["llava_next"])
    base.add_adapter(vlm.adapter.config)
    asked = [Question("real")]
    assert vlm.score([picture], asked) != base.score([picture], asked)
    quick = EnrolSettings(**read_settings("identity-vlm")["enrol"] | {"steps": 2, "batch": 2})
    rows = enrol_tokens(vlm, "ann", [picture], [picture + 9], [picture + 99], quick)
    assert len(rows.tokens) == 10
    with pytest.raises(UsageError, match="finished"):
        run(config, tmp_path / "out", shards=corpus, device="cpu")


def test_vipguards_config_runs_its_stages(bases, corpus, tmp_path):
    lora = {"rank": 2, "alpha": 4}
    faces = {"locator": {"use": "whole"}}
    config = settings(
        "identity-vlm-vipguard", bases["qwen2_5_vl"], tmp_path, lora=lora, faces=faces
    )
    report = run(config, tmp_path / "out", shards=corpus, device="cpu")
    names = [(stage.name, stage.right_after is None) for stage in report.stages]
    assert names == [("attributes", True), ("pairs", False)]
    vlm = open_vlm(tmp_path / "out/vlm")
    moved = [p for name, p in vlm.network.named_parameters() if "lora_B" in name]
    assert moved and any(p.abs().max() > 0 for p in moved) and vlm.card.view == "face"
    enrol = read_settings("identity-vlm-vipguard")["enrol"] | {"steps": 2, "batch": 2}
    picture = np.zeros((40, 40, 3), np.uint8)
    rows = enrol_tokens(
        vlm, "ann", [picture], [picture + 9], [picture + 99], EnrolSettings(**enrol)
    )
    assert len(rows.tokens) == 32


class Sharp(Scripted):
    """Yes to faces as sharp as those of photos are, more or less."""

    def score(self, images, questions):
        middle = [image[50:100, 50:95].astype(np.float32) for image in images]
        return np.array([np.abs(np.diff(one, axis=0)).mean() for one in middle], np.float32)


def vlm_config(**more):
    return checked(VlmTrainConfig, read_settings("identity-vlm") | more, "identity-vlm")


def test_answers_are_calibrated_on_people_of_the_dev_split(corpus, tmp_path):
    config = vlm_config(calibrate={"pictures": 60, "target_fpr": 0.06, "target_fnr": 0.1})
    vlm = Sharp()
    calibration, threshold = calibrated(vlm, corpus, "faces", config)
    assert (calibration.n_bonafide, calibration.n_spoof) == (20, 20)
    assert "dev split" in calibration.fitted_on and "engines that were trained on" in (
        calibration.fitted_on
    )
    assert threshold.bonafide_below is None  # it never met an engine that it was not taught
    VlmCalibration(tensors_sha256="1" * 64, calibration=calibration, threshold=threshold).save(
        tmp_path
    )
    says = VlmCalibration.load(tmp_path, "1" * 64)
    detector = FaceVlmDetector(vlm, tmp_path, open_faces(FACES), says)
    test = list(shards.open(corpus, "test", shuffle=False, rank=0, world_size=1).whole())
    labels = {True: [], False: []}
    for item in test:
        (verdict,) = forensics.detect(item.media, detector)
        labels[item.meta.label == "bonafide"].append(verdict.label)
        assert 0 <= verdict.p_manipulated <= 1 and verdict.detectors[0].calibration != "none"
    assert set(labels[True]) == {"uncertain"}
    assert labels[False].count("manipulated") > len(labels[False]) / 2
    with pytest.raises(CorpusError, match="other weights"):
        VlmCalibration.load(tmp_path, "2" * 64)
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(CorpusError, match="cannot be read"):
        VlmCalibration.load(tmp_path, "1" * 64)


def test_answers_that_tell_nothing_stay_uncalibrated(corpus, monkeypatch):
    monkeypatch.setattr(Sharp, "score", lambda self, images, questions: np.zeros(len(images)))
    assert calibrated(Sharp(), corpus, "faces", vlm_config()) == (None, None)
    assert calibrated(Sharp(), corpus, "faces", vlm_config(calibrate=None)) == (None, None)


def test_a_run_leaves_a_calibration_that_detection_reads(bases, corpus, tmp_path, monkeypatch):
    """A model of four steps need not be better than chance, so what was found is given."""
    found = Calibration(scale=2, offset=1, n_bonafide=9, n_spoof=9, fitted_on="a test")
    monkeypatch.setattr("forensics.training.vlm.train.calibrated", lambda *_: (found, None))
    adapter = {"layer": 1, "tokens": 3, "hidden": 8}
    config = settings("identity-vlm", bases["llava"], tmp_path, adapter=adapter)
    report = run(config, tmp_path / "out", shards=corpus, device="cpu")
    assert str(found) in str(report)
    folder = tmp_path / "out" / "vlm"
    (item, *_) = shards.open(corpus, "test", shuffle=False, rank=0, world_size=1).whole()
    detector = FaceVlmDetector.from_folder(folder)
    detector.faces = open_faces(FACES)
    (verdict,) = forensics.detect(item.media, detector)
    assert verdict.reason == "no_threshold"
    assert verdict.llr == pytest.approx(2 * verdict.detectors[0].raw + 1)
    known = FaceVlmDetector.known_of(folder)
    assert known == detector.known and known.calibration == found and known.limits
    (folder / "calibration.json").unlink()
    detector = FaceVlmDetector.from_folder(folder)
    detector.faces = open_faces(FACES)
    (verdict,) = forensics.detect(item.media, detector)
    assert (verdict.label, verdict.reason) == ("uncertain", "uncalibrated")
    assert FaceVlmDetector.known_of(bases["llava"]).sha256 == (
        FaceVlmDetector.from_folder(bases["llava"]).known.sha256
    )


def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(bases, corpus, tmp_path, monkeypatch):
    adapter = {"layer": 1, "tokens": 2, "hidden": 4}
    config = settings("identity-vlm", bases["llava"], tmp_path, adapter=adapter)
    run(config, tmp_path / "whole", shards=corpus, device="cpu")
    from forensics.training.vlm.fit import StageFit

    save = StageFit._save

    def cut(self):
        save(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StageFit, "_save", cut)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "parts", shards=corpus, device="cpu")
    run(config, tmp_path / "parts", shards=corpus, device="cpu")
    one, two = (
        open_vlm(tmp_path / name / "vlm").adapter.state_dict() for name in ("whole", "parts")
    )
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=0, atol=0)


def test_lanes_go_on_where_they_were(corpus):
    asker = Asker("detection", read_forms(), "face", 1.6)
    plan = TalkLanePlan(corpus, lambda *_: True, asker, None, 4, 1, 3, 0, pool=8, draws=2)
    lane = plan.lane(0, None)
    source = iter(lane)
    for _ in range(5):
        next(source)
    state = dict(lane.state)
    expected = [next(source) for _ in range(3)]
    again = iter(plan.lane(0, state))
    for want in expected:
        for one, two in zip(want.talks, next(again).talks, strict=True):
            assert one.answer == two.answer
            np.testing.assert_array_equal(one.pictures[0], two.pictures[0])


def read_forms():
    return VlmTrainConfig(**read_settings("identity-vlm")).stages[0].fit.forms


def test_half_of_the_questions_are_answered_yes(corpus):
    from forensics import shards

    pool = list(shards.open(corpus, "train", shuffle=False, rank=0, world_size=1).whole())
    rng = np.random.default_rng(0)
    for asks in ("detection", "pairs"):
        asker = Asker(asks, read_forms(), "picture", 1.6)
        for _ in range(5):
            yes, no = asker.two(pool, rng)
            assert yes.answer == "The answer is yes ." and no.answer == "The answer is no ."
            assert len(yes.pictures) == len(no.pictures) == (2 if asks == "pairs" else 1)


def test_what_a_corpus_lacks_is_named(bases, tmp_path):
    bare = face_corpus.build(tmp_path / "bare", photos=1, enrolled=0)
    lora = {"rank": 2, "alpha": 4}
    config = settings("identity-vlm-vipguard", bases["qwen2_5_vl"], tmp_path, lora=lora)
    with pytest.raises(UsageError, match=r"no item with params\.attributes|no two photos"):
        run(config, tmp_path / "out", shards=bare, device="cpu")


@pytest.mark.parametrize(
    "change, said",
    [
        ("adapter=null", "trains adapter"),
        ("stages.0=3", "stages"),
        ("enrol.sides=[b, a]", "sides are"),
    ],
)
def test_wrong_configs_are_named(change, said):
    read = read_settings("identity-vlm")
    if change == "adapter=null":
        read["adapter"] = None
    elif change == "stages.0=3":
        read["stages"] = [3]
    else:
        read["enrol"]["sides"] = ["b", "a"]
    with pytest.raises(UsageError, match=said):
        checked(VlmTrainConfig, read, "identity-vlm")


def test_both_shipped_configs_are_what_they_say():
    paper = checked(VlmTrainConfig, read_settings("identity-vlm"), "identity-vlm")
    assert len(paper.enrol.tokens) == 10 and paper.enrol.learning_rate == 1e-3
    vip = checked(VlmTrainConfig, read_settings("identity-vlm-vipguard"), "vipguard")
    assert len(vip.enrol.tokens) == 32 and vip.enrol.similarity
    assert [stage.asks for stage in vip.stages] == ["attributes", "pairs"]
