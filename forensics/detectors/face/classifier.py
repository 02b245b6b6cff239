"""The trained classifier of forged faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from forensics.detectors.bundle import Bundle
from forensics.detectors.face.base import FaceDetector, FaceScore
from forensics.detectors.image.base import register_image_detector
from forensics.detectors.image.network import bundle_for, trained
from forensics.detectors.network_detector import checked_architecture
from forensics.errors import MissingRequirement

if TYPE_CHECKING:
    import torch

    from forensics.faces.tools import FaceTools
    from forensics.networks.face_classifier import FaceClassifier


@register_image_detector
class FaceClassifierDetector(FaceDetector):
    """Raw score = logit of real; heatmap 0.5 = the cut that was best on held-out forgeries."""

    name: ClassVar[str] = "face-classifier"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "Trained network on face crops: traces of blends and of engines"
    paper: ClassVar[str] = (
        "own design; self-blended images: Shiohara and Yamasaki, CVPR 2022; SRM: Fridrich and "
        "Kodovský 2012"
    )
    needs_weights: ClassVar[bool] = True

    def __init__(
        self, bundle: Bundle, network: FaceClassifier, device: torch.device, faces: FaceTools
    ):
        import torch

        self.bundle, self.faces = bundle, faces
        self.side, self.margin = network.config.side, network.config.margin
        self.runtime = f"torch {torch.__version__}, {device}"
        self._network, self._device = network, device

    @classmethod
    def from_folder(
        cls, folder: Path | None, device: str = "cpu", threads: int | None = None
    ) -> Self:
        if folder is None:
            raise MissingRequirement(
                "the face classifier needs weights",
                "name a folder that forensics train face-classifier --shards CORPUS wrote",
            )
        from forensics.faces.tools import open_faces
        from forensics.networks.face_classifier import FaceClassifier, FaceClassifierConfig

        bundle = bundle_for(cls, folder)
        config = checked_architecture(FaceClassifierConfig, bundle.config.architecture, cls.name)
        network, chosen = trained(lambda: FaceClassifier(config), bundle, device, threads)
        return cls(bundle, network, chosen, open_faces(None))

    def judge(self, crops: np.ndarray) -> list[FaceScore]:
        import torch

        found = []
        # One at a time: a score then does not depend on the other faces to the last bit.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for crop in torch.from_numpy(crops).permute(0, 3, 1, 2).split(1):
                judged = self._network(crop.to(self._device).float())
                heatmap = torch.sigmoid(judged.logits[0, 0] - self._network.cut)
                found.append(FaceScore(float(judged.score), heatmap.float().cpu().numpy()))
        return found
