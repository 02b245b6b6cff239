from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from forensics.demo.portrait import portrait
from forensics.evaluation.clips import Clip, clip_set
from forensics.evaluation.faces.claims import Claim
from forensics.evaluation.faces.enrolled import claim_score, enrolled_scores
from forensics.evaluation.images.pictures import Marked
from forensics.identity.enrol import enrol
from forensics.media.image import encode_image


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def verdict(*matches):
    found = [SimpleNamespace(p_same=same, p_manipulated=made) for same, made in matches]
    return SimpleNamespace(faces=[SimpleNamespace(identities=found)])


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_a_claim_is_as_likely_as_the_person_times_genuine():
    assert claim_score(verdict((0.8, 0.25))) == pytest.approx(logit(0.6))
    assert claim_score(verdict((0.8, None))) == pytest.approx(logit(0.8))
    assert claim_score(verdict((0.1, None), (0.5, 0.5))) == pytest.approx(logit(0.25))
    assert math.isfinite(claim_score(verdict((1.0, 0.0))))
    assert math.isnan(claim_score(SimpleNamespace(faces=[])))


def test_enrolled_people_are_asked_about_the_pictures_that_claim_to_be_them(tmp_path):
    photos = [portrait(1, number) for number in range(4)]
    enrol("Person One", photos, store=tmp_path / "store")
    shown = [("person one", portrait(1, 9)), ("person one", portrait(7, 9)), ("nobody", photos[0])]
    clips = [
        Clip(f"item-{place}", True, "bonafide", "", "", name)
        for place, (name, _) in enumerate(shown)
    ]
    media = [Marked(encode_image(pixels, "png"), None) for _, pixels in shown]
    pictures = clip_set("drawn", clips, lambda wanted: ((p, media[p]) for p in wanted))
    claims = {f"item-{p}": Claim(name, "real", "probe") for p, (name, _) in enumerate(shown)}
    found = enrolled_scores(pictures, claims, tmp_path / "store", "cpu")
    assert found.label == "identity" and found.threshold == 0.0
    assert np.isfinite(found.score).tolist() == [True, True, False]
    assert found.score[0] > found.score[1]
