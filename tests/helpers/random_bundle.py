"""Weights folders of random networks, saved as training saves them."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from forensics.detectors.base import DETECTORS
from forensics.detectors.bundle import Bundle, BundleCard
from forensics.detectors.image.base import IMAGE_DETECTORS
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


def save_for_pictures(name: str, network: nn.Module, folder: Path) -> Path:
    """The network of the image detector `name`, without calibration; its `config` describes it."""
    card = BundleCard(
        detector=name,
        detector_version=IMAGE_DETECTORS.get(name).version,
        architecture=network.config.model_dump(mode="json") if hasattr(network, "config") else {},
        trained_on="nothing",
        licence="CC0-1.0",
    )
    Bundle.save(folder, card, dict(network.state_dict()))
    return folder
