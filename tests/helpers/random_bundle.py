"""Weights folders of random networks, saved as training saves them."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from forensics.detectors.base import DETECTORS
from forensics.detectors.bundle import Bundle, BundleCard
from forensics.networks.export import exported


def save(name: str, network: nn.Module, folder: Path, window_samples: int) -> Path:
    """The network of the detector `name`, without calibration."""
    architecture, tensors = exported(network)
    card = BundleCard(
        detector=name,
        detector_version=DETECTORS.get(name).version,
        architecture=architecture,
        sampling_rate=16_000,
        window_samples=window_samples,
        trained_on="nothing",
        licence="CC0-1.0",
    )
    Bundle.save(folder, card, tensors)
    return folder
