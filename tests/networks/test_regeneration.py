"""Statistics of a whole picture, and the network on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forensics.networks.localiser.traces import Traces
from forensics.networks.regeneration import (
    WINDOW,
    Regeneration,
    RegenerationConfig,
    picture_planes,
    statistics,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def traces():
    return Traces().eval()


def noise(height, width, sigma=8.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(128 + rng.normal(0, sigma, (height, width, 3)), 0, 255).astype(np.uint8)


def test_means_and_deviations_are_of_all_cells(traces):
    pixels, table = noise(64, 96), np.arange(1, 65).reshape(8, 8)
    planes = picture_planes(traces, pixels, table, CPU)
    assert [tuple(one.shape) for one in planes] == [(traces.channels, 8, 12)]
    found = statistics(planes, table)
    flat = planes[0].flatten(1).numpy()
    count = traces.channels
    np.testing.assert_allclose(found[:count], flat.mean(1), atol=1e-4)
    np.testing.assert_allclose(found[count : 2 * count], flat.std(1), atol=1e-3)
    np.testing.assert_allclose(found[2 * count : -1], np.log1p(np.arange(1, 21)), rtol=1e-6)
    assert found[-1] == 1 and statistics(planes, None)[-1] == 0


def test_a_large_picture_is_looked_at_in_even_windows(traces, monkeypatch):
    seen = []
    monkeypatch.setattr(
        Traces, "planes", lambda self, pixels, tables: seen.append(pixels) or pixels[:, :1]
    )
    height, width = 5 * WINDOW, WINDOW - 1
    pixels = np.zeros((height, width, 3), np.uint8)
    for number in range(5):
        pixels[number * WINDOW : (number + 1) * WINDOW] = number
    picture_planes(traces, pixels, None, CPU)
    assert [tuple(one.shape[2:]) for one in seen] == [(WINDOW, WINDOW - 8)] * 3
    assert [(float(one.min()), float(one.max())) for one in seen] == [(0, 0), (2, 2), (4, 4)]
    seen.clear()
    picture_planes(traces, pixels[: WINDOW + 7], None, CPU)
    assert len(seen) == 1  # a second one would begin in the same cell


def test_a_smoothed_picture_differs_from_its_original_everywhere(traces):
    import cv2

    pixels = noise(128, 128)
    smooth = cv2.GaussianBlur(pixels, (0, 0), 1.0)
    rows = [statistics(picture_planes(traces, one, None, CPU), None) for one in (pixels, smooth)]
    again = statistics(picture_planes(traces, noise(128, 128, seed=1), None, CPU), None)
    assert np.abs(rows[0] - rows[1]).max() > 10 * np.abs(rows[0] - again).max()


def test_scores_do_not_depend_on_the_batch_and_stay_finite():
    torch.manual_seed(0)
    network = Regeneration(RegenerationConfig(hidden=8)).eval()
    rows = torch.randn(5, len(network.centre)) * 1e6
    with torch.inference_mode():
        together, alone = network(rows), torch.cat([network(row[None]) for row in rows])
    assert torch.isfinite(together).all() and together.std() > 0
    torch.testing.assert_close(together, alone)
