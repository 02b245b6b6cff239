"""Whether a generator's decoder made the whole picture anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from forensics.detectors.image.base import Finding, register_image_detector
from forensics.detectors.image.network import NetworkImageDetector
from forensics.detectors.network_detector import checked_architecture
from forensics.media.image import Picture

if TYPE_CHECKING:
    from forensics.networks.regeneration import Regeneration

LEAST_SIDE = 96


@register_image_detector
class RegenerationDetector(NetworkImageDetector["Regeneration"]):
    """Raw score = logit of not made anew. It says nothing of places, and nothing of edits that were
    pasted back: those are the localiser's."""

    name: ClassVar[str] = "regeneration"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "Trained network: did a generator's decoder make the picture anew?"
    paper: ClassVar[str] = "own design, on the statistics that the localiser looks at"
    made_by: ClassVar[str] = "forensics train regeneration --shards CORPUS"

    @classmethod
    def network(cls, architecture: Mapping[str, Any]) -> Regeneration:
        from forensics.networks.regeneration import Regeneration, RegenerationConfig

        return Regeneration(checked_architecture(RegenerationConfig, architecture, cls.name))

    def examine(self, picture: Picture) -> Finding:
        import torch

        from forensics.networks.regeneration import picture_planes, statistics

        if min(picture.height, picture.width) < LEAST_SIDE:
            return Finding(
                None,
                f"{picture.width} x {picture.height} pixels: at least {LEAST_SIDE} are needed "
                "along each side",
            )
        table = picture.quantisation[0] if picture.quantisation else None
        planes = picture_planes(self._network.traces, picture.pixels, table, self._device)
        row = torch.from_numpy(statistics(planes, table))[None].to(self._device)
        with torch.inference_mode():
            score = float(self._network(row).double())
        return Finding(score, details={"windows": len(planes), "table_known": table is not None})
