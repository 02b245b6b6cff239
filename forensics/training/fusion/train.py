"""Fits a fusion on a corpus, calibrates it, measures it, writes a weights folder.

The run's folder then holds `bundle/` (the fusion, with the weights of its parts in folders of
their own), `run.yaml` (the whole config), what each part said of each picture, and `report.json`.
A run that was cut off goes on when it is called again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pydantic import BaseModel, ConfigDict

from forensics.corpus.index import inspect_corpus
from forensics.detectors.bundle import CONFIG, WEIGHTS, Bundle, BundleCard, Measurement
from forensics.detectors.calibration import Calibration, Threshold, p_manipulated
from forensics.detectors.image.base import ImageDetector
from forensics.detectors.image.fusion import FusionModel, ImageFusion
from forensics.errors import MachineError, UsageError
from forensics.evaluation.calibration import fit_affine, fit_threshold
from forensics.evaluation.intervals import clustered_share, value_with_interval
from forensics.evaluation.metrics import auc, eer
from forensics.locks import alone
from forensics.shards import storage
from forensics.shards.format import Split
from forensics.shards.reader import read_sidecar
from forensics.training.detector.folds import left_out_systems
from forensics.training.fusion.config import FusionConfig
from forensics.training.fusion.fit import balanced, fit_fusion, held_out_scores
from forensics.training.fusion.scoring import Table, load_parts, table_of
from forensics.training.journal import claim

BUNDLE = "bundle"
_LEAST = 20  # items of a system that may be the hardest


class FusionReport(BaseModel):
    """The result of `forensics train` for a fusion; its `str` is for people.

    Attributes:
        weights: mode → part → (weight of its score, weight of its area).
        judged: part → share of pictures that it can judge.
        measured: what the bundle says as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: dict[str, dict[str, tuple[float, float]]]
    judged: dict[str, float]
    calibration: Calibration
    threshold: Threshold
    measured: tuple[Measurement, ...]

    def __str__(self) -> str:
        heads = [f"{mode}: score | area" for mode in self.weights]
        rows = [f"| part | {' | '.join(heads)} | can judge |"]
        rows.append("| --- |" + " --- | --- |" * len(heads) + " --- |")
        for name, share in self.judged.items():
            pairs = (of[name] for of in self.weights.values())
            cells = " | ".join(f"{score:.3f} | {area:+.3f}" for score, area in pairs)
            rows.append(f"| {name} | {cells} | {100 * share:.0f} % |")
        rows += ["", "| measured on | metric | value |", "| --- | --- | --- |"]
        for one in self.measured:
            interval = "" if one.interval is None else " ({:.3f} to {:.3f})".format(*one.interval)
            rows.append(f"| {one.on} | {one.metric} | {one.value:.3f}{interval} |")
        return "\n".join([*rows, "", f"calibration: {self.calibration}"])


def train(
    config: FusionConfig,
    corpus: str,
    out: Path,
    *,
    device: str = "cpu",
    workers: int = 1,
    command: str,
) -> FusionReport:
    """Score, fit, calibrate, measure, and write `out/bundle`.

    Args:
        corpus: folder or URL of image shards.
        workers: processes that score.
        command: how to get this again, for the record.

    Raises:
        UsageError: `out` holds a finished run or one of another config, too few pictures or
            scenes, or the parts together do not tell the labels apart.
        MissingRequirement: a part's weights are not named or not there.
    """
    with alone(out, "training"):
        parts = load_parts(config.parts, config.weights, "cpu")  # what is wrong shows at once
        _claim(out, config, corpus, parts)
        scoring = (config.parts, dict(config.weights), out, device, workers)
        left_out = _left_out(config, corpus)
        fitted = table_of(corpus, config.split, *scoring)
        seen = fitted.where(~np.isin(fitted.system, left_out))
        report, model = _fitted(config, seen, Path(corpus).name, command)
        other: Split = "test" if config.split == "dev" else "dev"
        if _has(corpus, other):
            held = table_of(corpus, other, *scoring)
            on = f"{Path(corpus).name}, {other} split"
            raw = model.scores(held.found)
            known = report.calibration, report.threshold, command
            measured = measurements(on, raw, held, *known)
            if left_out:
                chosen = held.is_bonafide | np.isin(held.system, left_out)
                unseen = held.where(chosen)
                measured += measurements(f"{on}, left out", raw[chosen], unseen, *known)
            report = report.model_copy(update={"measured": (*report.measured, *measured)})
        storage.publish(str(out / "report.json"), report.model_dump_json(indent=1).encode() + b"\n")
        storage.publish(str(out / "report.md"), f"{report}\n".encode())
        _write(out / BUNDLE, config, Path(corpus).name, parts, model, report)
    return report


def _left_out(config: FusionConfig, corpus: str) -> list[str]:
    if not config.leave_out:
        return []
    return sorted(left_out_systems(config.leave_out, inspect_corpus(corpus).kinds))


def measurements(
    on: str,
    raw: np.ndarray,
    table: Table,
    calibration: Calibration,
    threshold: Threshold,
    command: str,
) -> list[Measurement]:
    """Image AUC, of each system and mode too, and false alarms at the threshold."""
    real = table.is_bonafide
    if len(np.unique(table.group)) < 2 or real.all() or not real.any():
        return []
    alarms = p_manipulated(calibration.llr(raw[real])) > threshold.manipulated_above
    shares = clustered_share(alarms, table.group[real])
    rows: list[dict[str, Any]] = [
        {"metric": "image auc", **_area(raw, table, ~real)},
        {"metric": "false alarms", "value": float(alarms.mean()), "interval": shares},
    ]
    rows += [
        {"metric": f"image auc, {name}", "value": auc(raw[real], raw[table.system == name])}
        for name in table.systems()
    ]
    rows += [
        {"metric": f"image auc, mode {mode}", **_area(raw, table, table.mode == mode)}
        for mode in table.modes()
    ]
    return [Measurement(on=on, command=command, **row) for row in rows]


def _area(raw: np.ndarray, table: Table, forged: np.ndarray) -> dict[str, Any]:
    """Image AUC of these against real pictures, with its interval over scenes."""
    chosen = forged | table.is_bonafide
    value, interval = value_with_interval(
        auc, raw[chosen], table.is_bonafide[chosen], table.group[chosen]
    )
    return {"value": value, "interval": interval}


def _fitted(
    config: FusionConfig, table: Table, corpus: str, command: str
) -> tuple[FusionReport, FusionModel]:
    real = table.is_bonafide
    raw = held_out_scores(
        table.found, table.system, table.mode, table.group, config.penalty, config.folds
    )
    weights = balanced(real, table.system)
    model = fit_fusion(table.found, weights, table.mode, config.penalty)
    unseen = f"{corpus}, {config.split} split, scenes that the fusion did not see"
    calibration = fit_affine(raw[real], raw[~real], f"pictures of {unseen}")
    hardest = _hardest(table, raw, config.target_fnr)
    threshold = fit_threshold(
        calibration.llr(raw[real]),
        calibration.llr(raw[hardest]),
        config.target_fpr,
        config.target_fnr,
        f"pictures of {unseen}; forgeries: the hardest system, {table.system[hardest][0]}",
    )
    if eer(raw[real], raw[hardest]).value > config.vouch_below_eer:
        threshold = threshold.model_copy(update={"bonafide_below": None})
    judged = np.isfinite(table.found[:, :, 0]).mean(axis=0)
    named = dict(zip(config.parts, judged.tolist(), strict=True))
    modes = {
        mode: {
            name: (float(score), float(area))
            for name, (score, area) in zip(config.parts, rows, strict=True)
        }
        for mode, rows in zip(table.modes(), model.weight, strict=True)
    }
    measured = measurements(unseen, raw, table, calibration, threshold, command)
    report = FusionReport(
        weights=modes,
        judged=named,
        calibration=calibration,
        threshold=threshold,
        measured=tuple(measured),
    )
    return report, model


def _hardest(table: Table, raw: np.ndarray, target_fnr: float) -> np.ndarray:
    """bool (N,): the system of which that share of forgeries scores highest."""
    masks = [table.system == name for name in table.systems()]
    large = [mask for mask in masks if mask.sum() >= _LEAST] or [~table.is_bonafide]
    return max(large, key=lambda mask: float(np.quantile(raw[mask], 1 - target_fnr)))


def _has(corpus: str, split: Split) -> bool:
    folder = storage.join(corpus, "shards")
    names = [name.removesuffix(".json") for name in storage.names(folder) if name.endswith(".json")]
    return any(read_sidecar(folder, name).split == split for name in names)


def _claim(out: Path, config: FusionConfig, corpus: str, parts: list[ImageDetector]) -> None:
    """Scores in the folder are of these parts and this corpus, or it is another run's."""
    state = {"corpus": corpus, "parts": _listed(parts), **config.model_dump(mode="json")}
    claim(out, yaml.safe_dump(state))
    if (out / BUNDLE / CONFIG).exists():
        raise UsageError(f"{out} holds a finished run", "name another folder")
    # A kill between the weights and their config leaves weights that nothing describes.
    (out / BUNDLE / WEIGHTS).unlink(missing_ok=True)


def _listed(parts: list[ImageDetector]) -> list[dict[str, str | None]]:
    return [
        {
            "name": part.name,
            "version": part.version,
            "weights_sha256": part.bundle.weights_sha256 if part.bundle else None,
        }
        for part in parts
    ]


def _write(
    folder: Path,
    config: FusionConfig,
    corpus: str,
    parts: list[ImageDetector],
    model: FusionModel,
    report: FusionReport,
) -> None:
    """The parts' weights first: a bundle with a config is whole."""
    for part in parts:
        if part.bundle is not None:
            try:
                shutil.copytree(part.bundle.folder, folder / part.name, dirs_exist_ok=True)
            except OSError as error:
                raise MachineError(f"{folder} cannot be written: {error}") from error
    trained = [
        f"{part.name}: {part.bundle.config.trained_on}" for part in parts if part.bundle is not None
    ]
    card = BundleCard(
        detector=ImageFusion.name,
        detector_version=ImageFusion.version,
        architecture={"parts": _listed(parts), "modes": list(report.weights)},  # pyright: ignore
        calibration=report.calibration,
        thresholds=(report.threshold,),
        measured=report.measured,
        trained_on="; ".join([f"fusion: corpus {corpus}, {config.split} split", *trained]),
        limits=config.limits,
        licence=config.licence,
    )
    tensors = {name: torch.from_numpy(array.copy()) for name, array in model.arrays().items()}
    Bundle.save(folder, card, tensors)
