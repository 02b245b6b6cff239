"""Figures of an evaluation on faces, with the engines that training never saw set apart.

    forensics evaluate --shards CORPUS --detector RUN/bundle --out SCORES
    python benchmarks/face_classifier.py CORPUS SCORES RUN/bundle

Reads the scores that the evaluation kept of the clean test split; nothing is judged again. AUC and
false alarms of all real photos against all forgeries, of the engines in the train split and of the
others, of each engine, and of each domain; intervals over people.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from forensics import shards
from forensics.detectors.bundle import Bundle
from forensics.detectors.calibration import p_manipulated
from forensics.evaluation.intervals import bootstrap, clustered_share
from forensics.evaluation.metrics import auc, eer
from forensics.evaluation.sweep import CLEAN


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus")
    parser.add_argument("scores", type=Path, help="what --out of evaluate named")
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "--domains", nargs="*", default=[], help="beginnings of names of people, e.g. orl lfw"
    )
    given = parser.parse_args()
    bundle = Bundle.load(given.bundle)
    judged = scores_of(given.scores / "pictures.jsonl", bundle.weights_sha256)
    seen = {item.meta.system for item in whole(given.corpus, "train")}
    metas = [one.meta for one in whole(given.corpus, "test") if one.meta.sha256 in judged]
    score = np.array([judged[meta.sha256] for meta in metas])
    real = np.array([meta.label == "bonafide" for meta in metas])
    people = np.array([meta.group for meta in metas])
    system = np.array([meta.system for meta in metas])
    trained = np.isin(system, sorted(seen))
    parts = {
        "all": np.ones(len(real), bool),
        "engines of the train split": real | trained,
        "engines that it lacks": real | ~trained,
        **{name: real | (system == name) for name in sorted(set(system[~real]))},
        **{name: np.char.startswith(people, name) for name in given.domains},
    }
    for name, part in parts.items():
        print(f"{name:28} {line(score[part], real[part], people[part])}")
    if bundle.calibration is None or not bundle.thresholds:
        return
    p = p_manipulated(bundle.calibration.llr(score))
    alarm = p > bundle.thresholds[0].manipulated_above
    for name, part in parts.items():
        photos, fakes = part & real, part & ~real
        low, high = clustered_share(alarm[photos], people[photos])
        print(
            f"{name:28} called manipulated: {100 * alarm[fakes].mean():5.1f} % of {fakes.sum()} "
            f"forgeries, {alarm[photos].sum()} of {photos.sum()} real photos "
            f"({100 * alarm[photos].mean():.1f} %, {100 * low:.1f} to {100 * high:.1f})"
        )


def whole(corpus: str, split: shards.Split) -> list[shards.Item]:
    return list(shards.open(corpus, split, shuffle=False, rank=0, world_size=1).whole())


def scores_of(log: Path, weights: str) -> dict[str, float]:
    """SHA-256 of a clean picture → what the detector with these weights said of it."""
    rows = (json.loads(line) for line in log.open())
    return {
        row["sha256"]: row["raw"]
        for row in rows
        if row.get("condition") == CLEAN
        and row["detector"][2] == weights
        and row["raw"] is not None
    }


def line(score: np.ndarray, real: np.ndarray, people: np.ndarray) -> str:
    area = bootstrap(auc, score, real, people)
    own = []
    for name in sorted(set(people)):
        mine, others = score[(people == name) & real], score[(people == name) & ~real]
        if len(mine) and len(others):
            own.append(auc(mine, others))
    return (
        f"{real.sum():4} real {(~real).sum():4} forged  AUC {area.value:.3f} "
        f"({area.low:.3f} to {area.high:.3f})  EER {eer(score[real], score[~real]).value:.3f}  "
        f"mean over {len(own)} people {np.mean(own):.3f}"
    )


if __name__ == "__main__":
    main()
