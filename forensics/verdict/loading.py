"""Detector names → weights folders → detectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from forensics.errors import MissingRequirement, UsageError

if TYPE_CHECKING:
    from forensics.detectors.base import SpeechDetector
    from forensics.detectors.image.base import ImageDetector

DEFAULT_DETECTOR = "speech-default"
DEFAULT_IMAGE_DETECTOR = "image-default"
DEFAULT_FACE_DETECTOR = "face-default"
_DETECTORS = Path(__file__).parent.parent / "detectors"
_SHIPPED = {
    DEFAULT_DETECTOR: _DETECTORS / "speech" / "weights" / "default",
    DEFAULT_IMAGE_DETECTOR: _DETECTORS / "image" / "weights" / "default",
}
_OF_FACES = _DETECTORS / "face" / "weights" / "default"
if _OF_FACES.is_dir():
    _SHIPPED[DEFAULT_FACE_DETECTOR] = _OF_FACES
_VLM, _VLM_CARD = "face-vlm", "vlm.json"  # not a bundle: it pins its tensors and its base itself
_MAKE_IMAGE_DEFAULT = (
    "train it (forensics train image-fusion --shards CORPUS --out RUN) and name RUN/bundle with "
    "--weights, or name a detector that needs none, for example --detector zero"
)


@dataclass(frozen=True)
class SpeechSpec:
    """A detector whose weights are there and match their hash, not yet loaded."""

    cls: type[SpeechDetector]
    folder: Path
    modality: ClassVar[str] = "speech"

    def load(self, device: str = "cpu", threads: int | None = None) -> SpeechDetector:
        return self.cls.from_folder(self.folder, device, threads)


@dataclass(frozen=True)
class ImageSpec:
    """The same for images; a method without weights has no folder."""

    cls: type[ImageDetector]
    folder: Path | None
    modality: ClassVar[str] = "image"

    def load(self, device: str = "cpu", threads: int | None = None) -> ImageDetector:
        return self.cls.from_folder(self.folder, device, threads)


DetectorSpec = SpeechSpec | ImageSpec


def detector_names() -> list[str]:
    """Names that `resolve_detector` takes: those with shipped weights first."""
    from forensics.detectors.base import DETECTORS
    from forensics.detectors.image.base import IMAGE_DETECTORS

    return [*_SHIPPED, *DETECTORS.names(), *IMAGE_DETECTORS.names()]


def default_face_detector() -> str:
    """What judges faces when nobody names a detector: one for pictures in general, where there is
    none for faces."""
    return DEFAULT_FACE_DETECTOR if DEFAULT_FACE_DETECTOR in _SHIPPED else DEFAULT_IMAGE_DETECTOR


def detector_class(name: str) -> type[SpeechDetector] | type[ImageDetector]:
    """The registered class of that name, of either modality.

    Raises:
        UsageError: there is none.
    """
    from forensics.detectors.base import DETECTORS
    from forensics.detectors.image.base import IMAGE_DETECTORS

    if name == DEFAULT_IMAGE_DETECTOR:
        name = "image-fusion"
    return IMAGE_DETECTORS.get(name) if name in IMAGE_DETECTORS.names() else DETECTORS.get(name)


def resolve_detector(
    name_or_folder: str | Path = DEFAULT_DETECTOR, weights: str | Path | None = None
) -> DetectorSpec:
    """Find the class and the weights; cheap, nothing that computes is imported.

    Args:
        name_or_folder: `speech-default`, `image-default`, a registered name such as `aasist` or
            `zero`, or a weights folder.
        weights: a weights folder; without it a registered name has none.

    Raises:
        MissingRequirement: there are no weights.
        UsageError: no such detector, or a config that cannot be read.
        CorpusError: the weights do not match their pinned hash.
    """
    from forensics.detectors.base import DETECTORS
    from forensics.detectors.image.base import IMAGE_DETECTORS

    name = str(name_or_folder)
    if name in DETECTORS.names() or name in IMAGE_DETECTORS.names():
        return _registered(name, weights)
    if name in _SHIPPED:
        if weights is None and name == DEFAULT_IMAGE_DETECTOR and not _SHIPPED[name].is_dir():
            raise MissingRequirement(f"{name} has no weights here", _MAKE_IMAGE_DEFAULT)
        return _of_folder(_SHIPPED[name] if weights is None else Path(weights))
    if Path(name_or_folder).is_dir():
        if weights is not None:
            raise UsageError("two weights folders are named", "name one")
        return _of_folder(Path(name_or_folder))
    raise UsageError(
        f"{name!r} is neither a detector nor a weights folder",
        f"detectors: {', '.join(detector_names())}",
    )


def load_detector(
    name_or_folder: str | Path = DEFAULT_DETECTOR,
    weights: str | Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> SpeechDetector | ImageDetector:
    """A detector to keep and to hand to `detect`; see `resolve_detector` for names and errors.

    Args:
        device: where to compute, e.g. "cuda".
        threads: CPU threads; None for one with ONNX Runtime, and what torch finds with torch.
    """
    return resolve_detector(name_or_folder, weights).load(device, threads)


def _registered(name: str, weights: str | Path | None) -> DetectorSpec:
    from forensics.detectors.base import DETECTORS
    from forensics.detectors.bundle import Bundle
    from forensics.detectors.image.base import IMAGE_DETECTORS

    speech = name in DETECTORS.names()
    if not speech and not IMAGE_DETECTORS.get(name).needs_weights:
        if weights is not None:
            raise UsageError(f"{name} takes no weights", "leave --weights out")
        return ImageSpec(IMAGE_DETECTORS.get(name), None)
    if weights is None:
        default = DEFAULT_DETECTOR if speech else DEFAULT_IMAGE_DETECTOR
        raise MissingRequirement(
            f"no weights are named for {name}",
            f"name their folder, or use the detector {default}",
        )
    if name == _VLM:
        return _spec(name, Path(weights))
    Bundle.load(Path(weights))
    return _spec(name, Path(weights))


def _of_folder(folder: Path) -> DetectorSpec:
    from forensics.detectors.bundle import Bundle

    if (folder / _VLM_CARD).is_file():
        return _spec(_VLM, folder)
    return _spec(Bundle.load(folder).config.detector, folder)


def _spec(name: str, folder: Path) -> DetectorSpec:
    from forensics.detectors.base import DETECTORS
    from forensics.detectors.image.base import IMAGE_DETECTORS

    if name in IMAGE_DETECTORS.names():
        return ImageSpec(IMAGE_DETECTORS.get(name), folder)
    return SpeechSpec(DETECTORS.get(name), folder)
