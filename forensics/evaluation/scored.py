"""Scores beside what is known of their clips: the table that all figures are computed from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from forensics.evaluation.clips import Clip


@dataclass(frozen=True)
class ScoredSet:
    """One row a clip.

    Attributes:
        score: float64 (N,), LLR-like: higher = bona fide.
        is_bonafide: bool (N,).
        key, system, kind, source, group: str (N,); see `Clip`.
    """

    key: np.ndarray
    score: np.ndarray
    is_bonafide: np.ndarray
    system: np.ndarray
    kind: np.ndarray
    source: np.ndarray
    group: np.ndarray

    @classmethod
    def of(cls, clips: Sequence[Clip], scores: np.ndarray) -> ScoredSet:
        return cls(
            key=_column(clip.key for clip in clips),
            score=np.asarray(scores, np.float64),
            is_bonafide=np.array([clip.is_bonafide for clip in clips], bool),
            system=_column(clip.system for clip in clips),
            kind=_column(clip.kind for clip in clips),
            source=_column(clip.source for clip in clips),
            group=_column(clip.group for clip in clips),
        )

    def __len__(self) -> int:
        return len(self.score)

    def where(self, chosen: np.ndarray) -> ScoredSet:
        """The rows of a bool (N,) mask."""
        return ScoredSet(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})

    @property
    def bonafide(self) -> np.ndarray:
        """The scores of real speech."""
        return self.score[self.is_bonafide]

    @property
    def spoof(self) -> np.ndarray:
        return self.score[~self.is_bonafide]


def _column(values: Iterable[str]) -> np.ndarray:
    return np.array(list(values), dtype=str)
