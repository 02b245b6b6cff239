"""What image detectors say of a picture, as a verdict lists it: figures, regions, words.

The words come from the figures by fixed rules and change no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.media.image import Picture
from forensics.verdict.decision import calibrated, in_percent
from forensics.verdict.regions import MAX_REGIONS, regions_of
from forensics.verdict.schema import DetectorEntry, FaceResult, Region

if TYPE_CHECKING:
    from forensics.detectors.image.base import Finding, ImageDetector

_SILENT = 0.1  # a contribution below a tenth of a nat moves p by at most 2.5 points


def entries(
    detector: ImageDetector, finding: Finding, picture: Picture
) -> tuple[DetectorEntry, ...]:
    """The detector's entry, and behind it one for each part that a fusion heard."""
    known = detector.known
    contributions = finding.details.get("contributions", {})
    own = DetectorEntry(
        name=detector.name,
        version=detector.version,
        weights_sha256=known.sha256,
        runtime=detector.runtime,
        raw=finding.score,
        llr=None if finding.score is None else calibrated(finding.score, known.calibration),
        calibration=str(known.calibration) if known.calibration else "none",
        not_applicable=finding.not_applicable,
        details=json_safe(finding.details),
        says=words(finding, shown_regions(finding, picture)),
    )
    parts = (
        _part(name, part, picture, contributions.get(name)) for name, part in finding.parts.items()
    )
    return (own, *parts)


def shown_regions(finding: Finding, picture: Picture) -> tuple[Region, ...]:
    """The regions of a finding, in the picture as viewers show it."""
    if finding.mask is None:
        return ()
    return regions_of(picture, finding.mask, finding.heatmap)


def shown_heat(finding: Finding, picture: Picture) -> np.ndarray | None:
    """The heatmap of a finding as grey levels, uint8 (H, W), 255 = manipulated, in the picture as
    viewers show it."""
    if finding.heatmap is None:
        return None
    grey = np.empty(finding.heatmap.shape, np.uint8)
    for top, band in finding.heatmap.bands():
        grey[top : top + len(band)] = np.rint(np.clip(band, 0, 1) * 255)
    return picture.upright(grey)


def found_faces(finding: Finding) -> tuple[FaceResult, ...]:
    """The faces that a detector of faces judged, in the picture as viewers show it."""
    return tuple(
        FaceResult(box=tuple(one["face"]), view=tuple(one["box"]))
        for one in finding.details.get("faces", ())
    )


def words(finding: Finding, regions: tuple[Region, ...], contribution: float | None = None) -> str:
    """One line for people."""
    if finding.not_applicable is not None:
        return f"could not judge: {finding.not_applicable}"
    said = []
    if finding.mask is not None:
        share = finding.mask.share()
        said.append(f"marks {_marked(len(regions), share)}" if regions else "marks nothing")
    if contribution is not None:
        said.append(_weighed(contribution))
    return "; ".join(said) if said else "gives a score without a place"


def json_safe(value: Any) -> Any:
    """Plain Python of numpy and mappings; numbers that JSON lacks become None."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [json_safe(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _part(
    name: str, finding: Finding, picture: Picture, contribution: float | None
) -> DetectorEntry:
    from forensics.detectors.image.base import IMAGE_DETECTORS

    cls = IMAGE_DETECTORS.get(name)
    regions = shown_regions(finding, picture)
    return DetectorEntry(
        name=name,
        version=cls.version,
        runtime=cls.runtime,
        raw=finding.score,
        calibration="none",
        not_applicable=finding.not_applicable,
        contribution=contribution,
        details=json_safe(finding.details),
        says=words(finding, regions, contribution),
        regions=regions,
    )


def _marked(count: int, share: float) -> str:
    number = f"{count} or more" if count == MAX_REGIONS else str(count)
    return f"{number} region{'' if count == 1 else 's'}, {in_percent(share)} of the picture"


def _weighed(contribution: float) -> str:
    if abs(contribution) < _SILENT:
        return "says little either way"
    towards = "manipulation" if contribution < 0 else "a genuine picture"
    return f"speaks for {towards} (LLR {contribution:+.2f})"
