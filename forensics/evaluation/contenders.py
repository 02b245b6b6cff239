"""The detectors of an evaluation: a label, and what is known before they are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.detectors.base import SpeechDetector
from forensics.detectors.bundle import Bundle
from forensics.errors import UsageError
from forensics.verdict.loading import ImageSpec, SpeechSpec, resolve_detector

Named = str | Path | SpeechDetector


@dataclass(frozen=True)
class Contender:
    """One detector.

    Attributes:
        label: what tables call it; unique in an evaluation.
        spec: where it is loaded from; None for one that is loaded already.
    """

    label: str
    name: str
    version: str
    bundle: Bundle
    spec: SpeechSpec | None
    loaded: SpeechDetector | None = None

    def load(self, device: str) -> SpeechDetector:
        if self.loaded is not None:
            return self.loaded
        assert self.spec is not None  # one of the two is there
        return self.spec.load(device)


def contenders(named: Sequence[Named], weights: str | Path | None = None) -> list[Contender]:
    """Find detectors by name or weights folder; cheap, nothing that computes is loaded.

    Args:
        weights: the weights folder of the only one, when that is a registered name.

    Raises:
        UsageError: no such detector; weights named for several; the same detector twice.
        MissingRequirement: there are no weights.
        CorpusError: weights that do not match their pinned hash.
    """
    if weights is not None and len(named) != 1:
        raise UsageError("weights are named for several detectors", "name folders as detectors")
    found = [_contender(one, weights) for one in named]
    labels = [one.label for one in found]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"two detectors are called {label!r}", "name each once")
    return found


def _contender(named: Named, weights: str | Path | None) -> Contender:
    if isinstance(named, SpeechDetector):
        return Contender(named.name, named.name, named.version, named.bundle, None, named)
    spec = resolve_detector(named, weights)
    if isinstance(spec, ImageSpec):
        raise UsageError(f"{spec.cls.name} judges images", "name a speech detector")
    is_folder = isinstance(named, Path) or "/" in named
    label = Path(named).name or str(named) if is_folder else str(named)
    return Contender(label, spec.cls.name, spec.cls.version, Bundle.load(spec.folder), spec)
