"""The contract of a detector.

Inside the package scores are LLR-like and **higher means bona fide** (the ASVspoof convention);
`forensics.verdict` alone turns them into `p_manipulated`, where 1 always means manipulated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from forensics.detectors.bundle import Bundle
from forensics.registry import Registry


@dataclass(frozen=True)
class Explanation:
    """What a detector looked at in one window; weights, not evidence for either label.

    Attributes:
        seconds_per_step: length of a step of `time`.
        time: float32 (T,), sums to 1: where the detector looked.
        layers: float32 (L,), sums to 1: which layers it used, in order from the input up.
        layer_groups: float32 (G,), sums to 1: the same by groups of neighbouring layers.
        attention: float32 (L, T): layer x time, each row sums to 1.
    """

    seconds_per_step: float
    time: np.ndarray
    layers: np.ndarray | None = None
    layer_groups: np.ndarray | None = None
    attention: np.ndarray | None = None


class SpeechDetector(ABC):
    """Scores windows of speech. Longer files are cut into windows by the caller.

    Attributes:
        sampling_rate: of the samples that `score` takes, Hz.
        window_samples: length of one window; shorter clips are tiled to it by the caller.
        bundle: where the weights come from: their hash, calibration and thresholds.
        runtime: what computes the scores, in words.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    licence: ClassVar[str]
    summary: ClassVar[str]
    modality: ClassVar[str] = "speech"
    sampling_rate: int = 16_000
    window_samples: int = 64_600
    bundle: Bundle
    runtime: str = "unknown"

    @classmethod
    @abstractmethod
    def from_folder(
        cls, folder: Path, device: str = "cpu", threads: int | None = None
    ) -> SpeechDetector:
        """Load `config.json` and `model.safetensors`, checked against the pinned SHA-256.

        Args:
            device: where to compute, e.g. "cuda".
            threads: CPU threads to compute with; None for what is usual there.

        Raises:
            MissingRequirement: there are no weights there, or no such device.
            CorpusError: the weights do not match their pinned hash.
            UsageError: they are the weights of another detector.
        """

    @abstractmethod
    def score(self, windows: np.ndarray) -> np.ndarray:
        """float32 (B, window_samples) in [-1, 1] → raw scores float64 (B,), higher = bona fide.

        A window's score does not depend on the other windows of the batch.
        """

    def explain(self, window: np.ndarray) -> Explanation | None:
        """What the detector looks at in float32 (window_samples,); None where it cannot tell."""
        return None

    def examine(self, windows: np.ndarray) -> tuple[np.ndarray, list[Explanation | None]]:
        """`score`, and what it can explain of each window at no further cost, else None."""
        return self.score(windows), [None] * len(windows)


DETECTORS: Registry[SpeechDetector] = Registry(
    "detector", "forensics.detectors", "forensics.detectors"
)
register_detector = DETECTORS.register
