"""Finished scores on disk, one JSON object a line: an evaluation that was cut off goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from forensics.evaluation.contenders import Contender
from forensics.evaluation.line_log import LineLog
from forensics.evaluation.sweep import fingerprint


class ScoreLog:
    """Raw scores by detector, clip and condition; a context manager.

    A score belongs to the detector's name and version, the SHA-256 of its weights, its window,
    the SHA-256 of the clip, and the condition with its parameters. Calibration is not part of it:
    raw scores outlive a new one.

    Args:
        path: None keeps nothing.
        detectors, conditions: whose scores are wanted; other lines of the file are passed over.
    """

    def __init__(
        self, path: Path | None, detectors: Sequence[Contender], conditions: Sequence[str]
    ):
        self._log = LineLog(path, self._keep)
        self._detectors = [
            [
                detector.name,
                detector.version,
                detector.bundle.weights_sha256,
                detector.bundle.config.window_samples,
            ]
            for detector in detectors
        ]
        self._conditions = {condition: fingerprint(condition) for condition in conditions}
        self._places = {json.dumps(one): number for number, one in enumerate(self._detectors)}
        self._names = {text: condition for condition, text in self._conditions.items()}
        self._known: dict[tuple[str, int, str], float] = {}

    def __enter__(self) -> ScoreLog:
        self._log.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._log.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._known)

    def get(self, sha256: str | None, detector: int, condition: str) -> float:
        """A score that is there already, else NaN."""
        return self._known.get((sha256, detector, condition), math.nan) if sha256 else math.nan

    def add(self, scores: Iterable[tuple[str | None, int, str, float]]) -> None:
        """Keep (sha256, detector's place, condition, raw score), but no NaN."""
        self._log.write(
            {
                "detector": self._detectors[detector],
                "condition": self._conditions[condition],
                "sha256": sha256,
                "raw": raw,
            }
            for sha256, detector, condition, raw in scores
            if sha256 is not None and not math.isnan(raw)
        )

    def _keep(self, row: Any) -> None:
        detector, condition = json.dumps(row["detector"]), row["condition"]
        sha256, raw = str(row["sha256"]), float(row["raw"])
        if detector in self._places and condition in self._names:
            self._known[sha256, self._places[detector], self._names[condition]] = raw
