"""The compact backbone: small, quick enough, blind to level, deaf to what is hidden."""

from __future__ import annotations

import pytest
import torch
from helpers import tiny_backbones

from forensics.networks.compact_backbone import CompactBackbone, CompactConfig

TINY = CompactConfig(width=32, depth=3, stem=(4, 4, 8, 8), heads=2)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return CompactBackbone(TINY).eval()


def test_the_default_is_small():
    network = CompactBackbone(CompactConfig())
    assert 1_000_000 < sum(p.numel() for p in network.parameters()) <= 8_000_000
    largest = CompactBackbone(CompactConfig(width=256, depth=9))
    assert sum(p.numel() for p in largest.parameters()) <= 8_000_000


@pytest.mark.parametrize("samples", [4_000, 8_001, 16_000, 64_600])
def test_layers_have_the_promised_shape(tiny, samples):
    with torch.inference_mode():
        layers = tiny(tiny_backbones.noise(2, samples))
    assert len(layers) == tiny.depth == 3
    assert all(layer.shape == (2, tiny.steps(samples), tiny.channels) for layer in layers)
    assert tiny.hop * (tiny.steps(samples) - 1) <= samples


def test_rows_do_not_influence_each_other_even_in_training(tiny):
    samples = tiny_backbones.noise(3, 8_000)
    tiny.train()
    for module in tiny.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for layer in tiny.layers:
        layer.dropout = 0.0
    together = tiny(samples)[-1]
    alone = torch.cat([tiny(row.unsqueeze(0))[-1] for row in samples])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_level_is_not_heard_and_hidden_bands_are_not_seen(tiny):
    samples = tiny_backbones.noise(1, 8_000)
    with torch.inference_mode():
        plain = tiny(samples)[-1]
        torch.testing.assert_close(tiny(0.05 * samples)[-1], plain, atol=1e-2, rtol=0)
        shown = torch.ones(1, TINY.bands, 1)
        assert torch.equal(tiny(samples, shown)[-1], plain)
        shown[:, TINY.bands // 2 :] = 0
        half = tiny(samples, shown)[-1]
        assert not torch.allclose(half, plain, atol=1e-2)
        # what happens in the hidden half is not seen: a tone at 6 kHz changes nothing
        tone = 0.02 * torch.sin(2 * torch.pi * 6_000 / 16_000 * torch.arange(8_000))
        moved = tiny(samples + tone, shown)[-1]
        assert (moved - half).abs().mean() < 0.2 * (tiny(samples + tone)[-1] - plain).abs().mean()


def test_time_has_a_place(tiny):
    """A click late in the window changes the steps around it most."""
    samples = tiny_backbones.noise(1, 32_000)
    clicked = samples.clone()
    clicked[0, 24_000:24_040] += 0.5
    with torch.inference_mode():
        moved = (tiny(clicked)[0] - tiny(samples)[0]).norm(dim=2)[0]
    assert abs(int(moved.argmax()) * tiny.hop - 24_000) < 2 * tiny.hop + 512


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="5 heads do not divide"):
        CompactConfig(heads=5)
    with pytest.raises(ValueError, match="multiples of 4"):
        CompactConfig(stem=(6, 8, 8, 8))
