"""Detector names → weights folders → detectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.errors import MissingRequirement, UsageError

if TYPE_CHECKING:
    from forensics.detectors.base import SpeechDetector

DEFAULT_DETECTOR = "speech-default"
_SHIPPED = {
    DEFAULT_DETECTOR: Path(__file__).parent.parent / "detectors" / "speech" / "weights" / "default"
}


def detector_names() -> list[str]:
    """Names that `resolve_detector` takes: those with shipped weights first."""
    from forensics.detectors.base import DETECTORS

    return [*_SHIPPED, *DETECTORS.names()]


@dataclass(frozen=True)
class DetectorSpec:
    """A detector whose weights are there and match their hash, not yet loaded."""

    cls: type[SpeechDetector]
    folder: Path

    def load(self, device: str = "cpu", threads: int | None = None) -> SpeechDetector:
        return self.cls.from_folder(self.folder, device, threads)


def resolve_detector(
    name_or_folder: str | Path = DEFAULT_DETECTOR, weights: str | Path | None = None
) -> DetectorSpec:
    """Find the class and the weights; cheap, nothing that computes is imported.

    Args:
        name_or_folder: `speech-default`, a registered name such as `aasist`, or a weights folder.
        weights: a weights folder; without it a registered name has none.

    Raises:
        MissingRequirement: there are no weights.
        UsageError: no such detector, or a config that cannot be read.
        CorpusError: the weights do not match their pinned hash.
    """
    from forensics.detectors.base import DETECTORS
    from forensics.detectors.bundle import Bundle

    if name_or_folder in DETECTORS.names():
        cls = DETECTORS.get(str(name_or_folder))
        if weights is None:
            raise MissingRequirement(
                f"no weights are named for {cls.name}",
                f"name their folder, or use the detector {DEFAULT_DETECTOR}",
            )
        Bundle.load(Path(weights))
        return DetectorSpec(cls, Path(weights))
    if name_or_folder in _SHIPPED:
        folder = Path(weights) if weights is not None else _SHIPPED[str(name_or_folder)]
    elif Path(name_or_folder).is_dir():
        if weights is not None:
            raise UsageError("two weights folders are named", "name one")
        folder = Path(name_or_folder)
    else:
        raise UsageError(
            f"{str(name_or_folder)!r} is neither a detector nor a weights folder",
            f"detectors: {', '.join(detector_names())}",
        )
    return DetectorSpec(DETECTORS.get(Bundle.load(folder).config.detector), folder)


def load_detector(
    name_or_folder: str | Path = DEFAULT_DETECTOR,
    weights: str | Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> SpeechDetector:
    """A detector to keep and to hand to `detect`; see `resolve_detector` for names and errors.

    Args:
        device: where to compute, e.g. "cuda".
        threads: CPU threads; None for one with ONNX Runtime, and what torch finds with torch.
    """
    return resolve_detector(name_or_folder, weights).load(device, threads)
