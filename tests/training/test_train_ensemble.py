"""An ensemble's training: members fitted apart, their standardised scores as one detector's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from helpers.training_corpus import SYSTEMS, tiny_settings, written

from forensics.detectors.bundle import Bundle
from forensics.errors import UsageError
from forensics.training.detector.fitted import Fitted
from forensics.training.run import run

CNN = {"views": [{"n_fft": 512, "hop": 128, "bands": 64, "channels": [8, 8, 16]}], "embedding": 8}
MEMBERS = ("narrow", "wide")


def settings(**changes) -> dict:
    one = tiny_settings(steps=60, evaluate_every=30)
    one["fit"] |= {"augment": {}, "learning_rate": 0.005, "ema": 0.8}
    one |= {"detector": "trace-cnn", "architecture": CNN}
    other = copy.deepcopy(one)
    other["architecture"]["embedding"] = 16
    return {
        "task": "ensemble",
        "seed": 1,
        "members": {
            name: {field: member[field] for field in ("detector", "architecture", "fit")}
            for name, member in zip(MEMBERS, (other, one), strict=True)
        },
        "window_samples": 16_000,
        "calibrate": {
            "leave_out": [[name] for name in SYSTEMS],
            "target_fpr": 0.3,
            "target_fnr": 0.3,
        },
        **changes,
    }


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ensemble")
    config = written(folder, settings())
    return folder / "run", run(config, folder / "run", shards=corpus, device="cpu"), config


def test_every_member_is_fitted_for_every_fold(trained):
    out, _, _ = trained
    folds = ("seed-1", "fold-1", "fold-2")
    expected = {f"{name}-{fold}" for name in MEMBERS for fold in folds}
    assert {folder.name for folder in (out / "fits").iterdir()} == expected


def test_scores_are_the_mean_of_standardised_ones(trained):
    out, report, _ = trained
    bundle = Bundle.load(out / "bundle")
    members = bundle.config.architecture["members"]
    fits = [Fitted.saved(out / "fits" / f"{name}-seed-1") for name in MEMBERS]
    offset = 0.0
    for member, fit in zip(members, fits, strict=True):
        real = fit.dev.score[fit.dev.is_bonafide]
        assert member["scale"] == pytest.approx(1 / (2 * real.std()))
        offset -= real.mean() / (2 * real.std())
    assert bundle.config.architecture["offset"] == pytest.approx(offset)

    tests = [fit.test for fit in fits]
    scales = [member["scale"] for member in members]
    expected = offset + sum(s * t.score for s, t in zip(scales, tests, strict=True))
    real = expected[tests[0].is_bonafide]
    below = np.mean(expected[~tests[0].is_bonafide][:, None] < real[None])  # AUC, by hand
    (seed,) = report.seeds
    assert seed.seed == 1 and seed.steps == 120
    assert (seed.test_eer == 0) == (below == 1)


def test_the_bundle_scores_as_its_fits_did(trained, corpus):
    """What was measured is what ships: the bundle on the test split gives the summed scores."""
    from forensics.detectors.speech.ensemble import EnsembleDetector
    from forensics.training.detector.ensemble import joined
    from forensics.training.detector.held_out import clips, score_clips

    out, _, _ = trained
    fits = [Fitted.saved(out / "fits" / f"{name}-seed-1") for name in MEMBERS]
    detector = EnsembleDetector.in_torch(out / "bundle")
    again = score_clips(detector.score, clips(corpus, "test", lambda *_: True, 16_000))
    wanted = joined(["trace-cnn", "trace-cnn"], fits).test
    assert np.allclose(again.score, wanted.score, atol=1e-4)


def test_calibration_is_from_what_no_member_heard(trained):
    out, report, _ = trained
    assert report.calibration is not None and report.threshold is not None
    assert any("without having heard" in figure.on for figure in report.measured)
    assert Bundle.load(out / "bundle").config.calibration == report.calibration
    alone = [figure.on for figure in report.measured if figure.on.endswith(" alone")]
    assert [on.split()[-2] for on in alone] == list(MEMBERS)


def test_a_finished_run_is_kept(trained, corpus):
    out, _, config = trained
    with pytest.raises(UsageError, match="holds a finished run"):
        run(config, out, shards=corpus, device="cpu")


def test_a_run_goes_on_with_the_fits_that_it_has(trained, corpus, tmp_path):
    """Without its bundle, a run reads its fits instead of doing them again."""
    import shutil

    out, report, config = trained
    shutil.copytree(out, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "bundle")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "fits").rglob("model.*")}
    assert run(config, tmp_path / "run", shards=corpus, device="cpu") == report
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"members": {}}, "members"),
        ({"members": {"A b": {}}}, "members"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_settings_are_said(changes, said, corpus, tmp_path):
    config = written(tmp_path, settings(**changes))
    with pytest.raises(UsageError, match=said):
        run(config, tmp_path / "run", shards=corpus, device="cpu")


def test_two_seeds_are_refused(corpus, tmp_path):
    with pytest.raises(UsageError, match="one seed"):
        run(written(tmp_path, settings()), tmp_path / "run", shards=corpus, seeds=[1, 2])
