"""Trains a face classifier on a corpus of faces: from a config to a bundle with thresholds.

The folder of a run holds what a localiser's does; see `forensics.training.localiser.train`. The
fits for the calibration miss some kinds of forgeries and some people, forgeries with those people's
faces in them included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from forensics.corpus.index import CorpusInfo, inspect_corpus
from forensics.detectors.bundle import Bundle, BundleCard
from forensics.detectors.face.classifier import FaceClassifierDetector
from forensics.generators.face.base import FORGERS
from forensics.locks import alone
from forensics.training.detector.calibrate import calibrate
from forensics.training.detector.crew import fit_all
from forensics.training.detector.folds import Fold
from forensics.training.detector.processes import Processes
from forensics.training.detector.train import check_splits, provenance, with_lanes
from forensics.training.face_classifier.config import FaceClassifierTrainConfig
from forensics.training.face_classifier.fit import FacePlan
from forensics.training.localiser.fitted import fitted
from forensics.training.localiser.held_out import LOGITS
from forensics.training.localiser.report import LocaliserReport, write_report
from forensics.training.localiser.train import BUNDLE, best_cut, claim_run, crossed, measurements

SEEN = "unseen people, seen engines"
UNSEEN = "people and engines that the network scored without having seen them"


def train(
    config: FaceClassifierTrainConfig,
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
            lacks what is needed, or the networks do not tell real from what they never saw.
    """
    if not among.is_first:
        return _train(config, corpus, out, among, workers, loaders, command)
    with alone(out, "training"):
        return _train(config, corpus, out, among, workers, loaders, command)


def _train(
    config: FaceClassifierTrainConfig,
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
    folds = [Fold("all"), *crossed(config.calibrate, info)]
    among.agreed(lambda: claim_run(out, info, config))
    plans = [_plan(corpus, config, fold, info, out) for fold in folds]
    final, *others = fit_all(fitted, plans, among, workers, loaders)
    known: dict[str, Any] = {"calibration": None, "threshold": None}
    calibrated = None
    if config.calibrate is not None:
        calibrated = calibrate(final, others, config.calibrate, info.name, UNSEEN)
        known = {"calibration": calibrated.calibration, "threshold": calibrated.threshold}
    cut = best_cut(final.dev_pictures)
    measured = measurements(info.name, (SEEN, UNSEEN), final, calibrated, cut, command)
    report = LocaliserReport(
        steps=final.steps, cut=float(LOGITS[cut]), measured=tuple(measured), **known
    )
    if among.is_first:
        write_report(report, out)
        weights = {**final.weights, "cut": torch.tensor(report.cut)}
        Bundle.save(out / BUNDLE, _card(config, info, final.architecture, report), weights)
    return report


def _plan(
    corpus: str, config: FaceClassifierTrainConfig, fold: Fold, info: CorpusInfo, out: Path
) -> FacePlan:
    """What a fold is fitted with; fits for calibration may be shorter, and make no forgeries of a
    kind that they leave out."""
    if fold.parts and config.calibrate is not None and config.calibrate.steps is not None:
        fit = config.fit.model_copy(update={"steps": config.calibrate.steps})
        config = config.model_copy(update={"fit": fit})
    own = config.fit.self_blended
    kind = FORGERS.get(own.use).kind if own.probability else None
    blends = all(info.systems[name].kind != kind for name in fold.systems)
    return FacePlan(corpus, config, fold, out / "fits" / fold.name, blends)


def _card(
    config: FaceClassifierTrainConfig,
    info: CorpusInfo,
    architecture: dict[str, Any],
    report: LocaliserReport,
) -> BundleCard:
    return BundleCard(
        detector=FaceClassifierDetector.name,
        detector_version=FaceClassifierDetector.version,
        architecture=architecture,
        calibration=report.calibration,
        thresholds=() if report.threshold is None else (report.threshold,),
        measured=report.measured,
        trained_on=provenance(info),
        limits=config.limits,
        licence=config.licence,
    )
