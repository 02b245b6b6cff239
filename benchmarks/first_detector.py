"""The shipped speech detector, measured: unheard speakers, unheard systems, neural systems, alarms.

    python benchmarks/first_detector.py --corpus corpus/ --speech speech/ --speech-dev speech_dev/ \
        --aasist AASIST.pth --json figures.json

Every part is left out whose material is not named. `speech_dev` and the corpora of `speech` that
are not shippable took no part in any choice about the detector.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine, table

from forensics import load_detector
from forensics.detectors.base import SpeechDetector
from forensics.detectors.importing import import_checkpoint
from forensics.evaluation.grouped import grouped_eer
from forensics.evaluation.intervals import bootstrap, clopper_pearson
from forensics.evaluation.metrics import eer
from forensics.progress import Progress
from forensics.training.detector.held_out import clips, score_clips
from forensics.verdict.detect import detect_iter
from forensics.verdict.schema import Verdict

LABELS = ("manipulated", "uncertain", "bonafide", "not_applicable")
REPLICATES = 1000


@dataclass(frozen=True)
class Judged:
    """One clip of a manifest, its row and its verdict."""

    row: dict[str, str]
    verdict: Verdict

    @property
    def is_bonafide(self) -> bool:
        return self.row["label"] == "bonafide"

    @property
    def raw(self) -> float:
        return self.verdict.detectors[0].raw


def judge(
    folder: Path, detector: SpeechDetector, wanted: Callable[[dict[str, str]], bool]
) -> list[Judged]:
    """Every wanted clip of a manifest, as `forensics detect` judges it."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if wanted(row)]
    with Progress(len(rows), f"{detector.name} on {folder.name}", "clips") as progress:
        return list(_judged(rows, folder, detector, progress))


def _judged(
    rows: list[dict[str, str]], folder: Path, detector: SpeechDetector, progress: Progress
) -> Iterator[Judged]:
    verdicts = detect_iter([folder / row["path"] for row in rows], detector)
    for row, verdict in zip(rows, verdicts, strict=True):
        progress.advance()
        yield Judged(row, verdict)


def label_rows(groups: dict[str, list[Judged]]) -> list[dict[str, object]]:
    """Share of each label by group, and the interval of the first: false alarms, for real speech.

    Clips of one speaker are not independent: the interval is narrower than it should be.
    """
    rows: list[dict[str, object]] = []
    for name, judged in groups.items():
        counts = Counter(one.verdict.label for one in judged)
        low, high = clopper_pearson(counts["manipulated"], len(judged))
        row: dict[str, object] = {"clips": name, "n": len(judged)}
        row |= {label: _percent(counts[label] / len(judged)) for label in LABELS}
        rows.append(row | {"95 % of manipulated": f"{_percent(low)} to {_percent(high)}"})
    return rows


def unseen_rows(judged: list[Judged], name: str, seconds: float) -> list[dict[str, object]]:
    """Pooled and mean within-page EER; intervals resample whole pages."""
    judged = [one for one in judged if one.verdict.detectors]
    scores = np.array([one.raw for one in judged])
    real = np.array([one.is_bonafide for one in judged])
    pages = np.array([one.row["page"] for one in judged])
    pooled = bootstrap(lambda b, s: eer(b, s).value, scores, real, pages, REPLICATES)
    within = grouped_eer(scores, real, pages)
    page_eers = np.array(list(within.by_group.values()))
    draws = np.random.default_rng(0).integers(len(page_eers), size=(REPLICATES, len(page_eers)))
    low, high = np.quantile(page_eers[draws].mean(axis=1), [0.025, 0.975])
    return [
        {
            "detector": name,
            "n": len(judged),
            "pooled EER": _percent(pooled.value),
            "95 %": f"{_percent(pooled.low)} to {_percent(pooled.high)}",
            "mean within-page EER": _percent(within.within),
            "95 % (pages)": f"{_percent(float(low))} to {_percent(float(high))}",
            "pages with both": len(page_eers),
            "seconds": round(seconds),
        }
    ]


def test_rows(corpus: str, detector: SpeechDetector) -> list[dict[str, object]]:
    """The test split: speakers that training did not hear, systems that it did."""
    every = clips(corpus, "test", lambda system, group: True, detector.window_samples)
    scored = score_clips(detector.score, every)
    interval = bootstrap(
        lambda b, s: eer(b, s).value, scored.score, scored.is_bonafide, scored.group, REPLICATES
    )
    pooled: dict[str, object] = {
        "system": "all",
        "EER": _percent(interval.value),
        "95 % (speakers)": f"{_percent(interval.low)} to {_percent(interval.high)}",
        "n spoof": int((~scored.is_bonafide).sum()),
    }
    return [
        pooled,
        *(
            {
                "system": name,
                "EER": _percent(value),
                "95 % (speakers)": "",
                "n spoof": int((scored.system == name).sum()),
            }
            for name, (value, _) in scored.by_system().items()
        ),
    ]


def recorded_rows(detector: SpeechDetector) -> list[dict[str, object]]:
    """What training measured on systems and speakers left out, from the bundle."""
    return [
        {
            "measured on": figure.on,
            "EER": _percent(figure.value),
            "95 %": " to ".join(map(_percent, figure.interval)) if figure.interval else "",
        }
        for figure in detector.bundle.config.measured
        if "test split" not in figure.on
    ]


def speech_dev_parts(folder: Path, detectors: dict[str, SpeechDetector]) -> dict[str, Any]:
    rows: list[dict[str, object]] = []
    labels: list[dict[str, object]] = []
    for name, detector in detectors.items():
        started = time.perf_counter()
        judged = judge(folder, detector, lambda row: True)
        rows += unseen_rows(judged, name, time.perf_counter() - started)
        if detector.bundle.thresholds:
            sorts = {
                "speech_dev bona fide": [one for one in judged if one.is_bonafide],
                "speech_dev spoof": [one for one in judged if not one.is_bonafide],
            }
            labels += label_rows(sorts)
    return {"speech_dev: neural systems never heard": rows, "speech_dev: labels": labels}


def alarm_rows(folder: Path, detector: SpeechDetector) -> list[dict[str, object]]:
    judged = judge(folder, detector, lambda row: row["shippable"] != "True")
    corpora = sorted({one.row["corpus"] for one in judged})
    by_corpus = {name: [one for one in judged if one.row["corpus"] == name] for name in corpora}
    return label_rows(by_corpus | {"all": judged})


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", default="speech-default", help="name or weights folder")
    parser.add_argument("--corpus", help="corpus whose test split is scored")
    parser.add_argument("--speech", type=Path, help="folder with manifest.csv, column shippable")
    parser.add_argument("--speech-dev", type=Path, help="folder with manifest.csv, column page")
    parser.add_argument("--aasist", type=Path, help="published AASIST.pth, scored beside")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    given = parser.parse_args()
    detector = load_detector(given.detector)
    parts: dict[str, list[dict[str, object]]] = {}
    if given.corpus:
        parts["test split: speakers never heard"] = test_rows(given.corpus, detector)
    parts["systems and speakers never heard (as recorded in training)"] = recorded_rows(detector)
    if given.speech:
        parts["real speech never heard: labels"] = alarm_rows(given.speech, detector)
    if given.speech_dev:
        with tempfile.TemporaryDirectory() as folder:
            beside = {detector.name: detector}
            if given.aasist:
                imported = import_checkpoint("aasist", given.aasist, Path(folder) / "aasist")
                beside["AASIST as published"] = load_detector(imported.bundle.folder)
            parts |= speech_dev_parts(given.speech_dev, beside)
    print(f"{machine()}\nweights {detector.bundle.weights_sha256[:12]}")
    for title, rows in parts.items():
        print(f"\n## {title}\n\n{table(rows)}")
    if given.json:
        thresholds = [cut.model_dump() for cut in detector.bundle.thresholds]
        record = {
            "machine": machine(),
            "weights_sha256": detector.bundle.weights_sha256,
            "thresholds": thresholds,
            "parts": parts,
        }
        given.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
