"""The texture CNN: its Fourier transform, what level and channel do to its cells, its shapes."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from forensics.networks.trace_cnn import (
    Cells,
    TraceCnn,
    TraceCnnConfig,
    View,
    fourier_basis,
    mean_around,
)

TINY = TraceCnnConfig(
    views=(
        View(n_fft=256, hop=64, bands=32, surroundings=(5, 5), delay=True, channels=(4, 8)),
        View(n_fft=128, hop=32, bands=16, surroundings=(3, 5), channels=(4, 8)),
    ),
    embedding=8,
)


def noise(rows=2, samples=8000, seed=0):
    return 0.1 * torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed))


def test_frames_times_basis_are_the_stft():
    view = View(n_fft=256, hop=64, bands=32)
    cells = Cells(TraceCnnConfig(top_hz=8000.0), view)
    samples = noise()
    real, imaginary = (cells._frames(samples) @ fourier_basis(256, 129)).chunk(2, dim=2)
    stft = torch.stft(samples, 256, 64, window=torch.hann_window(256), return_complex=True)
    assert torch.allclose(torch.complex(real, imaginary), stft.transpose(1, 2), atol=1e-4)


def test_phase_of_a_steady_tone_advances_by_its_offset_from_mid_band():
    """Band 32 of 224 has its middle at 32.5 * 7000 / 224 = 1015.625 Hz, 5.625 Hz above the tone."""
    view = View(n_fft=1024, hop=256, bands=224, contrast=False, phase=True)
    cells = Cells(TraceCnnConfig(), view)
    time = torch.arange(16_000) / 16_000
    found, _ = cells(0.1 * torch.sin(2 * torch.pi * 1010 * time)[None])
    cosine, sine = found[0, :, 32, 30]
    expected = -2 * torch.pi * 5.625 * 256 / 16_000
    assert float(torch.atan2(sine, cosine)) == pytest.approx(expected, abs=0.01)
    assert float(cosine**2 + sine**2) == pytest.approx(1, abs=0.01)  # the bins of a band agree


@pytest.mark.parametrize("late", [0, 8, -20])
def test_group_delay_says_where_in_the_frame_an_impulse_lies(late):
    """Frame 60 is centred on sample 60 * 64; an impulse d later turns each bin by 2 pi d / 256."""
    view = View(n_fft=256, hop=64, bands=32, contrast=False, phase=False, delay=True)
    samples = torch.zeros(1, 8000)
    samples[0, 60 * 64 + late] = 1.0
    found, _ = Cells(TraceCnnConfig(), view)(samples)
    cosine, sine = found[0, :, 4:28, 60]
    angles = torch.atan2(sine, cosine)
    assert torch.allclose(angles, torch.tensor(-2 * torch.pi * late / 256), atol=1e-3)
    assert torch.allclose(cosine**2 + sine**2, torch.tensor(1.0), atol=1e-3)


def test_what_is_exported_gives_the_same_cells():
    """There the spectrum is a product with a matrix."""
    network = TraceCnn(TINY).eval()
    samples = noise()
    program = torch.export.export(network, (samples,))
    assert not [node for node in program.graph.nodes if "fft" in str(node.target)]
    assert torch.allclose(program.module()(samples), network(samples), atol=1e-5)


def test_gain_is_not_seen():
    network = TraceCnn(TINY).eval()
    samples = noise()
    assert torch.allclose(network(samples), network(0.25 * samples), atol=1e-4)


def test_contrast_hides_a_smooth_channel():
    """A gentle slope over frequency moves levels by 20 dB, but hardly their contrast."""
    config = TraceCnnConfig(range_db=200.0)
    view = View(n_fft=256, hop=64, bands=64, phase=False, level=True, surroundings=(5, 9))
    samples = noise(samples=16_000)
    spectrum = torch.fft.rfft(samples)
    slope = 10 ** (torch.linspace(0, -1, spectrum.shape[1]))
    (plain, _), (coloured, _) = (
        Cells(config, view)(x) for x in (samples, torch.fft.irfft(spectrum * slope, 16_000))
    )
    inner = slice(8, -8)
    apart = (plain - coloured).abs()[:, :, inner, inner].mean(dim=(0, 2, 3))
    assert apart[1] < 0.05  # contrast, in units of 8 dB


def test_mean_around_counts_only_what_is_there():
    cells = torch.arange(6.0).view(1, 2, 3)
    assert mean_around(cells, 1, 1)[0, 0].tolist() == [2.0, 2.5, 3.0]
    assert mean_around(cells, 0, 1)[0, 0].tolist() == [0.5, 1.0, 1.5]


def test_rows_of_a_batch_do_not_influence_each_other():
    network = TraceCnn(TINY).eval()
    samples = noise(3)
    alone = torch.cat([network(row[None]) for row in samples])
    assert torch.allclose(network(samples), alone, atol=1e-5)


def test_explains_with_one_distribution_over_time_and_the_same_score():
    network = TraceCnn(TINY).eval()
    samples = noise()
    explained = network.explain(samples)
    assert torch.allclose(explained.score, network(samples), atol=1e-6)
    assert torch.allclose(explained.time.sum(dim=1), torch.ones(2), atol=1e-5)
    assert network.describe(samples).embedding.shape == (2, 2 * 8 * 2)


def test_silence_gives_a_finite_score():
    assert TraceCnn(TINY).eval()(torch.zeros(1, 8000)).isfinite().all()


def test_hop_must_divide_the_window():
    with pytest.raises(ValidationError, match="divide"):
        View(n_fft=1024, hop=300)
