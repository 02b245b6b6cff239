"""The shipped default: it loads from a clone, and its scores hold still where they must."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forensics import detect, load_detector
from forensics.detectors.speech.spectral_cnn import SpectralCnnDetector
from forensics.errors import UsageError
from forensics.media.audio import Waveform
from forensics.networks.log_spectrum import LogSpectrum, band_matrix
from forensics.networks.spectral_cnn import SpectralCnn, SpectralCnnConfig


@pytest.fixture(scope="module")
def default():
    return load_detector()


def test_default_is_small_calibrated_and_says_where_it_comes_from(default):
    config = default.bundle.config
    files = sum(path.stat().st_size for path in default.bundle.folder.iterdir())
    assert files < 20_000_000
    assert config.calibration is not None
    cut = config.thresholds[0]
    assert cut.target_fpr <= 0.02 and cut.target_fnr <= 0.05
    assert cut.bonafide_below is None  # it is at chance on systems left out of training
    assert "LibriSpeech" in config.trained_on and config.limits
    assert config.measured and all(figure.command for figure in config.measured)


def test_verdict_repeats_the_limits(default, speech_like):
    verdict = detect(Waveform(speech_like(5.0), 16_000), default)[0]
    assert verdict.label in ("bonafide", "manipulated", "uncertain")
    assert any(default.bundle.config.limits in note for note in verdict.not_run)


def test_scores_do_not_depend_on_neighbours_or_level(default, speech_like):
    window = default.window_samples
    clips = [speech_like(5.0, seed=seed)[:window] for seed in range(3)]
    together = default.score(np.stack(clips))
    alone = np.concatenate([default.score(clip[None]) for clip in clips])
    assert np.array_equal(together, alone)
    quieter = default.score(0.1 * np.stack(clips))
    np.testing.assert_allclose(quieter, together, atol=1e-2)
    assert np.ptp(together) > 1e-3


def test_fixed_response_and_silence_are_not_seen(speech_like):
    config = SpectralCnnConfig()
    spectrum = LogSpectrum(config)
    samples = torch.from_numpy(speech_like(3.0)).unsqueeze(0)
    level, active = spectrum(samples)
    assert level.shape == (1, config.bands, samples.shape[1] // config.hop + 1)
    assert active.shape == level.shape[:1] + level.shape[2:]
    means = (level * active.unsqueeze(1)).sum(2) / active.sum(1)
    assert means.abs().max() < 1e-3
    silent_end = torch.nn.functional.pad(samples, (0, 8000))
    _, with_silence = spectrum(silent_end)
    assert not with_silence[0, -40:].any()
    torch.testing.assert_close(spectrum(samples * 0.01)[0], level, atol=1e-2, rtol=0)


def test_bands_average_and_cover_what_is_heard():
    config = SpectralCnnConfig()
    matrix = band_matrix(config)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(config.bands))
    bins = torch.arange(config.n_fft // 2 + 1) * config.sampling_rate / config.n_fft
    centres = matrix @ bins
    assert (centres.diff() > 0).all() and centres[-1] < config.top_hz
    assert (matrix[:, bins > config.top_hz + 50] == 0).all()


def test_wrong_architecture_is_named():
    with pytest.raises(UsageError, match="bands"):
        SpectralCnnDetector.network({"bands": 7})


def test_silence_and_noise_give_finite_scores(default):
    rng = np.random.default_rng(0)
    silence = np.zeros((1, default.window_samples), np.float32)
    noise = rng.uniform(-1, 1, (1, default.window_samples)).astype(np.float32)
    assert np.isfinite(default.score(silence)).all()
    assert np.isfinite(default.score(noise)).all()


def test_describe_agrees_with_forward_and_carries_what_the_head_sees():
    torch.manual_seed(0)
    network = SpectralCnn(SpectralCnnConfig()).eval()
    samples = 0.1 * torch.randn(2, 16_000)
    described = network.describe(samples)
    torch.testing.assert_close(described.score, network(samples))
    torch.testing.assert_close(network.head(described.embedding).squeeze(1), described.score)
    assert described.projection is None
    everything_hidden = network.describe(samples, torch.zeros(2, 112, 1)).score
    assert (everything_hidden[0] - described.score[0]).abs() > 1e-6
