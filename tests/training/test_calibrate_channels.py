"""Thresholds hold in the channel in which real speech looks most forged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from forensics.training.detector.calibrate import calibrate
from forensics.training.detector.config import CalibrateConfig
from forensics.training.detector.fitted import Fitted
from forensics.training.detector.held_out import Scored, concatenated

LEAVE_OUT = (("a",), ("b",))


def scored(values: np.ndarray, system: str, channel: str = "clean") -> Scored:
    count = len(values)
    groups = np.array([f"s{i}" for i in range(count)])
    return Scored(values, np.full(count, system), groups, np.full(count, channel))


def fitted(unheard: Scored | None) -> Fitted:
    dev = scored(np.linspace(0.0, 2.0, 41), "bonafide")
    return Fitted(Path(), {}, {}, 0.1, 1, dev, unheard, None)


def crossed(shift: float) -> list[Fitted]:
    """Two fits; real speech through `mp3` scores `shift` lower than clean."""
    real = np.linspace(0.0, 2.0, 99)
    return [
        fitted(
            concatenated(
                [
                    scored(real, "bonafide"),
                    scored(real - shift, "bonafide", "mp3"),
                    scored(np.linspace(-3.0, 0.5, 60), system),
                ]
            )
        )
        for system in ("a", "b")
    ]


def test_alarm_is_as_rare_as_wanted_in_the_worst_channel() -> None:
    config = CalibrateConfig(leave_out=LEAVE_OUT, target_fpr=0.05, channels=("mp3",))
    shifted = calibrate(fitted(None), crossed(1.0), config, "c")
    unshifted = calibrate(fitted(None), crossed(0.0), config, "c")
    assert shifted.threshold.manipulated_above > unshifted.threshold.manipulated_above
    # 198 real clips through mp3 on an even grid: 5 % lie below -1 + 0.05 * 2.
    cut = shifted.calibration.llr(np.array([-0.9]))
    expected = 1 / (1 + np.exp(cut[0]))
    assert shifted.threshold.manipulated_above == pytest.approx(expected, abs=0.02)
    assert "mp3" in shifted.threshold.origin
    # The scale itself comes from clean clips alone.
    assert shifted.calibration == unshifted.calibration
    assert shifted.unheard.score.size == unshifted.unheard.score.size == 41 + 2 * 99 + 2 * 60


def test_channels_that_do_not_exist_are_named() -> None:
    with pytest.raises(ValidationError, match="no such channel: 'fax'; there are: opus"):
        CalibrateConfig(leave_out=LEAVE_OUT, channels=("fax",))
