"""The learned localiser: a mask and a score, from traces that set a place apart from the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from forensics.detectors.bundle import Bundle
from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.network import bundle_for, trained
from forensics.detectors.image.planes import spread
from forensics.detectors.network_detector import checked_architecture
from forensics.errors import MissingRequirement
from forensics.media.image import Picture

if TYPE_CHECKING:
    import torch

    from forensics.networks.localiser.network import Localiser

LEAST_SIDE = 64


@register_image_detector
class LocaliserDetector(ImageDetector):
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
    needs_weights: ClassVar[bool] = True
    runtime: str = "torch"

    def __init__(self, bundle: Bundle, network: Localiser, device: torch.device):
        import torch

        self.bundle = bundle
        self.runtime = f"torch {torch.__version__}, {device}"
        self._network, self._device = network, device

    @classmethod
    def from_folder(
        cls, folder: Path | None, device: str = "cpu", threads: int | None = None
    ) -> Self:
        from forensics.networks.localiser.network import Localiser, LocaliserConfig

        if folder is None:
            raise MissingRequirement(
                "the localiser needs weights",
                "name a folder that forensics train configs/localiser-small.yaml wrote",
            )
        bundle = bundle_for(cls, folder)
        config = checked_architecture(LocaliserConfig, bundle.config.architecture, cls.name)
        network, chosen = trained(lambda: Localiser(config), bundle, device, threads)
        return cls(bundle, network, chosen)

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
