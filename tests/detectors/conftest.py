"""Weights folders that several tests of detectors share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def published(shared_data, tmp_path_factory):
    """`published("AASIST")` → the weights folder made from that published checkpoint."""
    from forensics.detectors.importing import import_checkpoint

    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            target = tmp_path_factory.mktemp("weights") / name
            source = shared_data("weights/aasist") / f"{name}.pth"
            assert import_checkpoint("aasist", source, target).keys == 229
            made[name] = target
        return made[name]

    return folder


@pytest.fixture(scope="session")
def random_card():
    """The card of an AASIST-L with random weights."""
    from forensics.detectors.bundle import BundleCard

    return BundleCard(
        detector="aasist-l",
        detector_version="1",
        architecture={
            "channels": [32, 32, 24, 24, 24, 24],
            "pool_ratios": [0.4, 0.5, 0.7],
        },
        sampling_rate=16_000,
        window_samples=8_000,
        trained_on="nothing",
        licence="CC0-1.0",
    )


@pytest.fixture(scope="session")
def random_weights():
    """A state dict for `random_card`, with normalisation statistics that are not trivial."""
    import torch

    from forensics.detectors.speech.aasist import AasistLDetector

    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = AasistLDetector.network().state_dict()
        for name, tensor in state.items():
            if name.endswith("running_mean"):
                tensor.normal_(0, 0.3)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
    return state
