"""Finished scores on disk, one JSON object a line: an evaluation that was cut off goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from forensics.errors import CorpusError, MachineError
from forensics.evaluation.contenders import Contender
from forensics.evaluation.sweep import fingerprint

_FIX = "name another --out, or delete the file"


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
        self._path = path
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
        self._known: dict[tuple[str, int, str], float] = {}

    def __enter__(self) -> ScoreLog:
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._read(self._path)
                self._file = self._path.open("a", encoding="utf-8")
            except OSError as error:
                raise MachineError(f"{self._path} cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._path is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, sha256: str | None, detector: int, condition: str) -> float:
        """A score that is there already, else NaN."""
        return self._known.get((sha256, detector, condition), math.nan) if sha256 else math.nan

    def add(self, scores: Iterable[tuple[str | None, int, str, float]]) -> None:
        """Keep (sha256, detector's place, condition, raw score), but no NaN."""
        if self._path is None:
            return
        lines = [
            json.dumps(
                {
                    "detector": self._detectors[detector],
                    "condition": self._conditions[condition],
                    "sha256": sha256,
                    "raw": raw,
                }
            )
            for sha256, detector, condition, raw in scores
            if sha256 is not None and not math.isnan(raw)
        ]
        if lines:
            try:
                self._file.write("\n".join(lines) + "\n")
                self._file.flush()
            except OSError as error:
                raise MachineError(
                    f"{self._path} cannot be written: {error.strerror}", "free some space"
                ) from error

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):  # the last run was killed while it wrote this line
            with path.open("r+b") as file:
                file.truncate(whole)
        places = {json.dumps(one): number for number, one in enumerate(self._detectors)}
        names = {text: condition for condition, text in self._conditions.items()}
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                row = json.loads(line)
                detector, condition = json.dumps(row["detector"]), row["condition"]
                sha256, raw = str(row["sha256"]), float(row["raw"])
            except (ValueError, KeyError, TypeError) as error:
                raise CorpusError(f"{path}, line {number}: not a score ({error})", _FIX) from error
            if detector in places and condition in names:
                self._known[sha256, places[detector], names[condition]] = raw
