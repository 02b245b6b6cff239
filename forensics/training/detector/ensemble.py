"""Fits of several networks as the fit of one ensemble.

Every member is fitted as it would be alone, on everything and once for each fold of the
calibration. Its scores are standardised by the real speech of the dev split, and the mean over the
members is what is calibrated, measured and written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from forensics.detectors.speech.ensemble import new_member
from forensics.errors import UsageError
from forensics.networks.ensemble import EnsembleConfig, EnsembleMember
from forensics.training.detector.calibrate import real_of_dev
from forensics.training.detector.fitted import Fitted
from forensics.training.detector.held_out import Scored

_CLIP = ("system", "group", "channel")


def joined(detectors: Sequence[str], fits: Sequence[Fitted]) -> Fitted:
    """Fits of the members, all of one fold, as one fit of the ensemble.

    Args:
        detectors: whose networks the members are.

    Raises:
        UsageError: too little real speech to put the scores on one scale, or not the same clips.
    """
    scales, offset = [], 0.0
    for fit in fits:
        real = real_of_dev(fit.dev)
        scale = 1 / (len(fits) * max(float(real.std()), 1e-9))
        scales.append(scale)
        offset -= scale * float(real.mean())
    config = EnsembleConfig(
        members=tuple(
            EnsembleMember(**new_member(detector, fit.architecture), scale=scale)
            for detector, fit, scale in zip(detectors, fits, scales, strict=True)
        ),
        offset=offset,
    )
    dev = _summed([fit.dev for fit in fits], scales, offset)
    assert dev is not None
    errors = [error for error, _ in dev.by_system().values()]
    return Fitted(
        folder=fits[0].folder.parent,
        architecture=config.model_dump(mode="json"),
        weights={
            f"members.{index}.{key}": tensor
            for index, fit in enumerate(fits)
            for key, tensor in fit.weights.items()
        },
        dev_eer=float(np.mean(errors)) if errors else float("nan"),
        steps=sum(fit.steps for fit in fits),
        dev=dev,
        unheard=_summed([fit.unheard for fit in fits], scales, offset),
        test=_summed([fit.test for fit in fits], scales, offset),
    )


def _summed(
    parts: Sequence[Scored | None], scales: Sequence[float], offset: float
) -> Scored | None:
    """The members' scores of the same clips, in the same order, added up."""
    present = [part for part in parts if part is not None]
    if not present:
        return None
    first = present[0]
    for part in present:
        same = (np.array_equal(getattr(first, of), getattr(part, of)) for of in _CLIP)
        if not all(same):
            raise UsageError(
                "the members scored other clips, or in another order: they were fitted by other "
                "numbers of processes",
                "remove the folder fits/ and call it again",
            )
    total = sum(scale * part.score for scale, part in zip(scales, present, strict=True))
    return replace(first, score=np.asarray(total) + offset)
