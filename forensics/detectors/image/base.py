"""The contract of an image detector: a picture in, a finding out.

As for speech, scores are LLR-like and **higher means bona fide** inside the package. Heatmaps are
for people and for masks: there **1 means manipulated**.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from forensics.detectors.bundle import Bundle
from forensics.detectors.calibration import Calibration, Threshold
from forensics.detectors.image.planes import Plane
from forensics.media.image import Picture
from forensics.registry import Registry


@dataclass(frozen=True)
class Finding:
    """What one detector says of one picture.

    Attributes:
        score: raw, higher = bona fide; None when the detector cannot judge this picture.
        not_applicable: why it cannot, in one line ("no quantisation table: not a JPEG").
        heatmap: float32 (H, W) in [0, 1], 1 = manipulated, in the picture's own size and stored
            orientation, drawn in bands when it is needed; or None.
        mask: bool (H, W): what the detector itself calls manipulated, drawn likewise; or None.
        details: figures behind the score (false-alarm number, estimated quality), JSON-safe.
        parts: name → finding of each detector that a fusion heard.
    """

    score: float | None
    not_applicable: str | None = None
    heatmap: Plane | None = None
    mask: Plane | None = None
    details: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Finding] = field(default_factory=dict)


@dataclass(frozen=True)
class Words:
    """What a language model wrote about a verdict that stood.

    Attributes:
        model: which one; prompt_version: of the words it was given.
    """

    text: str
    model: str
    prompt_version: str


@dataclass(frozen=True)
class Known:
    """What a detector's weights say of themselves.

    Attributes:
        sha256: of the weights; None for a method without any.
        calibration: raw score → LLR; None: scores only order, and verdicts are `uncertain`.
        threshold: where labels are cut on it.
        limits: what the detector is known not to do, in words.
    """

    sha256: str | None = None
    calibration: Calibration | None = None
    threshold: Threshold | None = None
    limits: str = ""

    @classmethod
    def of(cls, bundle: Bundle | None) -> Known:
        if bundle is None:
            return cls()
        threshold = next(iter(bundle.thresholds), None)
        return cls(bundle.weights_sha256, bundle.calibration, threshold, bundle.config.limits)


class ImageDetector(ABC):
    """Judges one picture at a time, of any size.

    Attributes:
        paper: where the method is from.
        needs_weights: whether `from_folder` needs a weights folder; classical methods do not.
        bundle: weights with calibration and thresholds; None for a method without.
        runtime: what computes it, in words.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    licence: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    modality: ClassVar[str] = "image"
    needs_weights: ClassVar[bool] = False
    bundle: Bundle | None = None
    runtime: str = "numpy"

    @classmethod
    def from_folder(
        cls, folder: Path | None, device: str = "cpu", threads: int | None = None
    ) -> ImageDetector:
        """Ready to judge; weights, where it has some, are checked against their pinned SHA-256.

        Raises:
            MissingRequirement: it needs weights and there are none, or no such device.
            CorpusError: the weights do not match their hash.
        """
        return cls()

    @classmethod
    def known_of(cls, folder: Path | None) -> Known:
        """What a weights folder says, while nothing that computes is loaded.

        Raises:
            MissingRequirement, UsageError, CorpusError: as `Bundle.load`.
        """
        return Known.of(None if folder is None else Bundle.load(folder))

    @property
    def known(self) -> Known:
        """What its weights say of themselves."""
        return Known.of(self.bundle)

    @abstractmethod
    def examine(self, picture: Picture) -> Finding:
        """Judge. Never raises for a picture that it cannot judge: says so in the finding."""

    def explain(self, picture: Picture, finding: Finding, genuine: bool) -> Words | None:
        """Words for a verdict on what `examine` found; None from a detector that has none."""
        return None


IMAGE_DETECTORS: Registry[ImageDetector] = Registry(
    "image detector", "forensics.detectors", "forensics.image_detectors"
)
register_image_detector = IMAGE_DETECTORS.register
