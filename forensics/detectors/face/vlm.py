"""A vision-language model asked about any face: is this a real photo of a face?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from forensics.detectors.face.base import FaceDetector, FaceScore
from forensics.detectors.image.base import Finding, Words, register_image_detector
from forensics.errors import MissingRequirement
from forensics.media.image import Picture

if TYPE_CHECKING:
    from forensics.faces.tools import FaceTools
    from forensics.networks.vlm.face_vlm import FaceVlm


@register_image_detector
class FaceVlmDetector(FaceDetector):
    """Raw score = logit of yes less logit of no. Its folder is what `forensics train` wrote of a
    detection adapter, or a base model, which was never taught to tell forgeries."""

    name: ClassVar[str] = "face-vlm"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0; the model's own terms"
    summary: ClassVar[str] = "Vision-language model with a detection adapter, asked about faces"
    paper: ClassVar[str] = "Xu et al., AAAI 2026 (arXiv 2504.09439); score and views are ours"
    needs_weights: ClassVar[bool] = True
    side: int = 336
    margin = 3.5

    def __init__(self, vlm: FaceVlm, folder: Path, faces: FaceTools):
        self.vlm, self.folder, self.faces = vlm, folder, faces
        self.runtime = f"{vlm.card.base}, {vlm.device}, adapter {vlm.card.tensors_sha256[:12]}"

    @classmethod
    def from_folder(
        cls, folder: Path | None, device: str = "cpu", threads: int | None = None
    ) -> Self:
        if folder is None:
            raise MissingRequirement(
                "face-vlm needs a model",
                "name with --weights what training wrote, or the folder of a base model",
            )
        import torch

        from forensics.faces.tools import open_faces
        from forensics.networks.vlm.loading import open_vlm

        if threads is not None:
            torch.set_num_threads(threads)
        return cls(open_vlm(folder, device), folder, open_faces(None))

    def judge(self, crops: np.ndarray) -> list[FaceScore]:
        from forensics.networks.vlm.prompts import Question

        scores = self.vlm.score(list(crops), [Question("real")] * len(crops))
        return [FaceScore(float(score)) for score in scores]

    def explain(self, picture: Picture, finding: Finding, genuine: bool) -> Words | None:
        from forensics.networks.vlm.prompts import Question

        left, top, right, bottom = finding.details["box"]
        view = picture.upright(picture.pixels)[top:bottom, left:right]
        text = self.vlm.explain(np.ascontiguousarray(view), Question("real"), genuine)
        return Words(text, str(self.folder), str(self.vlm.card.prompts))
