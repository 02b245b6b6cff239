"""An ensemble's training: members fitted apart, their standardised scores as one detector's."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.training_corpus import SYSTEMS, tiny_settings, written

from forensics.detectors.bundle import Bundle
from forensics.detectors.speech.ensemble import EnsembleDetector
from forensics.errors import UsageError
from forensics.evaluation.metrics import eer
from forensics.training.config import checked, read_settings
from forensics.training.detector.config import EnsembleTrainConfig
from forensics.training.detector.ensemble import joined
from forensics.training.detector.fitted import Fitted
from forensics.training.detector.held_out import clips, score_clips
from forensics.training.detector.train import with_lanes
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
    is_real = tests[0].is_bonafide
    (seed,) = report.seeds
    assert seed.seed == 1 and seed.steps == 120
    assert seed.test_eer == pytest.approx(eer(expected[is_real], expected[~is_real]).value)


def test_the_bundle_scores_as_its_fits_did(trained, corpus):
    """What was measured is what ships: the bundle on the test split gives the summed scores."""
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


def test_each_member_alone_is_judged_by_what_its_own_fits_did_not_hear(trained):
    """Standardised by hand: the mean and spread of the dev split's real speech are made equal."""
    out, report, _ = trained
    for name in MEMBERS:
        fits = [Fitted.saved(out / "fits" / f"{name}-{n}") for n in ("seed-1", "fold-1", "fold-2")]
        final = fits[0].dev.score[fits[0].dev.is_bonafide]
        real, fake = [final], []
        for fit in fits[1:]:
            own = fit.dev.score[fit.dev.is_bonafide]
            mapped = (fit.unheard.score - own.mean()) / own.std() * final.std() + final.mean()
            real.append(mapped[fit.unheard.is_bonafide])
            fake.append(mapped[~fit.unheard.is_bonafide])
        (said,) = (one for one in report.measured if one.on.endswith(f"member {name} alone"))
        assert said.value == pytest.approx(eer(np.concatenate(real), np.concatenate(fake)).value)


def test_a_finished_run_is_kept(trained, corpus):
    out, _, config = trained
    with pytest.raises(UsageError, match="holds a finished run"):
        run(config, out, shards=corpus, device="cpu")


def test_a_run_goes_on_with_the_fits_that_it_has(trained, corpus, tmp_path):
    """Without its bundle, a run reads its fits instead of doing them again."""
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
        ({"members": {f"A {name}": settings()["members"][name] for name in MEMBERS}}, "no name"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_settings_are_said(changes, said, corpus, tmp_path):
    config = written(tmp_path, settings(**changes))
    with pytest.raises(UsageError, match=said):
        run(config, tmp_path / "run", shards=corpus, device="cpu")


@pytest.mark.parametrize("detector", ["sls", "aasist", "ensemble"])
def test_what_cannot_be_a_member_is_said_before_anything_is_trained(detector, corpus, tmp_path):
    wanted = settings()
    wanted["members"]["wide"] |= {"detector": detector, "architecture": {}}
    with pytest.raises(UsageError, match="cannot be a member"):
        run(written(tmp_path, wanted), tmp_path / "run", shards=corpus, device="cpu")
    assert not (tmp_path / "run" / "fits").exists()


def test_lanes_that_cannot_be_shared_name_their_member():
    config = checked(EnsembleTrainConfig, settings(), "a test")
    fit = config.members["wide"].fit.model_copy(update={"lanes": 1})
    config = config.with_fits(lambda _, field: with_lanes(fit, 1, 0, field))
    with pytest.raises(UsageError) as told:
        config.with_fits(lambda fit, field: with_lanes(fit, 2, 0, field))
    assert told.value.fix == "--set members.narrow.fit.lanes=2"


def test_scores_in_another_order_are_not_added(trained):
    out, _, _ = trained
    fits = [Fitted.saved(out / "fits" / f"{name}-seed-1") for name in MEMBERS]
    turned = replace(fits[1], dev=fits[1].dev.where(np.arange(len(fits[1].dev.score))[::-1]))
    with pytest.raises(UsageError, match="another order"):
        joined(["trace-cnn", "trace-cnn"], [fits[0], turned])


def test_too_little_real_speech_gives_no_scale(trained):
    out, _, _ = trained
    fit = Fitted.saved(out / "fits" / "wide-seed-1")
    few = replace(fit, dev=fit.dev.where(~fit.dev.is_bonafide))
    with pytest.raises(UsageError, match="0 bona fide clips"):
        joined(["trace-cnn", "trace-cnn"], [few, few])


def test_a_change_of_one_member_leaves_the_other():
    """The shipped config writes what its members share once, as a YAML alias."""
    one = read_settings("speech-ensemble", ["members.traces.fit.sampling.pool=10"])["members"]
    assert one["traces"]["fit"]["sampling"]["pool"] == 10
    assert one["layers"]["fit"]["sampling"]["pool"] != 10


def test_an_ensemble_is_not_trained_as_one_network(corpus, tmp_path):
    config = written(tmp_path, tiny_settings() | {"detector": "ensemble", "architecture": {}})
    with pytest.raises(UsageError, match="trained apart"):
        run(config, tmp_path / "run", shards=corpus, device="cpu")


def test_two_seeds_are_refused(corpus, tmp_path):
    with pytest.raises(UsageError, match="one seed"):
        run(written(tmp_path, settings()), tmp_path / "run", shards=corpus, seeds=[1, 2])
