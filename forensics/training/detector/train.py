"""Trains a detector, or an ensemble, on a corpus: fits, calibrates, measures, writes its weights.

The run's folder then holds `bundle/` (the weights), `run.yaml` (the whole config), `fits/` with a
folder and a log for each fit, `report.json`, `report.md` and `curves.png`. A run that was cut off
goes on where its checkpoints are when it is called again. The test split is scored in the end.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from forensics import shards
from forensics.corpus.index import CorpusInfo, inspect_corpus
from forensics.detectors.base import DETECTORS
from forensics.detectors.bundle import CONFIG, WEIGHTS, Bundle, BundleCard, Measurement
from forensics.detectors.speech.ensemble import EnsembleDetector, new_member
from forensics.errors import UsageError
from forensics.evaluation.intervals import bootstrap
from forensics.evaluation.metrics import eer
from forensics.evaluation.sweep import CLEAN
from forensics.locks import alone
from forensics.shards.storage import publish
from forensics.training.detector.calibrate import (
    LEAST_DEV,
    UNHEARD,
    Calibrated,
    calibrate,
    unheard_by,
)
from forensics.training.detector.config import (
    DetectorConfig,
    EnsembleTrainConfig,
    FitConfig,
    SpeechTrainConfig,
)
from forensics.training.detector.crew import fit_all
from forensics.training.detector.curriculum import fingerprint_strengths
from forensics.training.detector.ensemble import joined
from forensics.training.detector.fit import FitPlan
from forensics.training.detector.fitted import Fitted, fitted
from forensics.training.detector.folds import Fold, crossed_folds, left_out_systems
from forensics.training.detector.held_out import Scored
from forensics.training.detector.processes import Processes
from forensics.training.detector.report import Report, write_report
from forensics.training.journal import claim

log = logging.getLogger(__name__)

L = TypeVar("L", bound=Any)  # FitConfig, or another with lanes, batch and sampling
BUNDLE, _STRENGTHS = "bundle", "curriculum.json"


def train(
    config: SpeechTrainConfig,
    corpus: str,
    out: Path,
    among: Processes,
    *,
    workers: int = 1,
    loaders: int = 0,
    command: str,
) -> Report:
    """Fit, calibrate, measure, and write `out/bundle`; every process of a run calls it.

    Args:
        corpus: folder or URL.
        workers: fits at a time, each in a process with one thread.
        loaders: processes that decode and augment, for each fit and process.
        command: how to get this again, for the record.

    Raises:
        UsageError: `out` holds a finished run or one of another config or corpus, the corpus
            lacks what is needed, or the networks do not tell bona fide from what they never heard.
    """
    if not among.is_first:
        return _train(config, corpus, out, among, workers, loaders, command)
    with alone(out, "training"):
        return _train(config, corpus, out, among, workers, loaders, command)


def _train(
    config: SpeechTrainConfig,
    corpus: str,
    out: Path,
    among: Processes,
    workers: int,
    loaders: int,
    command: str,
) -> Report:
    info = inspect_corpus(corpus)
    config = config.with_fits(lambda fit, field: with_lanes(fit, among.count, loaders, field))
    if isinstance(config, EnsembleTrainConfig):
        _check_members(config)
    parts = config.apart()
    # Members' scores are put on one scale by the real speech of the dev split.
    check_splits(info, calibrated=config.calibrate is not None or len(parts) > 1)
    absent = left_out_systems(config.without, info.kinds, "without")
    folds = _folds(config, info, absent)
    among.agreed(lambda: _claim(out, info, config))
    plans = [
        plan
        for prefix, part in parts.items()
        for plan in _plans(part, prefix, folds, corpus, out, among)
    ]
    done = fit_all(fitted, plans, among, workers, loaders)
    by_part = [done[start : start + len(folds)] for start in range(0, len(done), len(folds))]
    if isinstance(config, EnsembleTrainConfig):
        detectors = [part.detector for part in parts.values()]
        fits = [joined(detectors, same) for same in zip(*by_part, strict=True)]
    else:
        (fits,) = by_part
    finals = dict(zip(config.seeds, fits, strict=False))
    chosen = min(finals, key=lambda seed: finals[seed].dev_eer)
    calibrated = None
    if config.calibrate is not None:
        crossed = fits[len(config.seeds) :]
        calibrated = calibrate(finals[chosen], crossed, config.calibrate, info.name)
    measured = _measured(info.name, finals[chosen], calibrated, command)
    if calibrated is not None and isinstance(config, EnsembleTrainConfig):
        measured += [
            _alone(info.name, name, own[0], own[1:], command)
            for name, own in zip(config.members, by_part, strict=True)
        ]
    report = Report.of(finals, chosen, calibrated, measured)
    if among.is_first:
        card = _card(config, info, absent, finals[chosen], calibrated, measured)
        write_report(report, out)
        Bundle.save(out / BUNDLE, card, finals[chosen].weights)
    return report


def _check_members(config: EnsembleTrainConfig) -> None:
    """What cannot be a member is said before anything is trained in vain."""
    members = [new_member(one.detector, one.architecture) for one in config.members.values()]
    EnsembleDetector.network({"members": members})


def _plans(
    part: DetectorConfig,
    prefix: str,
    folds: Sequence[tuple[str, Fold, int]],
    corpus: str,
    out: Path,
    among: Processes,
) -> list[FitPlan]:
    order = among.agreed(lambda: _order(part, corpus, out))
    steps = _steps(part.fit, corpus)
    return [
        FitPlan(corpus, part, fold, seed, steps, order, out / "fits" / f"{prefix}{name}")
        for name, fold, seed in folds
    ]


def check_splits(info: CorpusInfo, calibrated: bool) -> None:
    """What would be missed in the end is missed at once.

    Raises:
        UsageError: a split lacks a class, or bona fide items to calibrate with.
    """
    for split in ("train", "dev", "test"):
        labels = info.splits[split].labels if split in info.splits else {}
        real, fake = labels.get("bonafide", 0), labels.get("spoof", 0)
        least = LEAST_DEV if split == "dev" and calibrated else 1
        if real < least or not fake:
            raise UsageError(
                f"the {split} split of {info.name} holds {real} bona fide and {fake} forged items; "
                f"at least {least} and 1 are needed",
                "build the corpus from more sources, or with other shares of the splits",
            )


def with_lanes(fit: L, processes: int, loaders: int, field: str = "fit") -> L:
    """The fit with its number of lanes settled.

    Args:
        field: path of the fit in its config, for messages.

    Raises:
        UsageError: they cannot share the batch, or the processes cannot share them.
    """
    lanes = fit.lanes
    if lanes is None:
        alone_each = processes * (2 if fit.sampling.kind == "pairs" else 1) * fit.accumulate
        each = next((n for n in range(loaders, 1, -1) if fit.batch % (alone_each * n) == 0), 1)
        lanes = processes * each
    if lanes % processes:
        raise UsageError(
            f"{lanes} lanes cannot be shared by {processes} processes",
            f"--set {field}.lanes={processes * max(1, lanes // processes)}",
        )
    settled = fit.model_copy(update={"lanes": lanes})
    least = settled.smallest_batch
    if settled.batch % least:
        raise UsageError(
            f"a batch of {fit.batch} cannot be shared by {lanes} lanes and {fit.accumulate} parts",
            f"--set {field}.batch={least * -(-fit.batch // least)}",
        )
    return settled


def _claim(out: Path, info: CorpusInfo, config: SpeechTrainConfig) -> None:
    claim(out, yaml.safe_dump({"plan": info.plan, **config.model_dump(mode="json")}))
    if (out / BUNDLE / CONFIG).exists():
        raise UsageError(f"{out} holds a finished run", "name another folder")
    # A kill between the weights and their config leaves weights that nothing describes.
    (out / BUNDLE / WEIGHTS).unlink(missing_ok=True)


def _order(config: DetectorConfig, corpus: str, out: Path) -> tuple[str, ...]:
    """Systems from the weakest fingerprint to the strongest; () without a curriculum."""
    if config.curriculum is None:
        return ()
    path = out / _STRENGTHS
    if not path.exists():
        found = fingerprint_strengths(
            corpus, config.curriculum, config.window_samples, config.seeds[0]
        )
        publish(str(path), json.dumps(found, indent=1).encode())
    return tuple(json.loads(path.read_text()))


def _folds(
    config: SpeechTrainConfig, info: CorpusInfo, absent: frozenset[str]
) -> list[tuple[str, Fold, int]]:
    """Name, fold and seed: a fit of everything for each seed, the crossed ones with the first."""
    folds = [(f"seed-{seed}", Fold("all", absent=absent), seed) for seed in config.seeds]
    if config.calibrate is None:
        return folds
    crossed = crossed_folds(config.calibrate.leave_out, set(info.systems) - {"bonafide"} - absent)
    first = config.seeds[0]
    return [*folds, *((fold.name, replace(fold, absent=absent), first) for fold in crossed)]


def _steps(fit: FitConfig, corpus: str) -> int:
    """An epoch is the whole training split, whatever a fit leaves out of it."""
    if fit.steps is not None:
        return fit.steps
    assert fit.epochs is not None
    items = shards.open(corpus, "train", rank=0, world_size=1).total
    return max(1, fit.epochs * items // fit.batch)


def _measured(
    corpus_name: str, final: Fitted, calibrated: Calibrated | None, command: str
) -> list[Measurement]:
    assert final.test is not None
    on = f"{corpus_name}, test split (unheard speakers, heard systems)"
    measured = _measurements(on, final.test, command)
    if calibrated is not None:
        measured += _measurements(f"{corpus_name}, {UNHEARD}", calibrated.unheard, command)
    return measured


def _alone(
    corpus_name: str, member: str, final: Fitted, crossed: Sequence[Fitted], command: str
) -> Measurement:
    """A member of an ensemble on what was not heard, by itself."""
    everything = unheard_by(final, crossed)
    clean = everything.where(everything.channel == CLEAN)
    on = f"{corpus_name}, {UNHEARD}; member {member} alone"
    return _measurements(on, clean, command)[0]


def _measurements(on: str, scored: Scored, command: str) -> list[Measurement]:
    """EERs: of all systems, with an interval over speakers, and of each."""
    interval = bootstrap(
        lambda real, fake: eer(real, fake).value, scored.score, scored.is_bonafide, scored.group
    )
    pooled = Measurement(
        on=on,
        metric="eer",
        value=interval.value,
        interval=(interval.low, interval.high),
        command=command,
    )
    return [
        pooled,
        *(
            Measurement(on=f"{on}: {name}", metric="eer", value=value, command=command)
            for name, (value, _) in scored.by_system().items()
        ),
    ]


def _card(
    config: SpeechTrainConfig,
    info: CorpusInfo,
    absent: frozenset[str],
    final: Fitted,
    calibrated: Calibrated | None,
    measured: list[Measurement],
) -> BundleCard:
    kind = DETECTORS.get(config.detector)
    known: dict[str, Any] = {}
    if calibrated is not None:
        known = {"calibration": calibrated.calibration, "thresholds": (calibrated.threshold,)}
    return BundleCard(
        detector=kind.name,
        detector_version=kind.version,
        architecture=final.architecture,
        sampling_rate=kind.sampling_rate,
        window_samples=config.window_samples,
        measured=tuple(measured),
        trained_on=provenance(info, absent),
        limits=config.limits,
        licence=config.licence,
        **known,
    )


def provenance(info: CorpusInfo, without: Collection[str] = ()) -> str:
    """The corpus, its systems but those that took no part, and its licences."""
    systems = ", ".join(sorted(set(info.systems) - {"bonafide", *without}))
    licences = ", ".join(sorted(info.licences))
    return f"corpus {info.name} (plan {info.plan[:12]}): {systems}; licences: {licences}"
