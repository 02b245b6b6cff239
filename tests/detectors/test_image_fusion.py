"""The fusion of image detectors: what is missing counts nothing, weights are pinned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.red_detector import CALIBRATION, THRESHOLD, Red, scene

from forensics.detectors.bundle import Bundle, BundleCard
from forensics.detectors.image.base import IMAGE_DETECTORS, Finding, ImageDetector
from forensics.detectors.image.fusion import (
    FAINT,
    RAISED,
    REACH,
    FusionModel,
    ImageFusion,
    figures,
)
from forensics.detectors.image.planes import Plane
from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.media.image import Picture
from forensics.verdict.detect import detect, load_detector

BOX = (10, 6, 26, 18)


class Learned(Red):
    """Like `red`, but it has weights, and its map knows the left half only."""

    name = "learned-red"
    needs_weights = True

    def __init__(self, bundle: Bundle):
        super().__init__(calibrated=False)
        self.bundle = bundle

    @classmethod
    def from_folder(cls, folder, device="cpu", threads=None):
        return cls(Bundle.load(folder))

    def examine(self, picture: Picture) -> Finding:
        found = super().examine(picture)
        if found.heatmap is None or found.mask is None:
            return found
        left = np.arange(picture.width) < picture.width // 2
        heat, mask = np.asarray(found.heatmap) * left * 0.5, np.asarray(found.mask) & left
        return Finding(found.score, heatmap=Plane.of(heat), mask=Plane.of(mask))


class Wide(ImageDetector):
    """Judges pictures that are wider than high, by their brightness; marks nothing."""

    name, version, licence, summary, paper = "wide", "1", "CC0-1.0", "for tests", "none"

    def examine(self, picture: Picture) -> Finding:
        if picture.width <= picture.height:
            return Finding(None, "not wider than high")
        return Finding(float(picture.pixels.mean()))


@pytest.fixture(autouse=True)
def registered():
    IMAGE_DETECTORS.names()
    for cls in (Red, Learned, Wide):
        IMAGE_DETECTORS._classes[cls.name] = cls
    yield
    for cls in (Red, Learned, Wide):
        del IMAGE_DETECTORS._classes[cls.name]


def card(**changes) -> BundleCard:
    given = {
        "detector": "image-fusion",
        "detector_version": "2",
        "architecture": {},
        "trained_on": "a test",
        "licence": "CC0-1.0",
    }
    return BundleCard(**{**given, **changes})


MODEL = FusionModel(
    centre=np.array([[1.0, -3.0], [1.0, -3.0], [128.0, 0.0]]),
    spread=np.array([[2.0, 1.0], [2.0, 1.0], [64.0, 1.0]]),
    weight=np.array([[[1.0, -0.5], [0.8, 0.0], [0.25, 0.0]]]),
    bias=np.array([0.5]),
)


@pytest.fixture
def folder(tmp_path):
    """A fusion of three parts, one of them with weights."""
    place = tmp_path / "fusion"
    learned = card(detector="learned-red", detector_version="1")
    own = Bundle.save(place / "learned-red", learned, {"w": torch.zeros(1)})
    parts = [
        {"name": "learned-red", "version": "1", "weights_sha256": own.weights_sha256},
        {"name": "red", "version": "1", "weights_sha256": None},
        {"name": "wide", "version": "1", "weights_sha256": None},
    ]
    calibrated = {"calibration": CALIBRATION, "thresholds": (THRESHOLD,)}
    tensors = {name: torch.from_numpy(array) for name, array in MODEL.arrays().items()}
    Bundle.save(place, card(architecture={"parts": parts}, **calibrated), tensors)
    return place


@pytest.fixture(autouse=True)
def red_without_weights(monkeypatch):
    monkeypatch.setattr(Red, "from_folder", classmethod(lambda cls, *_: Red(calibrated=False)))


def test_the_score_is_the_weighed_sum_of_what_the_parts_say(folder):
    picture = Picture(scene(red=BOX))
    found = ImageFusion.from_folder(folder).examine(picture)
    raw, area = 2 - 6.25, np.log10(0.0625)
    worth = {
        "learned-red": 1.0 * (raw - 1) / 2 - 0.5 * (area + 3),
        "red": 0.8 * (raw - 1) / 2,
        "wide": 0.25 * (float(picture.pixels.mean()) - 128) / 64,
    }
    assert found.details["contributions"] == pytest.approx(worth)
    assert found.score == pytest.approx(0.5 + sum(worth.values()))
    assert list(found.parts) == ["learned-red", "red", "wide"]
    assert all(part.heatmap is None for part in found.parts.values())


def test_what_a_part_cannot_judge_counts_nothing(folder):
    fusion = ImageFusion.from_folder(folder)
    wide, high = scene(red=BOX), scene(64, 48, red=BOX)
    found = fusion.examine(Picture(high))
    assert set(found.details["contributions"]) == {"learned-red", "red"}
    assert found.score == pytest.approx(0.5 + sum(found.details["contributions"].values()))
    middle = np.full_like(wide, 128)  # the centre of `wide`: what it says is worth nothing
    assert fusion.examine(Picture(middle)).details["contributions"]["wide"] == pytest.approx(0)
    nothing = fusion.examine(Picture(np.zeros((1, 1, 3), np.uint8)))
    assert nothing.score is None and "1 pixel a side" in (nothing.not_applicable or "")


def test_one_part_can_only_say_so_much():
    far = np.array([[[1e9, np.nan], [np.nan, np.nan], [np.nan, np.nan]]])
    assert MODEL.contributions(far)[0].tolist() == [REACH, 0.0, 0.0]
    assert MODEL.scores(far)[0] == REACH + 0.5


def test_two_modes_are_a_mixture_and_parts_add_what_would_be_lacking():
    model = FusionModel(
        centre=np.zeros((2, 2)),
        spread=np.ones((2, 2)),
        weight=np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [2.0, 0.0]]]),
        bias=np.array([0.0, 1.0]),
    )
    found = np.array([[[-3.0, np.nan], [1.0, np.nan]], [[0.0, np.nan], [-2.0, np.nan]]])
    # By hand: LLRs (-3, 3) and (0, -3); -log(e^3 + e^-3) = -3.0025, -log(1 + e^3) = -3.0486.
    assert model.by_mode(found).tolist() == [[-3.0, 3.0], [0.0, -3.0]]
    assert model.scores(found) == pytest.approx([-3.002476, -3.048587], abs=1e-6)
    # Without the first part -log(1 + e^-3) and the same score, without the second
    # -log(e^3 + e^-1) and -log(1 + e^-1).
    without_first, without_second = [-0.048587, -3.048587], [-3.018150, -0.313262]
    wanted = np.array([-3.002476, -3.048587]) - np.array([without_first, without_second])
    np.testing.assert_allclose(model.contributions(found).T, wanted, atol=1e-5)


def test_the_map_is_raised_where_sure_parts_mark_and_nowhere_else(folder):
    right = (40, 20, 60, 30)  # the learned part is blind there
    found = ImageFusion.from_folder(folder).examine(Picture(scene(red=right)))
    assert found.details["contributions"]["red"] < -1
    heat, mask = np.asarray(found.heatmap), np.asarray(found.mask)
    assert (heat[20:30, 40:60] == 0.75).all()
    assert mask.sum() == 200 and heat[:, :32].max() == 0
    faint = ImageFusion.from_folder(folder).examine(Picture(scene(red=(40, 20, 44, 22))))
    assert faint.details["contributions"]["red"] > -1
    assert np.asarray(faint.heatmap).max() == 0 and not np.asarray(faint.mask).any()


def test_without_a_learned_part_the_map_hints_below_one_half():
    picture = Picture(scene(red=BOX))
    said = Red(calibrated=False).examine(picture)
    for weight in (0.0, 50.0):  # worth nothing; worth an alarm
        model = FusionModel(
            centre=np.array([[1e3, 0.0], [0.0, 0.0]]),
            spread=np.ones((2, 2)),
            weight=np.array([[[weight, 0.0], [0.0, 0.0]]]),
            bias=np.zeros(1),
        )
        parts = (Red(calibrated=False), Wide())
        found = ImageFusion(Bundle(Path(), card()), model, parts).examine(picture)
        own, heat = np.asarray(said.heatmap), np.asarray(found.heatmap)
        assert heat.max() == pytest.approx(RAISED if weight else FAINT * own.max() / 2)
        outside = ~np.asarray(said.mask)
        assert np.allclose(heat[outside], FAINT * own[outside] / 2)
        assert np.asarray(found.mask).any() == (weight > 0)


def test_figures_of_a_finding():
    assert np.isnan(figures(Finding(None, "why"))).all()
    score, area = figures(Finding(1.0))
    assert score == 1.0 and np.isnan(area)
    assert figures(Finding(1.0, mask=Plane.of(np.zeros((4, 4), bool)))) == (1.0, -5.0)
    assert figures(Finding(1.0, mask=Plane.of(np.ones((4, 4), bool)))) == (1.0, 0.0)


def test_a_verdict_lists_every_part_with_its_reason(folder):
    forged, high = detect([scene(red=BOX), scene(64, 48)], folder)
    assert forged.label == "manipulated"
    own, learned, red, _ = forged.detectors
    assert (own.name, own.llr) == ("image-fusion", forged.llr)
    assert learned.says is not None and learned.says.startswith("marks 1 region")
    assert red.contribution is not None and red.contribution < -1
    worth = f"speaks for manipulation (LLR {red.contribution:+.2f})"
    assert red.says == f"marks 1 region, 6.2 % of the picture; {worth}"
    assert red.regions[0].box == BOX and red.calibration == "none"
    assert forged.regions[0].box == BOX
    assert high.detectors[3].says == "could not judge: not wider than high"
    assert high.detectors[3].raw is None and high.detectors[3].contribution is None
    assert high.detectors[2].says is not None and high.detectors[2].says.startswith("marks nothing")


def test_other_weights_of_a_part_are_refused(folder):
    shutil.rmtree(folder / "learned-red")
    with pytest.raises(MissingRequirement):
        load_detector(folder)
    Bundle.save(folder / "learned-red", card(detector="learned-red"), {"w": torch.ones(1)})
    with pytest.raises(CorpusError, match="other weights than the fusion was fitted with"):
        load_detector(folder)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ([], UsageError),
        ("zero", UsageError),
        ([{"name": "wide", "version": "2", "weights_sha256": None}], CorpusError),
        ([{"name": "wide", "version": "2", "weights_sha256": None}] * 3, UsageError),
        ([{"name": "nobody", "version": "1"}] * 3, UsageError),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder, change, error):
    config = json.loads((folder / "config.json").read_text())
    config["architecture"]["parts"] = change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(error):
        ImageFusion.from_folder(folder)


def test_weights_of_something_else_are_refused(tmp_path):
    parts = [{"name": "wide", "version": "1", "weights_sha256": None}]
    Bundle.save(tmp_path / "x", card(architecture={"parts": parts}), {"other": torch.zeros(1)})
    with pytest.raises(CorpusError, match="not the weights of a fusion"):
        ImageFusion.from_folder(tmp_path / "x")


@pytest.mark.parametrize("name", ["centre", "spread", "weight", "bias"])
def test_weights_of_another_shape_are_refused(tmp_path, name):
    parts = [{"name": "wide", "version": "1", "weights_sha256": None}] * 3
    arrays = {**MODEL.arrays(), name: MODEL.arrays()[name].sum()}
    tensors = {key: torch.tensor(array) for key, array in arrays.items()}
    Bundle.save(tmp_path / "x", card(architecture={"parts": parts}), tensors)
    with pytest.raises(CorpusError, match="parts listed"):
        ImageFusion.from_folder(tmp_path / "x")
