from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import face_corpus

from forensics.detectors.face.base import FaceDetector, FaceScore
from forensics.errors import UsageError
from forensics.evaluation.clips import Clip
from forensics.evaluation.faces.claims import Claim, claims_of
from forensics.evaluation.faces.figures import Scored, face_report, rates
from forensics.evaluation.faces.similarity import BASELINE, Similarities, left_out
from forensics.evaluation.faces.text import face_lines
from forensics.evaluation.images.run import evaluate_pictures
from forensics.evaluation.shown import as_html, as_text
from forensics.faces.base import Face
from forensics.faces.tools import FaceTools


def test_rates_worked_by_hand():
    score = np.array([3.0, 1.0, 2.0, 0.0, -1.0])
    real = np.array([True, True, False, False, False])
    found = rates(score, real, 1.5)  # called not authentic: 1.0 (wrongly), 0.0 and -1.0
    assert (found.real, found.other) == (2, 3)
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.precision == pytest.approx(2 / 3) and found.recall == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 / 3) and found.auc == pytest.approx(5 / 6)
    one_class = rates(score[:2], real[:2], 0.0)
    assert one_class.auc is None and one_class.real == 2 and one_class.other == 0


def test_a_photo_is_compared_with_the_others_alone():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    expected = [0.0, np.sqrt(0.5), np.sqrt(0.5)]
    np.testing.assert_allclose(left_out(rows), expected, atol=1e-12)


PEOPLE, EACH = 6, 4


def claims_and_scores(rng):
    """Of each person real photos, swaps, look-alikes and an enrolled photo."""
    clips, claims, truth = [], {}, []
    for person in range(PEOPLE):
        for role, use in [("real", "probe")] * EACH + [("swap", "probe")] * EACH + [
            ("lookalike", "probe"), ("real", "enrol"),
        ]:  # fmt: skip
            key = f"item-{len(clips)}"
            real = role != "swap"
            system = "bonafide" if real else "swapper"
            clips.append(Clip(key, real, system, "", "", f"person{person}"))
            claims[key] = Claim(f"person{person}", role, use)
            truth.append(role == "real")
    return clips, claims, np.array(truth)


def test_figures_are_of_probes_and_say_who_beats_the_baseline():
    rng = np.random.default_rng(0)
    clips, claims, truth = claims_and_scores(rng)
    weak = truth + rng.normal(0, 1.0, len(truth))
    strong, noise = truth + rng.normal(0, 0.1, len(truth)), rng.normal(0, 1, len(truth))
    strong[0] = np.nan  # not judged: in nobody's figures
    similar = Similarities(weak, 0.5, 12, PEOPLE, "tools")
    found = face_report(clips, claims, similar, [Scored("strong", strong), Scored("noise", noise)])
    assert found is not None
    assert found.compared == PEOPLE * (2 * EACH + 1) - 1
    assert found.baseline.pooled.real == PEOPLE * EACH - 1
    assert found.baseline.pooled.other == PEOPLE * EACH
    first, last = found.detectors
    assert first.beats is True and first.over.low > 0
    assert last.beats is False and last.over.value < 0
    assert [row.name for row in first.roles] == ["lookalike", "swap"]
    assert [row.name for row in first.systems] == ["swapper"]
    assert len(first.people) == PEOPLE
    assert first.macro.auc == pytest.approx(np.mean([row.rates.auc for row in first.people]))
    assert "these very pictures" in first.threshold_origin
    text = "\n".join(face_lines(found))
    assert "noise does not beat comparing faces alone" in text
    assert "strong does not beat" not in text


def test_a_detector_that_judges_nothing_takes_nobodys_pictures_away():
    clips, claims, truth = claims_and_scores(np.random.default_rng(0))
    silent = Scored("silent", np.full(len(truth), np.nan))
    similar = Similarities(truth.astype(float), 0.5, 12, PEOPLE, "tools")
    found = face_report(clips, claims, similar, [silent])
    assert found is not None and found.detectors == ()
    nobody = Similarities(np.full(len(truth), np.nan), 0.5, 0, 0, "tools")
    assert face_report(clips, claims, nobody, [silent]) is None


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return face_corpus.build(tmp_path_factory.mktemp("faces"))


class _At(FaceTools):
    """The drawn faces lie where they were drawn."""

    def __init__(self):
        from forensics.faces.lbp import LbpEmbedder
        from forensics.faces.whole import WholePicture

        super().__init__(WholePicture(), LbpEmbedder())

    def locate(self, pixels):
        return [Face(face_corpus.BOX)]


class Smoothness(FaceDetector):
    """How sharp a face is: what all forgeries of the tiny corpus change."""

    name, version, licence, summary, paper = "sharp", "1", "CC0-1.0", "for tests", "none"
    side, margin = 96, 1.0

    def __init__(self):
        self.faces = _At()

    def judge(self, crops):
        middle = crops[:, 30:70, 30:70].astype(float)
        return [FaceScore(float(np.abs(np.diff(one, axis=1)).mean())) for one in middle]


def test_an_evaluation_on_faces_prints_the_baseline_beside(corpus, monkeypatch):
    monkeypatch.setattr("forensics.evaluation.faces.similarity.open_faces", lambda config: _At())
    done = evaluate_pictures([Smoothness()], shards=corpus, split="all", replicates=50)
    faces = done.report.faces
    assert faces is not None and faces.people == 14 and faces.enrolled == 28
    assert faces.compared == 14 * 2 * 3
    assert faces.baseline.label == BASELINE and faces.detectors[0].label == "sharp"
    assert faces.detectors[0].pooled.auc > 0.95
    swaps = next(row for row in faces.baseline.systems if row.name == "swapped")
    smooth = next(row for row in faces.baseline.systems if row.name == "smooth")
    assert swaps.rates.auc > 0.6 and swaps.rates.auc > smooth.rates.auc - 0.2
    text = as_text(done)
    assert BASELINE in text and "mean of people" in text
    assert "Claims: is it an authentic photo" in as_html(done)
    assert json.loads(done.report.model_dump_json())["faces"]["compared"] == faces.compared


def test_pictures_that_claim_nobody_have_no_such_figures(tmp_path):
    from helpers import picture_corpus

    corpus = picture_corpus.build(tmp_path / "c")
    assert claims_of(corpus) == {}
    done = evaluate_pictures(["zero"], shards=corpus, replicates=20)
    assert done.report.faces is None and BASELINE not in as_text(done)
    with pytest.raises(UsageError, match="do not say whom"):
        evaluate_pictures(["zero"], shards=corpus, replicates=20, identities=tmp_path)
