"""Finished findings on disk: scores, and the counts that every figure of pixels comes from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from forensics.evaluation.images.contenders import PictureContender
from forensics.evaluation.images.pixels import unpacked
from forensics.evaluation.images.sweep import fingerprint
from forensics.evaluation.line_log import LineLog


@dataclass(frozen=True, slots=True)
class Noted:
    """What one detector said of one picture under one condition.

    Attributes:
        raw: higher = bona fide; NaN where it could not judge, and `problem` says why.
        counts: `pixels.packed`, None where it draws no heatmap or there is no mask to hold it to.
        area: share of the picture that its mask marks; None for a forged one without mask.
    """

    raw: float
    problem: str | None
    counts: str | None
    area: float | None


class PictureLog:
    """Findings by detector, picture, mask and condition; a context manager.

    A finding belongs to the detector's name, version and weights, to the SHA-256 of the picture
    and of its mask ("" without), and to the condition with its parameters. That a detector cannot
    judge a picture is kept too; what failed is not.

    Args:
        path: None keeps nothing.
        detectors, conditions: whose findings are wanted; other lines are passed over.
    """

    def __init__(
        self,
        path: Path | None,
        detectors: Sequence[PictureContender],
        conditions: Sequence[str],
    ):
        self._detectors = [[one.name, one.version, one.identity] for one in detectors]
        self._conditions = {condition: fingerprint(condition) for condition in conditions}
        self._places = {json.dumps(one): number for number, one in enumerate(self._detectors)}
        self._names = {text: condition for condition, text in self._conditions.items()}
        self._known: dict[tuple[str, str, int, str], Noted] = {}
        self._log = LineLog(path, self._keep)

    def __enter__(self) -> PictureLog:
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

    def get(self, sha256: str, mask: str, detector: int, condition: str) -> Noted | None:
        """A finding that is there already."""
        return self._known.get((sha256, mask, detector, condition))

    def add(self, found: Iterable[tuple[str, str, int, str, Noted]]) -> None:
        """Keep (sha256, mask's sha256, detector's place, condition, finding)."""
        self._log.write(
            {
                "detector": self._detectors[detector],
                "condition": self._conditions[condition],
                "sha256": sha256,
                "mask": mask,
                "raw": None if math.isnan(noted.raw) else noted.raw,
                "problem": noted.problem,
                "pixels": noted.counts,
                "area": noted.area,
            }
            for sha256, mask, detector, condition, noted in found
        )

    def _keep(self, row: Any) -> None:
        detector, condition = json.dumps(row["detector"]), row["condition"]
        raw = math.nan if row["raw"] is None else float(row["raw"])
        area = None if row["area"] is None else float(row["area"])
        problem, counts = row["problem"], row["pixels"]
        if math.isnan(raw) != isinstance(problem, str):
            raise ValueError("neither or both of a score and a reason for none")
        if counts is not None:
            unpacked(counts)
        if detector in self._places and condition in self._names:
            key = str(row["sha256"]), str(row["mask"])
            place, name = self._places[detector], self._names[condition]
            self._known[(*key, place, name)] = Noted(raw, problem, counts, area)
