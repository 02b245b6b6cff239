"""The localiser's network: what its streams see, and that tiles say what the whole picture says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from forensics.detectors.image.planes import spread as spread_over
from forensics.errors import MissingRequirement, UsageError
from forensics.networks.localiser.jpeg_stream import dct_kernels, lowest
from forensics.networks.localiser.network import FINE, Localiser, LocaliserConfig
from forensics.networks.localiser.relative import robust_spread
from forensics.networks.localiser.residuals import Planes, luma, srm_kernels
from forensics.networks.localiser.tiles import chances, localise

SMALL = {"widths": (4, 4, 8, 8), "channels": 8}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def network(**fields) -> Localiser:
    """With batch norms that have seen something, so that they do not just pass values on."""
    made = Localiser(LocaliserConfig(**{**SMALL, **fields}))
    made.train()
    with torch.no_grad():
        for _ in range(3):
            made(torch.rand(2, 3, 64, 64) * 255, torch.ones(2, 8, 8))
    return made.eval()


def test_srm_filters_ignore_what_is_smooth():
    kernels = srm_kernels()
    assert kernels.shape == (8, 1, 5, 5)
    assert kernels.sum((2, 3)).abs().max() < 1e-6
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 3, 16, 16) * 3
    seen = Planes(["srm"])(ramp)[0, :, 4:-4, 4:-4]
    assert seen[2:].abs().max() < 1e-5  # all but first differences
    assert torch.allclose(seen[0], torch.full_like(seen[0], 1.5))  # 3 grey levels, halved
    assert seen[1].abs().max() < 1e-5


def test_a_single_bright_pixel_is_truncated():
    pixels = torch.zeros(1, 3, 16, 16)
    pixels[..., 8, 8] = 200
    assert Planes(["srm"])(pixels).abs().max() == 2


def test_bayar_weights_keep_their_constraint_through_steps():
    planes = Planes(["bayar"])
    optimiser = torch.optim.Adam(planes.parameters(), 0.1)
    for _ in range(3):
        optimiser.zero_grad()
        planes(torch.rand(2, 3, 16, 16) * 255).square().mean().backward()
        optimiser.step()
        planes.project()
        flat = planes.bayar.detach().view(4, 3, 25)
        assert torch.equal(flat[..., 12], torch.full((4, 3), -1.0))
        assert torch.allclose(flat.sum(-1), torch.zeros(4, 3), atol=1e-5)
    flat_picture = torch.full((1, 3, 16, 16), 137.0)
    assert planes(flat_picture).abs().max() < 1e-3


def test_planes_come_in_one_order():
    pixels = torch.rand(1, 3, 16, 16) * 255
    all_of_them = Planes(["rgb", "srm"])
    assert all_of_them.channels == 11
    seen = all_of_them(pixels)
    assert torch.allclose(seen[:, :3], (pixels - 128) / 64, atol=1e-5)
    assert torch.allclose(seen[:, 3:], Planes(["srm"])(pixels), atol=1e-5)


def test_block_dct_is_the_orthonormal_one():
    block = np.random.default_rng(0).uniform(0, 255, (8, 8))
    ours = dct_kernels().reshape(64, 64) @ torch.from_numpy(block).float().flatten()
    assert np.allclose(ours.reshape(8, 8), dctn(block, norm="ortho"), atol=1e-3)
    assert set(lowest(5).tolist()) == {1, 8, 9, 2, 16}


def test_luma_is_that_of_jpeg():
    grey = torch.full((1, 3, 2, 2), 128.0)
    assert luma(grey).abs().max() < 1e-4
    assert luma(torch.tensor([255.0, 0, 0]).view(1, 3, 1, 1)).item() == pytest.approx(76.245 - 128)


def test_a_third_of_a_picture_hardly_moves_what_it_is_compared_with():
    features = torch.randn(1, 4, 30, 30)
    moved = features.clone()
    moved[..., :10, :] += 5
    plain, robust = moved.mean((2, 3)), robust_spread([moved]).mean.flatten(1)
    assert (plain - features.mean((2, 3))).min() > 1.5
    assert (robust - features.mean((2, 3))).abs().max() < 0.6


def test_a_picture_in_parts_has_the_spread_of_the_whole():
    features = torch.randn(1, 4, 12, 20)
    whole = robust_spread([features])
    parts = robust_spread([features[..., :7], features[..., 7:]])
    assert torch.allclose(whole.mean, parts.mean, atol=1e-6)
    assert torch.allclose(whole.deviation, parts.deviation, atol=1e-6)


@pytest.mark.parametrize("fields", [{}, {"streams": ("rgb",)}, {"relative": False}])
def test_shapes_and_gradients(fields):
    made = Localiser(LocaliserConfig(**{**SMALL, **fields}))
    found = made(torch.rand(2, 3, 64, 96) * 255, torch.zeros(2, 8, 8))
    assert found.logits.shape == (2, 1, 16, 24) and found.score.shape == (2,)
    (found.logits.square().mean() + found.score.square().mean()).backward()
    missing = [name for name, p in made.named_parameters() if p.grad is None]
    assert missing == []


def test_the_table_matters_only_where_it_is_known():
    made = network()
    pixels = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        unknown = made(pixels, torch.zeros(1, 8, 8)).score
        coarse = made(pixels, torch.full((1, 8, 8), 30.0)).score
        fine = made(pixels, torch.full((1, 8, 8), 2.0)).score
    assert len({round(float(s), 5) for s in (unknown, coarse, fine)}) == 3


def test_tiles_say_what_the_whole_picture_says():
    made = network()
    pixels = np.random.default_rng(0).integers(0, 256, (416, 544, 3)).astype(np.uint8)
    pixels[100:180, 300:420] = 90  # something that stands apart
    table = np.full((8, 8), 7)
    whole = localise(made, pixels, table, CPU)
    tiled = localise(made, pixels, table, CPU, tile=256, overlap=128, kept=64)
    assert (whole.tiles, tiled.tiles) == (1, 3 * 4)
    spread = whole.logits.std()
    apart = np.abs(whole.logits - tiled.logits)
    assert spread > 0
    assert np.quantile(apart, 0.9) < 0.02 * spread
    assert abs(whole.score - tiled.score) < 0.02
    # Only so many tiles are held: the comparison is with a part of the picture, still alike.
    few = localise(made, pixels, table, CPU, tile=256, overlap=128, kept=3)
    assert np.median(np.abs(few.logits - whole.logits)) < 0.3 * spread


def test_any_size_gives_a_heatmap_of_its_own_size():
    made = network()
    for height, width in ((64, 64), (65, 103), (90, 300)):
        pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)
        found = localise(made, pixels, None, CPU, tile=128, overlap=32)
        heat = np.asarray(spread_over(chances(found.logits), FINE, (height, width)))
        assert heat.shape == (height, width) and heat.dtype == np.float32
        assert heat.min() >= 0 and heat.max() <= 1 and np.isfinite(found.score)


def test_the_cut_lies_at_one_half():
    made = network()
    pixels = np.random.default_rng(2).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    before = localise(made, pixels, None, CPU).logits
    made.cut.fill_(1.5)
    after = localise(made, pixels, None, CPU)
    assert np.allclose(before - 1.5, after.logits, atol=1e-6)


@pytest.mark.parametrize("name", ["mobilenetv4_conv_small_050", "resnet10t"])
def test_backbones_of_timm_by_name(name):
    made = Localiser(LocaliserConfig(backbone=name, channels=8))
    found = made(torch.rand(2, 3, 64, 64) * 255, torch.zeros(2, 8, 8))
    assert found.logits.shape == (2, 1, 16, 16)
    again = Localiser(LocaliserConfig(**made.exported()[0]))
    again.load_state_dict(made.exported()[1])


def test_backbones_that_are_none_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no maps"):
        Localiser(LocaliserConfig(backbone="not_a_backbone"))
    with pytest.raises(UsageError, match=r"\.safetensors"):
        Localiser(LocaliserConfig(backbone="resnet10t", pretrained="weights.pth"))
    with pytest.raises(MissingRequirement, match="there is no"):
        Localiser(LocaliserConfig(backbone="resnet10t", pretrained=str(tmp_path / "w.safetensors")))
    with pytest.raises(ValueError, match="streams"):
        LocaliserConfig(streams=("dct",))


def test_the_shipped_sizes_are_small():
    count = sum(p.numel() for p in Localiser(LocaliserConfig()).parameters())
    assert count * 4 < 5e6
