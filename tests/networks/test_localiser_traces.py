"""Traces of cells: each plane shows what it is named for, on pictures whose history is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from forensics.detectors.image.classical.splicebuster import symmetric_codes
from forensics.media.image import encode_image, read_image
from forensics.networks.localiser.network import Localiser, LocaliserConfig
from forensics.networks.localiser.tiles import localise
from forensics.networks.localiser.traces import Traces, _four_in_a_row, _symmetric_codes

# Where groups of planes begin.
CORRELATIONS, COLUMNS, ROWS, GHOSTS, OWN = 17, 24, 32, 48, 56
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 (H, W, 3): soft shapes under grain, as a camera gives them."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 210, (height // 32 + 2, width // 32 + 2, 3)).astype(np.float32)
    light = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(light + rng.normal(0, 5, light.shape), 0, 255).astype(np.uint8)


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    return read_image(encode_image(np.ascontiguousarray(pixels), "jpeg", quality, "4:4:4")).pixels


def planes(pixels: np.ndarray, table: np.ndarray | None = None) -> np.ndarray:
    """(channels, rows, columns), not normalised: fresh running moments are 0 and 1."""
    traces = Traces().eval()
    tables = torch.zeros(1, 8, 8) if table is None else torch.from_numpy(table).float()[None]
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    found = traces(image, tables)
    assert found.shape[1] == traces.channels
    return found[0].numpy()


def test_the_phase_of_an_earlier_grid_is_the_strongest():
    found = planes(saved(scene(128, 192), 60)[3:, 5:][:120, :184])
    # A block ends at column 2 and at row 4 of what is left.
    assert found[COLUMNS:ROWS].mean((1, 2)).argmax() == 2
    assert found[ROWS : ROWS + 8].mean((1, 2)).argmax() == 4


def test_a_region_that_was_saved_before_is_a_ghost_at_its_quality():
    fresh = scene(192, 192)
    mixed = fresh.copy()
    mixed[64:128, 64:128] = saved(fresh, 75)[64:128, 64:128]
    ghost = planes(saved(mixed, 95))[GHOSTS : GHOSTS + 8]
    inside, outside = ghost[:, 9:15, 9:15].mean((1, 2)), ghost[:, :6].mean((1, 2))
    falls = inside / outside
    assert falls.argmin() == 3  # quality 75
    assert falls[3] < 0.7


def test_resampling_changes_how_neighbours_correlate():
    fresh = scene(128, 128)
    small = cv2.resize(fresh, (64, 64), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(small, (128, 128), interpolation=cv2.INTER_CUBIC)
    across = [planes(one)[CORRELATIONS].mean() for one in (fresh, enlarged)]
    assert abs(across[0] - across[1]) > 0.1


def test_own_planes_are_empty_without_a_table():
    pixels = saved(scene(64, 64), 70)
    assert np.all(planes(pixels)[OWN : OWN + 4] == 0)
    table = read_image(encode_image(pixels, "jpeg", 70, "4:4:4")).quantisation[0]
    own = planes(pixels, table)[OWN : OWN + 4]
    assert np.allclose(own[3], 1, atol=1e-4)  # batch norm's epsilon
    assert own[2].mean() < 0.1  # coefficients lie on the multiples of their own table


def test_co_occurrences_are_those_of_the_classical_detector():
    assert np.array_equal(_symmetric_codes().numpy(), symmetric_codes())
    levels = torch.tensor([[[[0, 1, 2, 1, 0, 2]]]])
    numbers = _four_in_a_row(levels, 3)[0, 0, 0].tolist()
    assert numbers[0] == 0 * 27 + 1 * 9 + 2 * 3 + 1
    assert numbers[5] == 2 * 40  # the border repeats
    shares = planes(scene(96, 96))[-50:]
    assert np.allclose((shares**2).reshape(2, 25, -1).sum(1), 1, atol=1e-4)


def test_every_plane_is_finite_on_what_says_nothing():
    for pixels in (np.zeros((64, 64, 3), np.uint8), np.full((64, 96, 3), 255, np.uint8)):
        assert np.isfinite(planes(pixels)).all()


def test_a_network_of_traces_learns_a_history_and_tiles_agree():
    made = Localiser(LocaliserConfig(streams=("traces",), channels=8, overall=False, dropout=0))
    optimiser = torch.optim.Adam(made.parameters(), 0.02)
    pictures, masks = [], []
    for seed in range(4):
        pixels = saved(scene(128, 128, seed), 92)
        mask = np.zeros((32, 32), np.float32)
        top, left = np.random.default_rng(seed).integers(1, 8, 2) * 8
        pixels[top : top + 48, left : left + 48] = cv2.GaussianBlur(
            pixels[top : top + 48, left : left + 48], (0, 0), 1.2
        )
        mask[top // 4 : top // 4 + 12, left // 4 : left // 4 + 12] = 1
        pictures.append(torch.from_numpy(pixels).permute(2, 0, 1).float())
        masks.append(torch.from_numpy(mask)[None])
    batch, wanted = torch.stack(pictures), torch.stack(masks)
    tables = torch.zeros(4, 8, 8)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            made(batch, tables).logits, wanted
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    made.eval()
    large = scene(416, 544, 9)
    large[160:240, 200:300] = cv2.GaussianBlur(large[160:240, 200:300], (0, 0), 1.2)
    whole = localise(made, large, None, CPU)
    tiled = localise(made, large, None, CPU, tile=256, overlap=128, kept=64)
    apart, spread = np.abs(whole.logits - tiled.logits), whole.logits.std()
    assert tiled.tiles == 12 and spread > 0
    assert np.quantile(apart, 0.9) < 0.05 * spread
