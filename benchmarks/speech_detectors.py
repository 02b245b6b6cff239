"""Ways of making a speech detector side by side: networks, losses, curriculum, data, fusions.

Every arm is fitted on the same corpus, once for each set of systems left out and each seed, and is
judged by what the fit did not hear: those systems, and the real speech of other speakers. That is
what a detector is for; errors on systems that it heard say little. Finished fits are kept in
`--out`: a run that was cut off goes on, and arms may be added to the file later.

    python benchmarks/speech_detectors.py --corpus corpus/ --out runs/arms --workers 2
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from machine import machine, table

from forensics.corpus.index import inspect_corpus
from forensics.evaluation.intervals import percentiles, resampled
from forensics.evaluation.metrics import eer
from forensics.evaluation.sweep import CLEAN
from forensics.locks import alone
from forensics.shards.storage import publish
from forensics.training.config import checked, read_settings
from forensics.training.detector.config import DetectorConfig
from forensics.training.detector.crew import fit_all
from forensics.training.detector.curriculum import fingerprint_strengths
from forensics.training.detector.fit import FitPlan
from forensics.training.detector.fitted import Fitted, fitted
from forensics.training.detector.folds import Fold, crossed_folds
from forensics.training.detector.held_out import Scored
from forensics.training.detector.processes import Processes
from forensics.training.detector.train import with_lanes
from forensics.training.journal import claim

ARMS = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Arm:
    """A way of making a detector.

    Attributes:
        unheard: systems that no fit of it hears, besides those that it is judged by.
    """

    name: str
    config: DetectorConfig
    unheard: frozenset[str]


Scores = list[Scored]
"""What an arm says of what was left out: one entry for each fold and seed, in one order."""


def read_arms(path: Path, changes: Sequence[str]) -> tuple[list[Arm], list[list[str]]]:
    """The arms of a file, each with `calibrate` off, and the fusions of arms."""
    stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [_arm(name, one, changes) for name, one in stated["arms"].items()], stated["fusions"]


def _arm(name: str, stated: dict[str, Any], changes: Sequence[str]) -> Arm:
    own = [*stated.get("set", ()), "calibrate=null", *changes]
    config = checked(DetectorConfig, read_settings(stated["config"], own), name)
    assert config.fit.steps is not None, f"{name}: arms are compared after so many steps"
    fit = with_lanes(config.fit, 1, 0)
    unheard = frozenset(system for names in stated.get("unheard", ()) for system in names)
    return Arm(name, config.model_copy(update={"fit": fit}), unheard)


def plans(
    corpus: str, arm: Arm, folds: list[Fold], seeds: list[int], order: tuple[str, ...], out: Path
) -> list[FitPlan]:
    """The arm's fits, for each fold and seed."""
    steps = arm.config.fit.steps
    assert steps is not None
    folder = out / arm.name.replace(",", "").replace(" ", "-")
    shape = {"folds": [fold.name + str(sorted(fold.systems)) for fold in folds]}
    shape |= {"corpus": inspect_corpus(corpus).plan, "unheard": sorted(arm.unheard)}
    claim(folder, json.dumps(shape | arm.config.model_dump(mode="json"), indent=1, sort_keys=True))
    return [
        FitPlan(
            corpus,
            arm.config,
            replace(fold, systems=fold.systems | arm.unheard),
            seed,
            steps,
            order if arm.config.curriculum else (),
            folder / f"{fold.name}-{seed}",
        )
        for fold in folds
        for seed in seeds
    ]


def judged(fits: list[Fitted], folds: list[Fold], seeds: list[int]) -> Scores:
    """Standardised scores of the real speech and of the systems that each fold is judged by."""
    wanted = [fold.systems | {"bonafide"} for fold in folds for _ in seeds]
    return [_standardised(fit, systems) for fit, systems in zip(fits, wanted, strict=True)]


def _standardised(fit: Fitted, systems: frozenset[str]) -> Scored:
    """By the real speech of the dev split, so that scores of several networks may be added."""
    assert fit.unheard is not None
    real = fit.dev.score[fit.dev.is_bonafide]
    scale = 1 / float(real.std())
    chosen = np.isin(fit.unheard.system, sorted(systems)) & (fit.unheard.channel == CLEAN)
    return fit.unheard.where(chosen).mapped(scale, -scale * float(real.mean()))


def fused(parts: list[Scores]) -> Scores:
    return [
        replace(same[0], score=np.mean([one.score for one in same], axis=0))
        for same in zip(*parts, strict=True)
    ]


def error(bonafide: np.ndarray, spoof: np.ndarray) -> float:
    return eer(bonafide, spoof).value


def fold_errors(scores: Scores, replicates: int) -> tuple[float, np.ndarray]:
    """The mean EER over folds and seeds, and the same of resampled speakers (replicates,).

    Resamples of two arms are paired: clips and speakers are the same.
    """
    rows = [
        resampled(lambda b, s: (error(b, s),), o.score, o.is_bonafide, o.group, replicates, 0)
        for o in scores
    ]
    value = np.mean([error(o.score[o.is_bonafide], o.score[~o.is_bonafide]) for o in scores])
    return float(value), np.mean(rows, axis=0)[:, 0]


def compared(arms: dict[str, Scores], replicates: int) -> list[dict[str, object]]:
    """A row for each arm: its error, and the paired difference to the first."""
    values = {name: fold_errors(scores, replicates) for name, scores in arms.items()}
    first, first_rows = next(iter(values.values()))
    rows: list[dict[str, object]] = []
    for name, (value, resamples) in values.items():
        difference = [100 * end for end in percentiles(resamples - first_rows)]
        rows.append(
            {
                "way": name,
                "EER on what was left out": _interval(value, percentiles(resamples)),
                "points to the first": "–"
                if name == next(iter(values))
                else f"{100 * (value - first):+.1f} ({difference[0]:+.1f} to {difference[1]:+.1f})",
            }
        )
    return rows


def _interval(value: float, ends: tuple[float, float]) -> str:
    return f"{100 * value:.1f} % ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})"


def by_system(arms: dict[str, Scores]) -> list[dict[str, object]]:
    """A row for each system that was left out: each arm's EER in percent."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, scores in arms.items():
        for one in scores:
            for system, (value, _) in one.by_system().items():
                found.setdefault(system, {}).setdefault(name, []).append(value)
    return [
        {"system": system, **{n: f"{100 * np.mean(v):.1f}" for n, v in errors.items()}}
        for system, errors in sorted(found.items())
    ]


def _ordered(corpus: str, arms: list[Arm], out: Path) -> Callable[[Arm], tuple[str, ...]]:
    """Systems from the weakest fingerprint on, for arms with a curriculum."""
    if not any(arm.config.curriculum for arm in arms):
        return lambda arm: ()
    path = out / "strengths.json"
    if not path.exists():
        arm = next(arm for arm in arms if arm.config.curriculum)
        assert arm.config.curriculum is not None
        found = fingerprint_strengths(corpus, arm.config.curriculum, arm.config.window_samples, 0)
        publish(str(path), json.dumps(found, indent=1).encode())
    order = tuple(json.loads(path.read_text()))
    return lambda arm: order


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--arms", type=Path, default=ARMS, help="YAML: what is compared")
    parser.add_argument("--only", action="append", default=[], metavar="ARM")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--leave-out", action="append", default=[], metavar="SYSTEM,…")
    parser.add_argument("--out", type=Path, required=True, help="folder for fits and figures")
    parser.add_argument("--workers", type=int, default=1, help="fits at a time")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    arms, fusions = read_arms(given.arms, given.set)
    arms = [arm for arm in arms if not given.only or arm.name in given.only]
    info = inspect_corpus(given.corpus)
    default = read_settings("speech-default")["calibrate"]["leave_out"]
    sets = [names.split(",") for names in given.leave_out] or default
    folds = crossed_folds(sets, set(info.systems) - {"bonafide"})
    with alone(given.out, "training"):
        order = _ordered(given.corpus, arms, given.out)
        wanted = {
            arm.name: plans(given.corpus, arm, folds, seeds, order(arm), given.out) for arm in arms
        }
        among = Processes(torch.device(given.device))
        everything = [plan for of in wanted.values() for plan in of]
        fits = iter(fit_all(fitted, everything, among, given.workers, 0))
        done = {name: [next(fits) for _ in of] for name, of in wanted.items()}
    scored = {name: judged(found, folds, seeds) for name, found in done.items()}
    for names in fusions:
        if all(name in scored for name in names):
            scored[" + ".join(names)] = fused([scored[name] for name in names])
    clips = sum(len(one.score) for one in next(iter(scored.values())))
    print(f"{machine()}, seeds {given.seeds}, {clips} clips judged by each arm\n")
    print(table(compared(scored, replicates=500)))
    print(f"\n{table(by_system(scored))}")


if __name__ == "__main__":
    main()
