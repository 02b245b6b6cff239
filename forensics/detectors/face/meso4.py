"""Meso4, for comparison: the best known small detector of deepfake faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from forensics.detectors.bundle import Bundle
from forensics.detectors.face.base import FaceDetector, FaceScore
from forensics.detectors.image.base import register_image_detector
from forensics.detectors.image.network import bundle_for, trained
from forensics.errors import MissingRequirement

if TYPE_CHECKING:
    import torch

    from forensics.faces.tools import FaceTools
    from forensics.networks.meso4 import Meso4


@register_image_detector
class Meso4Detector(FaceDetector):
    """Raw score = logit of real, as published weights give it.

    Its authors cut upright squares by landmarks, about 2.9 times as long as the eyes lie apart or
    above the mouth. Here the window is cut around the box that the locator gives, not turned.
    """

    name: ClassVar[str] = "meso4"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "Published deepfake detector of 2018, four convolutions; a baseline"
    paper: ClassVar[str] = "MesoNet: Afchar, Nozick, Yamagishi and Echizen, WIFS 2018"
    needs_weights: ClassVar[bool] = True

    def __init__(self, bundle: Bundle, network: Meso4, device: torch.device, faces: FaceTools):
        import torch

        self.bundle, self.faces = bundle, faces
        self.side, self.margin = 256, 1.3
        self.runtime = f"torch {torch.__version__}, {device}"
        self._network, self._device = network, device

    @classmethod
    def from_folder(
        cls, folder: Path | None, device: str = "cpu", threads: int | None = None
    ) -> Self:
        if folder is None:
            raise MissingRequirement(
                "meso4 needs weights",
                "get Meso4_DF.h5 of MesoNet, then forensics import-weights meso4 Meso4_DF.h5 "
                "--out meso4 and name that folder",
            )

        from forensics.faces.tools import open_faces
        from forensics.networks.meso4 import Meso4

        bundle = bundle_for(cls, folder)
        network, chosen = trained(Meso4, bundle, device, threads)
        return cls(bundle, network, chosen, open_faces(None))

    def judge(self, crops: np.ndarray) -> list[FaceScore]:
        import torch

        # One at a time: a score then does not depend on the other faces to the last bit.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            batches = torch.from_numpy(crops).permute(0, 3, 1, 2).split(1)
            logits = [self._network(one.to(self._device).float() / 255) for one in batches]
        return [FaceScore(float(logit)) for logit in logits]
