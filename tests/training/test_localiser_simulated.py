"""Tampering made while training reads changes one region and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.training.localiser.simulated import HISTORIES, blob, tampered


def scene(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Smooth colours with some noise, as a small camera gives."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(40, 200, width)[None, :, None] + np.linspace(0, 30, height)[:, None, None]
    return np.clip(ramp + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(25))
def test_only_the_region_changes(seed: int) -> None:
    host, donor = scene(1), scene(2, 70, 50)
    before = host.copy(), donor.copy()
    forged, mask = tampered(host, donor, np.random.default_rng(seed))
    assert forged.shape == host.shape and forged.dtype == np.uint8
    assert mask.any() and mask.shape == host.shape[:2]
    assert np.array_equal(forged[~mask], host[~mask])
    assert np.array_equal(host, before[0]) and np.array_equal(donor, before[1])
    again, _ = tampered(host, donor, np.random.default_rng(seed))
    assert np.array_equal(again, forged)


def test_most_regions_differ_from_what_was_there() -> None:
    host, donor = scene(1), scene(2)
    changed = []
    for seed in range(60):
        forged, mask = tampered(host, donor, np.random.default_rng(seed))
        changed.append((forged != host).any(2)[mask].mean() > 0.3)
    assert np.mean(changed) > 0.9


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 2)])
def test_pictures_of_any_size(size: tuple[int, int]) -> None:
    host = scene(3, *size)
    for seed in range(2 * len(HISTORIES)):
        forged, mask = tampered(host, scene(4, 5, 7), np.random.default_rng(seed))
        assert forged.shape == host.shape and mask.any()


def test_regions_lie_anywhere_and_differ_in_size() -> None:
    masks = [blob(64, 64, np.random.default_rng(seed)) for seed in range(300)]
    shares = np.array([mask.mean() for mask in masks])
    assert shares.min() < 0.02 and shares.max() > 0.2
    # No place is forged much more often than the others: no prior to learn.
    often = np.mean(masks, axis=0)
    assert often[8:56, 8:56].max() < 2.5 * often[8:56, 8:56].mean()
