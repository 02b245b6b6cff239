"""`forensics train` with `task: fusion`: what is worth something is trusted, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import image_shards
from helpers.red_detector import Red, scene

from forensics.detectors.bundle import Bundle
from forensics.detectors.image.base import IMAGE_DETECTORS, Finding, ImageDetector
from forensics.errors import MissingRequirement, UsageError
from forensics.media.image import Picture
from forensics.training.fusion.fit import balanced, fit_fusion, held_out_scores
from forensics.training.run import run
from forensics.verdict.detect import detect

CONFIG = """
task: fusion
parts: [red, upside, coin]
target_fpr: 0.05
"""


class Upside(ImageDetector):
    """Says the contrary of what it should: it may not be turned round."""

    name, version, licence, summary, paper = "upside", "1", "CC0-1.0", "for tests", "none"

    def examine(self, picture: Picture) -> Finding:
        score = Red(calibrated=False).examine(picture).score
        return Finding(None, "too small") if score is None else Finding(-score)


class Coin(ImageDetector):
    """Noise; judges every other picture."""

    name, version, licence, summary, paper = "coin", "1", "CC0-1.0", "for tests", "none"

    def examine(self, picture: Picture) -> Finding:
        rng = np.random.default_rng(int(picture.pixels.astype(np.int64).sum()))
        return Finding(float(rng.normal())) if rng.random() < 0.5 else Finding(None, "tails")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    IMAGE_DETECTORS.names()
    monkeypatch.setattr(Red, "from_folder", classmethod(lambda cls, *_: Red(calibrated=False)))
    for cls in (Red, Upside, Coin):
        monkeypatch.setitem(IMAGE_DETECTORS._classes, cls.name, cls)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fusion") / "corpus"
    dev = image_shards.items(scenes=12, each=3)
    test = image_shards.items(scenes=4, each=3, split="test", seed=1)
    return image_shards.corpus(folder, dev, test)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "fusion.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_a_fusion_is_fitted_calibrated_measured_and_judges(corpus, config, tmp_path):
    report = run(config, tmp_path / "run", shards=str(corpus), command="forensics train x")
    bundle = Bundle.load(tmp_path / "run" / "bundle")
    assert bundle.calibration == report.calibration and bundle.thresholds == (report.threshold,)
    (weights,) = report.weights.values()
    assert weights["red"][0] > 0.2 and weights["upside"][0] == 0.0
    assert abs(weights["coin"][0]) < 0.1 < 0.3 < report.judged["coin"] < 0.7
    assert bundle.config.architecture["modes"] == ["composite"] == list(report.weights)
    assert bundle.config.measured == report.measured
    dev = {m.metric: m for m in report.measured if "dev" in m.on}
    test = {m.metric: m for m in report.measured if "test" in m.on}
    assert dev["image auc"].value > 0.99 < test["image auc"].value
    assert {"image auc, copymove", "image auc, splice", "image auc, mode composite"} < set(test)
    assert dev["false alarms"].value <= 0.05 and test["false alarms"].interval is not None
    assert report.threshold.n_bonafide == 36 and "hardest system" in report.threshold.origin
    assert json.loads((tmp_path / "run" / "report.json").read_text())["weights"]
    assert "| red |" in str(report)
    forged, real = detect([scene(red=(10, 6, 26, 18)), scene()], tmp_path / "run" / "bundle")
    assert forged.label == "manipulated" and real.label == "bonafide"
    assert [entry.name for entry in forged.detectors] == ["image-fusion", "red", "upside", "coin"]
    with pytest.raises(UsageError, match="finished run"):
        run(config, tmp_path / "run", shards=str(corpus))


def test_systems_that_are_left_out_fit_nothing(corpus, config, tmp_path):
    whole = run(config, tmp_path / "whole", shards=str(corpus))
    report = run(config, tmp_path / "run", shards=str(corpus), changes=["leave_out=[splice]"])
    assert report.calibration.n_spoof < whole.calibration.n_spoof
    assert report.calibration.n_bonafide == whole.calibration.n_bonafide
    dev = {m.metric for m in report.measured if "dev" in m.on}
    assert "image auc, copymove" in dev and "image auc, splice" not in dev
    left_out = {m.metric: m.value for m in report.measured if "left out" in m.on}
    assert left_out["image auc, splice"] == left_out["image auc"] > 0.99
    assert "image auc, copymove" not in left_out
    assert not [m for m in whole.measured if "left out" in m.on]
    with pytest.raises(UsageError, match="which the corpus does not have"):
        run(config, tmp_path / "other", shards=str(corpus), changes=["leave_out=[splica]"])


def test_what_was_scored_is_not_scored_again(corpus, config, tmp_path, monkeypatch):
    out = tmp_path / "run"
    count = [0]
    examine = Coin.examine

    def counted(self, picture):
        count[0] += 1
        if count[0] == 50:
            raise KeyboardInterrupt
        return examine(self, picture)

    monkeypatch.setattr(Coin, "examine", counted)
    with pytest.raises(KeyboardInterrupt):
        run(config, out, shards=str(corpus))
    with (out / "dev-scores.jsonl").open("a") as handle:
        handle.write('{"sha256": "cut by a ki')
    resumed = run(config, out, shards=str(corpus))
    assert count[0] == 72 + 24 + 1
    whole = run(config, tmp_path / "other", shards=str(corpus))
    assert resumed == whole
    with pytest.raises(UsageError):
        run(config, out, shards=str(corpus), changes=["penalty=0.5"])


def test_what_is_wrong_is_said_before_any_work(corpus, config, tmp_path):
    with pytest.raises(UsageError, match="weights for zero, which is no part"):
        run(config, tmp_path / "a", shards=str(corpus), changes=["weights={zero: x}"])
    with pytest.raises(UsageError, match="no image detector 'redd'"):
        run(config, tmp_path / "a", shards=str(corpus), changes=["parts=[redd]"])
    with pytest.raises(MissingRequirement, match="no weights are named for the part"):
        run(config, tmp_path / "a", shards=str(corpus), changes=["parts=[image-fusion]"])
    with pytest.raises(UsageError, match="--shards"):
        run(config, tmp_path / "a")
    assert not (tmp_path / "a").exists() or not list((tmp_path / "a").glob("*.jsonl"))


def test_too_small_a_corpus_says_what_it_lacks(config, tmp_path):
    few = image_shards.corpus(tmp_path / "few", image_shards.items(scenes=3, each=2))
    with pytest.raises(UsageError, match="too few to fit a fusion"):
        run(config, tmp_path / "run", shards=str(few))


def table(count=400, seed=0):
    """Two parts: one that knows, missing for a third of the pictures, and one that does not."""
    rng = np.random.default_rng(seed)
    real = rng.random(count) < 0.5
    knows = np.where(real, 1.0, -1.0) * 1.5 + rng.normal(size=count)
    knows[rng.random(count) < 0.33] = np.nan
    found = np.full((count, 2, 2), np.nan)
    found[:, 0, 0], found[:, 1, 0] = knows, rng.normal(size=count)
    system = np.where(real, "bonafide", np.where(rng.random(count) < 0.9, "a", "b"))
    return found, system, rng.integers(0, 20, count).astype(str)


def test_scores_are_llrs_of_groups_that_the_model_did_not_see():
    found, system, _ = table(4000)
    rng = np.random.default_rng(1)
    group = rng.integers(0, 40, 4000).astype(str)
    mode = np.where(system == "bonafide", "", "composite")
    scores = held_out_scores(found, system, mode, group, penalty=1e-4, folds=5)
    missing = np.isnan(found[:, 0, 0])
    assert np.abs(scores[missing]).max() < 0.5
    # The true LLR of N(1.5, 1) against N(-1.5, 1) is 3 x.
    slope = np.polyfit(found[~missing & (np.abs(found[:, 0, 0]) < 2), 0, 0],
                       scores[~missing & (np.abs(found[:, 0, 0]) < 2)], 1)[0]  # fmt: skip
    assert slope == pytest.approx(3.0, abs=0.4)


def test_the_gradient_is_that_of_the_loss_and_the_best_is_found():
    found, system, _ = table()
    real = system == "bonafide"
    weights = balanced(real, system)
    model = fit_fusion(found, weights, np.where(real, "", "composite"), 0.02)

    def loss(weight, bias):
        z = (model.standardised(found) * weight[0]).sum((1, 2)) + bias[0]
        return np.average(np.logaddexp(0, z) - real * z, weights=weights) + 0.02 * (weight**2).sum()

    assert_best(model, loss)
    assert model.weight[0, 0, 1] == model.weight[0, 1, 1] == 0.0


def assert_best(model, loss):
    best = loss(model.weight, model.bias)
    rng = np.random.default_rng(0)
    for _ in range(50):
        moved = model.weight + rng.normal(size=model.weight.shape) * 0.02
        moved[..., 0] = np.maximum(moved[..., 0], 0)
        assert loss(moved, model.bias + rng.normal(size=model.bias.shape) * 0.02) >= best - 1e-7


def test_each_mode_trusts_the_part_that_sees_it():
    """Half of the forgeries are seen by the first part, half by the second."""
    rng = np.random.default_rng(3)
    mode = rng.choice(["", "", "composite", "regenerated"], 2000)
    found = np.full((2000, 2, 2), np.nan)
    for part, seen in enumerate(("composite", "regenerated")):
        found[:, part, 0] = rng.normal(size=2000) - 3.0 * (mode == seen)
    weights = balanced(mode == "", np.where(mode == "", "bonafide", mode))
    model = fit_fusion(found, weights, mode, 1e-3)

    def loss(weight, bias):
        llr = np.einsum("npf,kpf->nk", model.standardised(found), weight) + bias
        odds = np.column_stack([np.zeros(len(llr)), -llr])
        right = (mode == "composite") + 2 * (mode == "regenerated")
        chosen = np.logaddexp.reduce(odds, axis=1) - odds[np.arange(len(odds)), right]
        return np.average(chosen, weights=weights) + 1e-3 * (weight**2).sum()

    assert_best(model, loss)
    trusted = model.weight[:, :, 0]
    assert trusted[0, 0] > 4 * trusted[0, 1] and trusted[1, 1] > 4 * trusted[1, 0]
    forged, real = model.scores(found[mode != ""]), model.scores(found[mode == ""])
    assert np.mean(forged < 0) > 0.85 and np.mean(real > 0) > 0.85


def test_systems_weigh_the_same():
    system = np.array(["bonafide"] * 4 + ["a"] * 3 + ["b"])
    weights = balanced(system == "bonafide", system)
    assert weights[:4].sum() == weights[4:].sum() == 4.0
    assert weights[4:7].sum() == weights[7] == 2.0


def test_workers_find_what_one_process_finds(corpus, tmp_path):
    from forensics.training.fusion.scoring import table_of

    parts = ("ela",)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = table_of(str(corpus), "test", parts, {}, tmp_path / "one", "cpu", 1)
    two = table_of(str(corpus), "test", parts, {}, tmp_path / "two", "cpu", 2)
    np.testing.assert_array_equal(one.found, two.found)
    assert one.group.tolist() == two.group.tolist() and np.isfinite(one.found[:, 0]).all()


def test_the_shipped_config_is_one():
    from forensics.training.config import checked, read_settings
    from forensics.training.fusion.config import FusionConfig

    config = checked(FusionConfig, read_settings("image-fusion"), "image-fusion")
    learned = {"localiser", "regeneration"}
    assert set(config.parts) - learned <= set(IMAGE_DETECTORS.names())
