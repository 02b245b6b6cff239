"""What a trained model's answers mean, from people of whom it was taught nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from forensics import shards
from forensics.detectors.calibration import Calibration, Threshold
from forensics.detectors.face.vlm import FaceVlmDetector
from forensics.evaluation.calibration import fit_where_possible
from forensics.faces.base import Face
from forensics.faces.tools import open_faces
from forensics.media.image import read_image
from forensics.networks.vlm.face_vlm import FaceVlm
from forensics.shards.format import Item
from forensics.training.face_classifier.crops import box_of
from forensics.training.localiser.held_out import chosen
from forensics.training.vlm.config import VlmTrainConfig

log = logging.getLogger(__name__)


def calibrated(
    vlm: FaceVlm, corpus: str, name: str, config: VlmTrainConfig
) -> tuple[Calibration | None, Threshold | None]:
    """Both from answers about the dev split, asked as a verdict asks, of the faces that the corpus
    names.

    The engines of that split were trained on, so the threshold may raise an alarm and not vouch
    for a photo.

    Args:
        vlm: trained, with the card that is stored.
        name: of the corpus.

    Returns:
        None for what the answers do not allow: they are no better than chance, or too few.
    """
    wanted = config.calibrate
    if wanted is None:
        return None, None
    photos = shards.open(corpus, "dev", shuffle=False, rank=0, world_size=1)
    real, fake = _scores(vlm, chosen(photos.whole(), wanted.pictures), config)
    calibration, threshold = fit_where_possible(
        real, fake, wanted.target_fpr, wanted.target_fnr, _words(name, config)
    )
    if calibration is None:
        log.warning("the answers are no better than chance on the dev split: not calibrated")
    if threshold is not None:
        threshold = threshold.model_copy(update={"bonafide_below": None})
    return calibration, threshold


def _scores(
    vlm: FaceVlm, photos: list[Item], config: VlmTrainConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Of the real ones and of the forged ones; without those that got no answer."""
    detector = FaceVlmDetector(vlm, Path(config.base), open_faces(config.faces))
    found: dict[bool, list[float]] = {True: [], False: []}
    for item in photos:
        finding = detector.examine_faces(read_image(item.media), [Face(box_of(item.meta))])
        if finding.score is not None:
            found[item.meta.label == "bonafide"].append(finding.score)
    return np.array(found[True]), np.array(found[False])


def _words(name: str, config: VlmTrainConfig) -> str:
    base = f", base in {config.quantisation}" if config.quantisation else ""
    return f"pictures of {name}, dev split{base}: unseen people, engines that were trained on"
