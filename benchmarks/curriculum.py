"""The curriculum over systems against plain shuffling, on one corpus, over several seeds.

Both arms train the same network on the same data for the same number of steps; they differ in the
section `curriculum` alone. With `--leave-out` each seed also trains fits that miss these systems
(and a part of the speakers), as calibration does, and is judged by them: that is what the
curriculum is for. Finished fits are kept in `--out`; a run that was cut off goes on.

    python benchmarks/curriculum.py --corpus corpus/ --config speech-default --out runs/curriculum \
        --seeds 1,2,3,4,5 --leave-out world,lpc --leave-out griffinlim,espeak --set fit.steps=1000
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from machine import machine, table

from forensics.corpus.index import inspect_corpus
from forensics.evaluation.metrics import eer
from forensics.locks import alone
from forensics.shards.storage import publish
from forensics.training.config import checked, read_settings
from forensics.training.detector.config import CurriculumConfig, DetectorConfig
from forensics.training.detector.crew import fit_all
from forensics.training.detector.curriculum import fingerprint_strengths
from forensics.training.detector.fit import FitPlan
from forensics.training.detector.fitted import Fitted, fitted
from forensics.training.detector.folds import Fold, crossed_folds
from forensics.training.detector.held_out import Scored
from forensics.training.detector.processes import Processes
from forensics.training.detector.report import OverSeeds
from forensics.training.detector.train import with_lanes
from forensics.training.journal import claim

ARMS = ("plain", "curriculum", "stages only")
"""`stages only` is the curriculum without a teacher."""


def arms(config: DetectorConfig) -> dict[str, DetectorConfig]:
    """The config in each arm; its own section `curriculum`, else the default one."""
    curriculum = config.curriculum or CurriculumConfig()
    untaught = curriculum.model_copy(update={"distill": 0.0})
    sections = (None, curriculum, untaught)
    return {
        name: config.model_copy(update={"curriculum": section})
        for name, section in zip(ARMS, sections, strict=True)
    }


def strengths(corpus: str, config: DetectorConfig, out: Path) -> dict[str, float]:
    path = out / "strengths.json"
    if not path.exists():
        curriculum = config.curriculum or CurriculumConfig()
        found = fingerprint_strengths(corpus, curriculum, config.window_samples, 0)
        publish(str(path), json.dumps(found, indent=1).encode())
    return json.loads(path.read_text())


def plans(
    corpus: str, config: DetectorConfig, folds: list[Fold], order: tuple[str, ...], out: Path
) -> dict[tuple[str, int, str], FitPlan]:
    """(arm, seed, fold) → its fit."""
    assert config.fit.steps is not None
    return {
        (arm, seed, fold.name): FitPlan(
            corpus,
            arm_config,
            fold,
            seed,
            config.fit.steps,
            order if arm_config.curriculum else (),
            out / "fits" / f"{arm.replace(' ', '-')}-{seed}-{fold.name}",
        )
        for arm, arm_config in arms(config).items()
        for seed in config.seeds
        for fold in folds
    }


def unheard_eer(crossed: list[Fitted]) -> float:
    """Mean over left-out systems of the EER against the real speech of left-out speakers."""
    errors = []
    for one in crossed:
        assert one.unheard is not None
        errors += [error for error, _ in one.unheard.by_system().values()]
    return float(np.mean(errors))


def pooled_eer(scored: Scored) -> float:
    return eer(scored.score[scored.is_bonafide], scored.score[~scored.is_bonafide]).value


def figures(done: dict[tuple[str, int, str], Fitted], arm: str, seed: int) -> dict[str, float]:
    whole = done[arm, seed, "all"]
    assert whole.test is not None
    found = {"dev": whole.dev_eer, "test": pooled_eer(whole.test)}
    crossed = [
        one for (name, of, fold), one in done.items() if (name, of) == (arm, seed) and fold != "all"
    ]
    return found | ({"systems left out": unheard_eer(crossed)} if crossed else {})


def compare(
    by_arm: dict[str, list[dict[str, float]]],
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """EERs of each arm over seeds, and the paired differences to plain shuffling."""
    absolute: list[dict[str, object]] = []
    paired: list[dict[str, object]] = []
    for arm, rows in by_arm.items():
        for name in rows[0]:
            values = [row[name] for row in rows]
            absolute.append({"arm": arm, "EER on": name, **_shown(OverSeeds.of(values))})
            if arm == "plain":
                continue
            apart = [
                row[name] - base[name] for row, base in zip(rows, by_arm["plain"], strict=True)
            ]
            paired.append(
                {
                    "arm minus plain": arm,
                    "EER on": name,
                    **_shown(OverSeeds.of(apart)),
                    "seeds better": f"{sum(value < 0 for value in apart)} of {len(apart)}",
                }
            )
    return absolute, paired


def _shown(figure: OverSeeds) -> dict[str, object]:
    low, high = figure.interval or (math.nan, math.nan)
    return {
        "mean": f"{100 * figure.mean:.1f} %",
        "95 % of the mean (seeds)": f"{100 * low:.1f} to {100 * high:.1f}",
        "least": f"{100 * figure.best:.1f} %",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--config", default="speech-default", help="shipped config or YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--leave-out", action="append", default=[], metavar="SYSTEM,…")
    parser.add_argument("--out", type=Path, required=True, help="folder for fits and figures")
    parser.add_argument("--workers", type=int, default=1, help="fits at a time")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    settings = read_settings(given.config, [*given.set, "calibrate=null"])
    settings["seeds"] = [int(seed) for seed in given.seeds.split(",")]
    config = checked(DetectorConfig, settings, given.config)
    if config.fit.steps is None:
        parser.error(
            "the arms are compared after the same steps: --set fit.epochs=null fit.steps=N"
        )
    config = config.model_copy(update={"fit": with_lanes(config.fit, 1, 0)})
    info = inspect_corpus(given.corpus)
    left_out = [names.split(",") for names in given.leave_out]
    systems = set(info.systems) - {"bonafide"}
    folds = [Fold("all"), *(crossed_folds(left_out, systems) if left_out else [])]
    with alone(given.out, "training"):
        held = {"corpus": info.plan, "leave_out": left_out, **config.model_dump(mode="json")}
        claim(given.out, json.dumps(held, indent=1))
        order = strengths(given.corpus, config, given.out)
        wanted = plans(given.corpus, config, folds, tuple(order), given.out)
        among = Processes(torch.device(given.device))
        fits = fit_all(fitted, list(wanted.values()), among, given.workers, 0)
        done = dict(zip(wanted, fits, strict=True))
    by_arm = {arm: [figures(done, arm, seed) for seed in config.seeds] for arm in ARMS}
    absolute, paired = compare(by_arm)
    strength: list[dict[str, object]] = [
        {"system": name, "probe's AUC": f"{area:.3f}"} for name, area in order.items()
    ]
    print(f"{machine()}, {config.fit.steps} steps, seeds {given.seeds}")
    for title, rows in (
        ("fingerprints, weakest first", strength),
        ("EER", absolute),
        ("difference to plain shuffling, paired by seed", paired),
    ):
        print(f"\n## {title}\n\n{table(rows)}")
    record = {"strengths": order, "figures": by_arm, "seeds": config.seeds}
    publish(str(given.out / "figures.json"), json.dumps(record, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
