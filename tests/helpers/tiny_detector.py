"""A real AASIST-L with few channels and random weights, saved and loaded as any other."""

from __future__ import annotations

from pathlib import Path

from forensics.detectors.bundle import Bundle, BundleCard
from forensics.detectors.calibration import Calibration, Threshold

CALIBRATION = Calibration(scale=2.0, offset=0.1, n_bonafide=20, n_spoof=20, fitted_on="a test")
THRESHOLD = Threshold(
    bonafide_below=0.3,
    manipulated_above=0.6,
    target_fpr=0.05,
    target_fnr=0.1,
    n_bonafide=20,
    n_spoof=20,
    measured_fpr=0.05,
    measured_fpr_interval=(0.001, 0.25),
    origin="a test",
)


def save(
    folder: Path,
    calibration: Calibration | None = CALIBRATION,
    thresholds: tuple[Threshold, ...] = (THRESHOLD,),
) -> Path:
    import torch

    from forensics.detectors.speech.aasist import AasistLDetector

    architecture = {
        "channels": [2, 2, 2, 2, 2, 2],
        "graph_channels": 2,
        "pool_ratios": [0.4, 0.5, 0.7],
    }
    torch.manual_seed(0)
    card = BundleCard(
        detector=AasistLDetector.name,
        detector_version=AasistLDetector.version,
        architecture=architecture,
        sampling_rate=16_000,
        window_samples=64_600,
        calibration=calibration,
        thresholds=thresholds,
        trained_on="nothing",
        licence="Apache-2.0",
    )
    Bundle.save(folder, card, AasistLDetector.network(architecture).state_dict())
    return folder
