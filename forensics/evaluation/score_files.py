"""Score files as ASVspoof has them: `filename<TAB>cm-score`, higher = bona fide."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from forensics.errors import UsageError
from forensics.evaluation.scored import ScoredSet
from forensics.shards import storage

_HEADER = ("filename", "cm-score")


def write_scores(path: Path, scored: ScoredSet) -> None:
    """Write a score file, whole or not at all.

    Raises:
        UsageError: a key that holds a tab or a line break.
        MachineError: it cannot be written.
    """
    lines = ["\t".join(_HEADER)]
    for key, score in zip(scored.key.tolist(), scored.score.tolist(), strict=True):
        if any(sign in key for sign in "\t\n\r"):
            raise UsageError(f"the name {key!r} cannot stand in a score file", "rename the clip")
        lines.append(f"{key}\t{score!r}")
    storage.publish(path, ("\n".join(lines) + "\n").encode())


def read_scores(path: Path) -> dict[str, float]:
    """Name → score; a header is passed over, and so are rows whose score is `-` (missing).

    Fields are separated by a tab, or by blanks as in older score files; of further fields (joint
    scores) none is read.

    Raises:
        UsageError: it cannot be read, a line without a finite score, a name twice.
    """
    found: dict[str, float] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the score file {path} cannot be read ({error})", "check it") from error
    for number, line in enumerate(lines, 1):
        fields = line.split("\t") if "\t" in line else line.split()
        if not fields or (number == 1 and tuple(fields[:2]) == _HEADER):
            continue
        if len(fields) > 1 and fields[1].strip() == "-":
            continue
        name, score = fields[0], _number(fields[1]) if len(fields) > 1 else math.nan
        if not math.isfinite(score):
            raise UsageError(
                f"{path}, line {number}: no name and finite score", "write name<TAB>score"
            )
        if name in found:
            raise UsageError(f"{path}, line {number}: {name!r} has a score already", "keep one")
        found[name] = score
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def aligned(scores: dict[str, float], keys: list[str], path: Path) -> np.ndarray:
    """Scores float64 (N,) in the order of `keys`, NaN where a file has none.

    Raises:
        UsageError: it has none for any of them.
    """
    values = np.array([scores.get(key, math.nan) for key in keys])
    if np.isnan(values).all():
        raise UsageError(
            f"no name of {path} is in the protocol", f"names there look like {keys[0]!r}"
        )
    return values
