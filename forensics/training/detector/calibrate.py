"""Calibration and thresholds from scores of systems and speakers that no fit heard."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from forensics.detectors.calibration import Calibration, Threshold
from forensics.errors import UsageError
from forensics.evaluation.calibration import fit_affine, fit_threshold
from forensics.evaluation.metrics import eer
from forensics.evaluation.sweep import CLEAN
from forensics.training.detector.config import CalibrateConfig
from forensics.training.detector.held_out import Scored, concatenated

log = logging.getLogger(__name__)


class Scores(Protocol):
    """What is read of a fit: see `Fitted`."""

    @property
    def dev(self) -> Scored: ...
    @property
    def unheard(self) -> Scored | None: ...


LEAST_DEV = 5  # bona fide clips by which the scores of two networks are compared
UNHEARD = "speakers and systems that the network scored without having heard them"


@dataclass(frozen=True)
class Calibrated:
    """What a bundle says of its scores, and the raw scores behind it."""

    calibration: Calibration
    threshold: Threshold
    unheard: Scored


def calibrate(
    final: Scores,
    crossed: Sequence[Scores],
    config: CalibrateConfig,
    corpus_name: str,
    unheard: str = UNHEARD,
) -> Calibrated:
    """Fit both to what the crossed fits gave to the unheard, on the final network's scale.

    Thresholds are for the hardest system and for the channel in which real speech looks most
    forged: for all together, one that looks like the other class would pass far too often.

    Args:
        unheard: what the crossed fits scored, in words.

    Raises:
        UsageError: too few clips, or the networks do not tell the unheard apart.
    """
    everything = unheard_by(final, crossed)
    raw = everything.where(everything.channel == CLEAN)
    real, fake = raw.score[raw.is_bonafide], raw.score[~raw.is_bonafide]
    calibration = fit_affine(real, fake, f"files of {corpus_name}: {unheard}")
    hardest = _hardest(raw, config.target_fnr)
    worst, through_worst = _worst_channel(everything, config.target_fpr)
    threshold = fit_threshold(
        calibration.llr(through_worst),
        calibration.llr(raw.score[raw.system == hardest]),
        config.target_fpr,
        config.target_fnr,
        f"files of corpus {corpus_name}: {unheard}; spoofs: the hardest such system, {hardest}; "
        f"real speech: through the worst channel, {worst}",
    )
    error = eer(real, raw.score[raw.system == hardest]).value
    if error > config.vouch_below_eer:
        threshold = threshold.model_copy(update={"bonafide_below": None})
        log.warning(
            "%s was told apart at an EER of %.0f %%: bonafide is withheld", hardest, 100 * error
        )
    return Calibrated(calibration, threshold, raw)


def unheard_by(final: Scores, crossed: Sequence[Scores]) -> Scored:
    """What nobody heard who scored it, through all channels, on the final network's scale.

    Raises:
        UsageError: the dev split is too small to compare scales by.
    """
    mapped = [_on_scale_of(final, one) for one in crossed]
    return concatenated([final.dev.where(final.dev.is_bonafide), *mapped])


def _worst_channel(scored: Scored, target_fpr: float) -> tuple[str, np.ndarray]:
    """The channel through which that share of real speech scores lowest, and its scores."""
    real = scored.where(scored.is_bonafide)
    through = {name: real.score[real.channel == name] for name in sorted(set(real.channel))}
    worst = min(through, key=lambda name: float(np.quantile(through[name], target_fpr)))
    return worst, through[worst]


def _hardest(scored: Scored, target_fnr: float) -> str:
    """The system of which that share of forgeries scores highest."""
    return max(
        scored.systems(),
        key=lambda name: float(np.quantile(scored.score[scored.system == name], 1 - target_fnr)),
    )


def _on_scale_of(final: Scores, fitted: Scores) -> Scored:
    """What a network gave to the unheard, as if the final network had given it.

    Both scored the same real speech of the dev split: its mean and spread are made equal.
    """
    assert fitted.unheard is not None
    own, wanted = real_of_dev(fitted.dev), real_of_dev(final.dev)
    scale = float(wanted.std() / max(own.std(), 1e-9))
    return fitted.unheard.mapped(scale, float(wanted.mean() - scale * own.mean()))


def real_of_dev(dev: Scored) -> np.ndarray:
    """Scores of the real speech by which networks are compared.

    Raises:
        UsageError: too few.
    """
    real = dev.score[dev.is_bonafide]
    if len(real) < LEAST_DEV:
        raise UsageError(
            f"the dev split holds {len(real)} bona fide clips, at least {LEAST_DEV} are needed",
            "build the corpus from more recordings",
        )
    return real
