"""Trains a localiser on a corpus of pictures: from a config to a bundle with thresholds.

The folder of a run holds `run.yaml` (config and corpus), `bundle/` (the weights folder), `fits/`
with a folder and a log for each fit, `report.json`, `report.md` and `curves.png`. A run that was
cut off goes on where its checkpoints are when it is called again. The test split is looked at in
the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pydantic import BaseModel

from forensics.corpus.index import CorpusInfo, inspect_corpus
from forensics.detectors.bundle import CONFIG, WEIGHTS, Bundle, BundleCard, Measurement
from forensics.detectors.image.localiser import LocaliserDetector
from forensics.errors import UsageError
from forensics.evaluation.intervals import bootstrap
from forensics.evaluation.metrics import auc
from forensics.locks import alone
from forensics.training.detector.calibrate import Calibrated, calibrate
from forensics.training.detector.crew import fit_all
from forensics.training.detector.folds import (
    Fold,
    crossed_folds,
    left_out_systems,
    systems_called,
)
from forensics.training.detector.held_out import Scored
from forensics.training.detector.processes import Processes
from forensics.training.detector.train import check_splits, provenance, with_lanes
from forensics.training.journal import claim
from forensics.training.localiser.config import LocaliserCalibrateConfig, LocaliserTrainConfig
from forensics.training.localiser.fit import LocaliserPlan
from forensics.training.localiser.fitted import LocaliserFitted, fitted
from forensics.training.localiser.held_out import LOGITS, Pictures
from forensics.training.localiser.report import LocaliserReport, write_report

BUNDLE = "bundle"
SEEN = "unseen cameras, seen editors"
UNSEEN = "cameras and editors that the network scored without having seen them"


def train(
    config: LocaliserTrainConfig,
    corpus: str,
    out: Path,
    among: Processes,
    *,
    workers: int = 1,
    loaders: int = 0,
    command: str,
) -> LocaliserReport:
    """Fit, calibrate, measure, and write `out/bundle`; every process of a run calls it.

    Args:
        corpus: folder or URL.
        workers: fits at a time, each in a process with one thread.
        loaders: processes that decode and augment, for each fit and process.
        command: how to get this again, for the record.

    Raises:
        UsageError: `out` holds a finished run or one of another config or corpus, the corpus
            lacks what is needed, or the networks do not tell pristine from what they never saw.
    """
    if not among.is_first:
        return _train(config, corpus, out, among, workers, loaders, command)
    with alone(out, "training"):
        return _train(config, corpus, out, among, workers, loaders, command)


def _train(
    config: LocaliserTrainConfig,
    corpus: str,
    out: Path,
    among: Processes,
    workers: int,
    loaders: int,
    command: str,
) -> LocaliserReport:
    info = inspect_corpus(corpus)
    check_splits(info, calibrated=config.calibrate is not None)
    fit = with_lanes(config.fit, among.count, loaders)
    config = config.model_copy(update={"fit": fit})
    left_out = left_out_systems(config.leave_out, info.kinds)
    folds = [Fold("all", left_out), *crossed(config.calibrate, info)]
    among.agreed(lambda: claim_run(out, info, config))
    plans = [
        LocaliserPlan(corpus, _shortened(config, fold), fold, out / "fits" / fold.name)
        for fold in folds
    ]
    final, *others = fit_all(fitted, plans, among, workers, loaders)
    calibrated = None
    if config.calibrate is not None:
        calibrated = calibrate(final, others, config.calibrate, info.name, UNSEEN)
    cut = best_cut(final.dev_pictures)
    measured = measurements(info.name, (SEEN, UNSEEN), final, calibrated, cut, command)
    measured += _unseen_editors(info.name, final, left_out, command)
    known: dict[str, Any] = {}
    if calibrated is not None:
        known = {"calibration": calibrated.calibration, "threshold": calibrated.threshold}
    report = LocaliserReport(
        **{"calibration": None, "threshold": None, **known},
        steps=final.steps,
        cut=float(LOGITS[cut]),
        measured=tuple(measured),
    )
    if among.is_first:
        write_report(report, out)
        weights = {**final.weights, "cut": torch.tensor(report.cut)}
        Bundle.save(out / BUNDLE, _card(config, info, final, report), weights)
    return report


def _shortened(config: LocaliserTrainConfig, fold: Fold) -> LocaliserTrainConfig:
    """What a fold is fitted with; fits for calibration may be shorter."""
    if not fold.parts or config.calibrate is None or config.calibrate.steps is None:
        return config
    fit = config.fit.model_copy(update={"steps": config.calibrate.steps})
    return config.model_copy(update={"fit": fit})


def crossed(calibrate: LocaliserCalibrateConfig | None, info: CorpusInfo) -> list[Fold]:
    """The fits for calibration; names in `leave_out` are systems or kinds of editors."""
    if calibrate is None:
        return []
    kinds = info.kinds
    left_out = [systems_called(names, kinds) for names in calibrate.leave_out]
    return crossed_folds(left_out, kinds.keys() - {"bonafide"})


def claim_run(out: Path, info: CorpusInfo, config: BaseModel) -> None:
    """Take the folder for a run of this config and corpus.

    Raises:
        UsageError: it holds a finished run, or another one.
    """
    claim(out, yaml.safe_dump({"plan": info.plan, **config.model_dump(mode="json")}))
    if (out / BUNDLE / CONFIG).exists():
        raise UsageError(f"{out} holds a finished run", "name another folder")
    # A kill between the weights and their config leaves weights that nothing describes.
    (out / BUNDLE / WEIGHTS).unlink(missing_ok=True)


def best_cut(dev: Pictures) -> int:
    """Where pixel F1 is best on edits that were pasted back; in the middle without any.

    Returns:
        A place in `LOGITS`.
    """
    f1 = dev.pixel_f1()
    return len(LOGITS) // 2 if f1 is None else int(np.argmax(f1))


def measurements(
    corpus_name: str,
    words: tuple[str, str],
    final: LocaliserFitted,
    calibrated: Calibrated | None,
    cut: int,
    command: str,
) -> list[Measurement]:
    """The figures of a run.

    Args:
        words: what the test split is, and what the crossed fits scored.
        cut: a place in `LOGITS`.
    """
    test = final.test_pictures
    assert test is not None
    on = f"{corpus_name}, test split ({words[0]})"
    measured = _areas(on, test.scored, command)
    for mode in ("composite", "regenerated"):
        f1 = test.pixel_f1(mode)
        if f1 is not None:
            named = ("at 0.5", f1[cut]), ("at the best cut", f1.max())
            measured += [
                Measurement(
                    on=f"{on}: {mode}",
                    metric=f"pixel f1 {where}",
                    value=float(value),
                    command=command,
                )
                for where, value in named
            ]
    if calibrated is not None:
        measured += _areas(f"{corpus_name}, {words[1]}", calibrated.unheard, command)
        llr = calibrated.calibration.llr(test.scored.score[test.scored.is_bonafide])
        above = calibrated.threshold.manipulated_above
        alarms = float(np.mean(1 / (1 + np.exp(llr)) > above))
        measured.append(
            Measurement(on=f"{on}: pristine", metric="false alarms", value=alarms, command=command)
        )
    return measured


def _unseen_editors(
    corpus_name: str, final: LocaliserFitted, left_out: frozenset[str], command: str
) -> list[Measurement]:
    """Image AUC of the test split's pristine frames and what the run left out."""
    if not left_out:
        return []
    assert final.test_pictures is not None
    scored = final.test_pictures.scored
    chosen = scored.is_bonafide | np.isin(scored.system, sorted(left_out))
    return _areas(f"{corpus_name}, test split (left out)", scored.where(chosen), command)


def _areas(on: str, scored: Scored, command: str) -> list[Measurement]:
    """Image AUC: of all systems, with an interval over cameras, and of each."""
    interval = bootstrap(auc, scored.score, scored.is_bonafide, scored.group)
    pooled = Measurement(
        on=on,
        metric="image auc",
        value=interval.value,
        interval=(interval.low, interval.high),
        command=command,
    )
    return [
        pooled,
        *(
            Measurement(on=f"{on}: {name}", metric="image auc", value=area, command=command)
            for name, (_, area) in scored.by_system().items()
        ),
    ]


def _card(
    config: LocaliserTrainConfig,
    info: CorpusInfo,
    final: LocaliserFitted,
    report: LocaliserReport,
) -> BundleCard:
    return BundleCard(
        detector=LocaliserDetector.name,
        detector_version=LocaliserDetector.version,
        architecture=final.architecture,
        calibration=report.calibration,
        thresholds=() if report.threshold is None else (report.threshold,),
        measured=report.measured,
        trained_on=provenance(info),
        limits=config.limits,
        licence=config.licence,
    )
