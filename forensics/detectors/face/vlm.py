"""A vision-language model asked about any face: is this a real photo of a face?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from forensics.detectors.face.base import MOST_FACES, JudgesFaces
from forensics.detectors.face.vlm_calibration import VlmCalibration
from forensics.detectors.image.base import Finding, Known, Words, register_image_detector
from forensics.errors import MissingRequirement
from forensics.media.image import Picture

if TYPE_CHECKING:
    from forensics.faces.base import Face
    from forensics.faces.tools import FaceTools
    from forensics.networks.vlm.card import VlmCard
    from forensics.networks.vlm.face_vlm import FaceVlm


@register_image_detector
class FaceVlmDetector(JudgesFaces):
    """Raw score = logit of yes less logit of no. Its folder is what `forensics train` wrote of a
    detection adapter, with a calibration; or a base model, which was never taught to tell forgeries
    and has none."""

    name: ClassVar[str] = "face-vlm"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0; the model's own terms"
    summary: ClassVar[str] = "Vision-language model with a detection adapter, asked about faces"
    paper: ClassVar[str] = "Xu et al., AAAI 2026 (arXiv 2504.09439); score and views are ours"
    needs_weights: ClassVar[bool] = True

    def __init__(
        self, vlm: FaceVlm, folder: Path, faces: FaceTools, says: VlmCalibration | None = None
    ):
        self.vlm, self.folder, self.faces, self._says = vlm, folder, faces, says
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
        vlm = open_vlm(folder, device)
        says = VlmCalibration.load(folder, vlm.card.tensors_sha256) if _trained(folder) else None
        return cls(vlm, folder, open_faces(None), says)

    @classmethod
    def known_of(cls, folder: Path | None) -> Known:
        if folder is None:
            return Known()
        if not _trained(folder):
            from forensics.scenes.pretrained import weights_digest

            return Known(weights_digest(str(folder)))
        from forensics.networks.vlm.card import VlmFolder

        card = VlmFolder.load(folder).card
        return _known(card, VlmCalibration.load(folder, card.tensors_sha256))

    @property
    def known(self) -> Known:
        return _known(self.vlm.card, self._says)

    def examine_faces(self, picture: Picture, found: Sequence[Face]) -> Finding:
        from forensics.identity.looking import SeenFace
        from forensics.identity.views import view_of
        from forensics.networks.vlm.prompts import Question

        if not found:
            return Finding(None, "no face was found")
        pixels = picture.upright(picture.pixels)
        faces = [SeenFace(face) for face in found[:MOST_FACES]]
        views = [view_of(pixels, faces, i, self.vlm.card) for i in range(len(faces))]
        scores = self.vlm.score([v.pixels for v in views], [Question("real")] * len(views))
        if not np.isfinite(scores).all():
            return Finding(None, "the model's answer has neither a yes nor a no")
        worst = int(scores.argmin())
        told = [
            {"box": list(view.box), "face": list(face.face.box), "score": round(float(score), 4)}
            for view, face, score in zip(views, faces, scores, strict=True)
        ]
        details = {"box": told[worst]["box"], "faces": told, "faces_found": len(found)}
        return Finding(float(scores[worst]), details=details)

    def explain(self, picture: Picture, finding: Finding, genuine: bool) -> Words | None:
        from forensics.networks.vlm.prompts import Question

        left, top, right, bottom = finding.details["box"]
        view = picture.upright(picture.pixels)[top:bottom, left:right]
        text = self.vlm.explain(np.ascontiguousarray(view), Question("real"), genuine)
        return Words(text, str(self.folder), str(self.vlm.card.prompts))


def _trained(folder: Path) -> bool:
    from forensics.networks.vlm.card import CARD

    return (folder / CARD).is_file()


def _known(card: VlmCard, says: VlmCalibration | None) -> Known:
    own = card.adapter is not None or card.lora is not None
    sha256 = card.tensors_sha256 if own else card.base_sha256
    if says is None:
        return Known(sha256, limits=card.limits)
    return Known(sha256, says.calibration, says.threshold, card.limits)
