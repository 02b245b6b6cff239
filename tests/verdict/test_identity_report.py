"""What people see of faces: the HTML report and the overlay."""

from __future__ import annotations

import io

import numpy as np
import pytest
from helpers import painted_faces
from helpers.identities import identity, unit
from helpers.painted_faces import ANNA, BEN, picture
from helpers.red_detector import Red
from PIL import Image

import forensics
from forensics.identity.asking import Asking
from forensics.verdict.overlay import overlay_png
from forensics.verdict.report import render_report
from forensics.verdict.schema import Explanation

EVIL = "Anna <script>alert(1)</script>"


@pytest.fixture
def judged(monkeypatch):
    monkeypatch.setattr("forensics.faces.tools.open_faces", painted_faces.tools)
    crop = np.full((1, 112, 112, 3), ANNA, np.uint8)
    (vector,) = painted_faces.Colours().embed(crop)
    anna = identity(EVIL, unit(vector), embedder="frames-1+colours-1")
    pixels = picture((ANNA, 10, 20, 70), (BEN, 110, 20, 60), (BEN, 150, 110, 20))
    shown = []
    (verdict,) = forensics.detect(
        pixels, Red(), identity=anna, asking=Asking(), show=lambda *one: shown.append(one)
    )
    return verdict, shown[0][1]


def test_the_report_lists_faces_and_sets_words_apart(judged):
    verdict, _ = judged
    words = Explanation(
        text="<b>bonafide</b>", argues_for="genuine", model="a model", prompt_version="1"
    )
    page = render_report([verdict.model_copy(update={"explanation": words})])
    assert page.count("x 10–80, y 20–90") == 1 and "(judged)" in page
    assert "x 110–170" in page and "32 are needed" in page
    assert "&lt;b&gt;bonafide&lt;/b&gt;" in page and "no part of the evidence" in page
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_the_overlay_has_a_green_box_around_the_face_that_was_judged(judged):
    verdict, seen = judged
    with Image.open(io.BytesIO(overlay_png(verdict, seen))) as image:
        drawn = np.asarray(image).astype(int)
    scale = 320 / 200
    row = round(55 * scale)
    green, grey = drawn[row, round(10 * scale)], drawn[row, round(110 * scale)]
    assert np.abs(green - (46, 125, 91)).max() < 3
    assert np.abs(grey - (91, 107, 125)).max() < 3
