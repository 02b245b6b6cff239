"""Fixtures that several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

REPO = Path(__file__).resolve().parent.parent


def shared_data_root() -> Path:
    named = os.environ.get("FORENSICS_SHARED_DATA")
    return Path(named) if named else REPO.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """`shared_data("speech")` → that folder, or a skip that says what is missing."""

    def folder(name: str) -> Path:
        path = shared_data_root() / name
        if not path.exists():
            pytest.skip(f"needs {name} of the shared data; set FORENSICS_SHARED_DATA to its folder")
        return path

    return folder


@pytest.fixture(scope="session")
def speech_like():
    """`speech_like(seconds, sampling_rate, seed)` → float32 samples.

    Voiced, unvoiced and silent stretches with a moving pitch: enough for vocoders and trimming.
    """
    import numpy as np

    def make(seconds: float = 2.0, sampling_rate: int = 16_000, seed: int = 0):
        rng = np.random.default_rng(seed)
        t = np.arange(round(seconds * sampling_rate)) / sampling_rate
        pitch = 120 * (1 + 0.25 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6)))
        phase = 2 * np.pi * np.cumsum(pitch) / sampling_rate
        voiced = sum(np.sin(k * phase) / k for k in range(1, 20))
        noise = rng.standard_normal(len(t))
        syllables = np.sin(2 * np.pi * 2.5 * t)
        mix = np.where(syllables > -0.3, voiced * np.abs(syllables), 0.15 * noise)
        mix[: sampling_rate // 10] = 0.001 * noise[: sampling_rate // 10]
        mix[-sampling_rate // 10 :] = 0.001 * noise[-sampling_rate // 10 :]
        return (0.3 * mix / np.abs(mix).max()).astype(np.float32)

    return make
