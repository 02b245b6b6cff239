"""A detector that needs no training: louder is more bona fide. Its scores can be worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from forensics.detectors.base import SpeechDetector
from forensics.detectors.bundle import Bundle, BundleConfig
from forensics.detectors.calibration import Calibration, Threshold

CALIBRATION = Calibration(scale=0.5, offset=0.0, n_bonafide=20, n_spoof=20, fitted_on="a test")
THRESHOLD = Threshold(
    bonafide_below=0.3,
    manipulated_above=0.7,
    target_fpr=0.05,
    target_fnr=0.05,
    n_bonafide=20,
    n_spoof=20,
    measured_fpr=0.05,
    measured_fpr_interval=(0.0, 0.2),
    origin="a test",
)


class Loudness(SpeechDetector):
    """Raw score: dB of the window's RMS above -26 dBFS, times `slope`."""

    name, version, licence, summary = "loudness", "1", "none", "a test"
    window_samples = 16_000

    def __init__(self, name="loudness", slope=1.0, calibration=CALIBRATION, weights="0" * 64):
        self.name, self.slope, self.scored = name, slope, 0  # pyright: ignore
        config = BundleConfig(
            detector=name,
            detector_version="1",
            architecture={},
            sampling_rate=16_000,
            window_samples=self.window_samples,
            calibration=calibration,
            thresholds=() if calibration is None else (THRESHOLD,),
            trained_on="nothing",
            licence="none",
            weights_sha256=weights,
        )
        self.bundle = Bundle(Path(), config)

    @classmethod
    def from_folder(cls, folder, device="cpu"):
        raise NotImplementedError

    def score(self, windows):
        self.scored += len(windows)
        rms = np.sqrt(np.square(windows, dtype=np.float64).mean(axis=1))
        return self.slope * (20 * np.log10(rms) + 26)


def tone(level_db: float, seconds: float = 1.0, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    """Noise with an RMS of `level_db` dBFS; at -26 dB its raw score is 0."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (samples / samples.std() * 10 ** (level_db / 20)).astype(np.float32)
