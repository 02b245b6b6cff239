"""The detectors of pictures in an evaluation: a label, and what is known before they are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.detectors.image.base import ImageDetector, Known
from forensics.errors import UsageError
from forensics.verdict.loading import ImageSpec, resolve_detector

PictureNamed = str | Path | ImageDetector


@dataclass(frozen=True)
class PictureContender:
    """One detector.

    Attributes:
        label: what tables call it; unique in an evaluation.
        known: what its weights say of themselves.
        spec: where it is loaded from; None for one that is loaded already.
        baseline: judges the clean pictures only, and has no figures of whole pictures.
    """

    label: str
    name: str
    version: str
    known: Known
    spec: ImageSpec | None = None
    loaded: ImageDetector | None = None
    baseline: bool = False

    @property
    def identity(self) -> str | None:
        """What its scores depend on besides name and version: SHA-256 of weights."""
        return self.known.sha256

    def load(self, device: str) -> ImageDetector:
        if self.loaded is not None:
            return self.loaded
        assert self.spec is not None  # one of the two is there
        return self.spec.load(device)


def picture_contenders(
    named: Sequence[PictureNamed], weights: str | Path | None = None
) -> list[PictureContender]:
    """Find detectors by name or weights folder; nothing that computes is loaded.

    Args:
        weights: the weights folder of the only one, when that is a registered name.

    Raises:
        UsageError: no such detector, one of speech, weights named for several, a label twice.
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


def _contender(named: PictureNamed, weights: str | Path | None) -> PictureContender:
    if isinstance(named, ImageDetector):
        return PictureContender(named.name, named.name, named.version, named.known, None, named)
    spec = resolve_detector(named, weights)
    if not isinstance(spec, ImageSpec):
        raise UsageError(f"{spec.cls.name} judges speech", "name a detector of pictures")
    known = spec.cls.known_of(spec.folder)
    is_folder = isinstance(named, Path) or "/" in named
    label = Path(named).name or str(named) if is_folder else str(named)
    return PictureContender(label, spec.cls.name, spec.cls.version, known, spec)
