"""One verdict from several detectors: what each says, weighed by how much it was worth.

Each part gives a raw score and the share of the picture that it marks. A logistic regression on
both, fitted by `forensics train image-fusion` on pictures that no part was trained on, adds what
they are worth (Brümmer et al., IEEE TASLP 15(7), 2007, fuse speaker detectors so). What a part
cannot judge adds nothing, neither for nor against. A picture is forged one way or another: an edit
that was pasted back and a frame that was made anew leave other traces, so each of these modes has
weights of its own, and the score is the likelihood ratio of their mixture.

The heatmap is that of the learned part; without one it is the mean of what the others say, kept
below 0.5, because their maps are not calibrated. It is raised to at least 0.75 where a part without
weights marks something and what it says is worth a nat or more towards manipulation. The mask is
the learned part's, and those raised places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from forensics.detectors.bundle import WEIGHTS, Bundle
from forensics.detectors.image.base import (
    IMAGE_DETECTORS,
    Finding,
    ImageDetector,
    register_image_detector,
)
from forensics.detectors.image.network import bundle_for
from forensics.detectors.image.planes import Plane
from forensics.errors import CorpusError, UsageError
from forensics.media.image import Picture

RAISED = 0.75
FAINT = 0.49  # the most that a mean of maps that nobody calibrated says
SURE = -1.0  # nats towards manipulation from which a part's mask raises the heatmap
REACH = 4.0  # spreads from the centre beyond which a figure counts no further
_LEAST_AREA = 1e-5


def figures(finding: Finding) -> tuple[float, float]:
    """A part's raw score and log10 of the share that it marks; NaN for what it does not say."""
    if finding.score is None:
        return float("nan"), float("nan")
    if finding.mask is None:
        return finding.score, float("nan")
    return finding.score, float(np.log10(max(finding.mask.share(), _LEAST_AREA)))


@dataclass(frozen=True)
class FusionModel:
    """For each of K modes `bias + sum of weight * clip((figure - centre) / spread)` over the
    figures that are there: the LLR of pristine against forged so. Together: of forged at all.

    Attributes:
        centre, spread: float64 (P, 2), of each part's score and area.
        weight: float64 (K, P, 2).
        bias: float64 (K,).
    """

    centre: np.ndarray
    spread: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def weighs(self, parts: int) -> bool:
        """Whether its arrays are of so many parts."""
        of_parts = self.centre.shape == self.spread.shape == (parts, 2)
        return of_parts and self.bias.ndim == 1 and self.weight.shape == (len(self.bias), parts, 2)

    def standardised(self, found: np.ndarray) -> np.ndarray:
        """Figures (..., P, 2), NaN where absent → bounded, and 0 where absent."""
        return np.nan_to_num(np.clip((found - self.centre) / self.spread, -REACH, REACH))

    def by_mode(self, found: np.ndarray) -> np.ndarray:
        """Figures (..., P, 2) → LLRs against each mode (..., K)."""
        return np.einsum("...pf,kpf->...k", self.standardised(found), self.weight) + self.bias

    def contributions(self, found: np.ndarray) -> np.ndarray:
        """Figures (..., P, 2) → what each part adds (..., P), higher = bona fide: the score less
        what it would be without that part."""
        whole, added = self.scores(found), []
        for part in range(found.shape[-2]):
            without = found.copy()
            without[..., part, :] = np.nan
            added.append(whole - self.scores(without))
        return np.stack(added, axis=-1)

    def scores(self, found: np.ndarray) -> np.ndarray:
        """Figures (..., P, 2) → raw scores (...)."""
        return -np.logaddexp.reduce(-self.by_mode(found), axis=-1)

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in ("centre", "spread", "weight", "bias")}


@register_image_detector
class ImageFusion(ImageDetector):
    name = "image-fusion"
    version = "2"
    licence = "Apache-2.0"
    summary = "the learned parts and the classical methods together, calibrated"
    paper = "logistic fusion as in Brümmer et al., IEEE TASLP 15(7), 2007"
    needs_weights = True

    def __init__(self, bundle: Bundle, model: FusionModel, parts: Sequence[ImageDetector]):
        self.bundle, self._model, self._parts = bundle, model, tuple(parts)
        self.runtime = "; ".join(dict.fromkeys(part.runtime for part in self._parts))

    @classmethod
    def from_folder(
        cls, folder: Path | None, device: str = "cpu", threads: int | None = None
    ) -> Self:
        """Reads `folder`; the weights of a part called NAME lie in `folder/NAME`.

        Raises:
            MissingRequirement: there are no weights, or no such device.
            CorpusError: weights, a part's too, that do not match their hash.
            UsageError: they were fitted with parts of another version.
        """
        from safetensors.numpy import load_file

        bundle = bundle_for(cls, folder or Path())
        listed = _listed(bundle)
        arrays = load_file(bundle.folder / WEIGHTS)
        try:
            model = FusionModel(**{name: array.astype(float) for name, array in arrays.items()})
        except TypeError as error:
            raise CorpusError(
                f"{bundle.folder}: not the weights of a fusion", "get the weights again"
            ) from error
        if not model.weighs(len(listed)):
            what = f"{bundle.folder}: weights of {model.weight.shape}, {len(listed)} parts listed"
            raise CorpusError(what, "get the weights again")
        parts = [_part(bundle.folder, one, device, threads) for one in listed]
        return cls(bundle, model, parts)

    def examine(self, picture: Picture) -> Finding:
        said: dict[str, Finding] = {}
        base: Finding | None = None
        hints: list[Plane] = []
        for part in self._parts:
            finding = part.examine(picture)
            if base is None and finding.heatmap is not None:
                hints.append(finding.heatmap)
                if part.needs_weights:
                    base = finding
                    hints.clear()  # what draws a map may hold much
            said[part.name] = replace(finding, heatmap=None)
        found = np.array([figures(finding) for finding in said.values()])
        if np.isnan(found[:, 0]).all():
            first = next(finding.not_applicable for finding in said.values())
            why = f"none of {len(said)} methods can judge it; {self._parts[0].name}: {first}"
            return Finding(None, why, parts=said)
        worth = self._model.contributions(found)
        contributions = {
            name: float(worth[place])
            for place, name in enumerate(said)
            if np.isfinite(found[place, 0])
        }
        sure = [
            mask
            for part in self._parts
            if not part.needs_weights
            and (mask := said[part.name].mask) is not None
            and contributions.get(part.name, 0.0) <= SURE
        ]
        shape = picture.height, picture.width
        heatmap = None if base is None else base.heatmap
        return Finding(
            float(self._model.scores(found)),
            heatmap=_raised(heatmap or _faint(hints, len(self._parts), shape), sure),
            mask=_any([*([] if base is None or base.mask is None else [base.mask]), *sure], shape),
            details={"contributions": contributions},
            parts=said,
        )


def _faint(hints: Sequence[Plane], count: int, shape: tuple[int, int]) -> Plane:
    """The mean of what `count` parts say, those that say nothing as 0, kept below 0.5."""

    def rows(top: int, bottom: int) -> np.ndarray:
        total = np.zeros((bottom - top, shape[1]), np.float32)
        for hint in hints:
            total += hint.rows(top, bottom) / count
        return FAINT * total

    return Plane(shape, rows)


def _raised(heatmap: Plane, sure: Sequence[Plane]) -> Plane:
    """At least `RAISED` wherever one of the masks marks."""

    def rows(top: int, bottom: int) -> np.ndarray:
        heat = heatmap.rows(top, bottom)
        for mask in sure:
            raised = np.maximum(heat, np.float32(RAISED))
            heat = np.where(mask.rows(top, bottom), raised, heat)
        return heat

    return Plane(heatmap.shape, rows)


def _any(masks: Sequence[Plane], shape: tuple[int, int]) -> Plane:
    """Wherever one of the masks marks."""

    def rows(top: int, bottom: int) -> np.ndarray:
        marked = np.zeros((bottom - top, shape[1]), bool)
        for mask in masks:
            marked |= mask.rows(top, bottom)
        return marked

    return Plane(shape, rows)


def _listed(bundle: Bundle) -> list[dict[str, Any]]:
    parts = bundle.config.architecture.get("parts")
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
        raise UsageError(f"{bundle.folder} lists no parts to fuse", "get the weights again")
    return parts  # pyright: ignore[reportReturnType]


def _part(
    folder: Path, listed: Mapping[str, Any], device: str, threads: int | None
) -> ImageDetector:
    cls = IMAGE_DETECTORS.get(str(listed.get("name")))
    if cls.version != listed.get("version"):
        raise UsageError(
            f"{folder} was fitted with {cls.name} {listed.get('version')}, this is {cls.version}",
            "fit the fusion again: forensics train image-fusion",
        )
    part = cls.from_folder(folder / cls.name if cls.needs_weights else None, device, threads)
    found = part.bundle.weights_sha256 if part.bundle else None
    if found != listed.get("weights_sha256"):
        raise CorpusError(
            f"{folder / cls.name} holds other weights than the fusion was fitted with",
            "get the weights again",
        )
    return part
