"""The learned localiser: a mask and a score, from traces that set a place apart from the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from forensics.detectors.bundle import Bundle
from forensics.detectors.image.base import Finding, register_image_detector
from forensics.detectors.image.network import NetworkImageDetector
from forensics.detectors.image.planes import spread
from forensics.detectors.network_detector import checked_architecture
from forensics.media.image import Picture

if TYPE_CHECKING:
    import torch

    from forensics.networks.localiser.network import Localiser

LEAST_SIDE = 64


@register_image_detector
class LocaliserDetector(NetworkImageDetector["Localiser"]):
    """Raw score = logit of bona fide; heatmap 0.5 = the cut that was best on held-out edits.

    Pictures go through in tiles, so that memory beyond the picture and its heatmap does not grow
    with their size. Everything is in the stored orientation, where block grids lie.
    """

    name: ClassVar[str] = "localiser"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "Trained network: residuals, DCT histograms, compared with the picture"
    paper: ClassVar[str] = (
        "own design; SRM: Fridrich and Kodovský 2012, constrained convolution: Bayar and Stamm "
        "2016, DCT histograms: Kwon et al. 2022"
    )
    made_by: ClassVar[str] = "forensics train localiser-small --shards CORPUS"

    @classmethod
    def network(cls, architecture: Mapping[str, Any]) -> Localiser:
        from forensics.networks.localiser.network import Localiser, LocaliserConfig

        return Localiser(checked_architecture(LocaliserConfig, architecture, cls.name))

    def __init__(self, bundle: Bundle, network: Localiser, device: torch.device):
        super().__init__(bundle, network, device)
        network.quicken()

    def examine(self, picture: Picture) -> Finding:
        import torch

        from forensics.networks.localiser.network import FINE
        from forensics.networks.localiser.tiles import chances, localise

        height, width = picture.height, picture.width
        if min(height, width) < LEAST_SIDE:
            return Finding(
                None,
                f"{width} x {height} pixels: at least {LEAST_SIDE} are needed along each side",
            )
        table = picture.quantisation[0] if picture.quantisation else None
        # TF32 would move scores by more than rounding.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found = localise(self._network, picture.pixels, table, self._device)
        heat = spread(chances(found.logits), FINE, (height, width))
        mask = heat.above(0.5)
        return Finding(
            found.score,
            heatmap=heat,
            mask=mask,
            details={
                "share": round(mask.share(), 6),
                "tiles": found.tiles,
                "table_known": table is not None,
            },
        )
