"""RawBoost against a plain reading of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from forensics.conditions import rawboost as module
from forensics.conditions.rawboost import RawBoost, rawboost

RATE = 16_000
SETTINGS = RawBoost()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plain_filter(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pad by len + 1 zeros, filter, cut half of that at both ends."""
    pad = len(b) + 1
    y = lfilter(b, 1, np.pad(x, (0, pad)))
    return y[pad // 2 : len(y) - pad // 2]


def limited(x: np.ndarray) -> np.ndarray:
    return x / max(np.abs(x).max(), 1)


@pytest.fixture
def speech(speech_like):
    return speech_like(1.0, RATE)


@pytest.mark.parametrize("rate", (8000, 16_000, 48_000))
def test_notch_filters(rate):
    stopped = []
    for seed in range(20):
        b = module._notch_filter(rate, (-6.0, -6.0), rng(seed), SETTINGS)
        response = np.abs(np.fft.rfft(b, 1 << 14))
        assert len(b) % 2 == 1 and 5 * 10 + 1 <= len(b) <= 5 * 100 + 1
        assert 20 * np.log10(response.max()) == pytest.approx(-6, abs=0.1)
        np.testing.assert_allclose(b, b[::-1], atol=1e-12)  # linear phase
        stopped.append(response.min() / response.max())
    assert np.median(stopped) < 0.4  # there are notches


def test_lnl_is_the_sum_of_filtered_powers(speech):
    x = 1.5 * speech / np.abs(speech).max()
    drawing = rng(4)
    gains = [(0.0, 0.0)] + [(-20.0, -5.0)] * 4
    filters = [module._notch_filter(RATE, gain, drawing, SETTINGS) for gain in gains]
    expected = sum(plain_filter(x.astype(float) ** (i + 1), b) for i, b in enumerate(filters))
    expected = limited(expected - expected.mean())
    found, drawn = rawboost(x, RATE, 1, rng(4))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert drawn == {}


def test_higher_powers_lie_lower():
    for seed in range(10):
        b = module._notch_filter(RATE, (-20.0, -5.0), rng(seed), SETTINGS)
        peak = 20 * np.log10(np.abs(np.fft.rfft(b, 1024)).max())
        assert -20.1 < peak < -4.9


def test_isd_moves_the_drawn_share_of_samples_by_a_share_of_themselves(speech):
    percents = []
    for seed in range(30):
        found, drawn = rawboost(speech, RATE, 2, rng(seed))
        moved = found != speech
        assert moved.sum() <= int(len(speech) * drawn["isd_percent"] / 100)
        assert moved.sum() >= 0.9 * int(len(speech) * drawn["isd_percent"] / 100)
        assert (np.abs(found - speech) <= 2 * np.abs(speech) + 1e-7).all()
        percents.append(drawn["isd_percent"])
    assert 0 <= min(percents) < 2 and 8 < max(percents) <= 10


def test_isd_strength(speech):
    found, _ = rawboost(speech, RATE, 2, rng(), RawBoost(max_percent=100))
    share = ((found - speech) / speech)[(found != speech) & (np.abs(speech) > 1e-3)]
    assert np.std(share) == pytest.approx(2 / 3, rel=0.05)  # 2 * U * U, each of variance 1/3
    assert abs(share.mean()) < 0.03


def test_ssi_snr_over_the_whole_clip(speech):
    for seed in range(10):
        found, drawn = rawboost(speech, RATE, 3, rng(seed))
        noise = found.astype(float) - speech
        snr = 20 * np.log10(np.linalg.norm(speech) / np.linalg.norm(noise))
        assert snr == pytest.approx(drawn["snr_db"], abs=0.05)
        assert 10 <= drawn["snr_db"] <= 40


def test_ssi_noise_is_coloured(speech):
    quiet = 1e-3 * np.ones(1 << 15, np.float32)
    found, _ = rawboost(quiet, RATE, 3, rng(1))
    power = np.abs(np.fft.rfft(found - quiet)).reshape(-1)[1:] ** 2
    bands = power[: len(power) // 64 * 64].reshape(64, -1).mean(axis=1)
    assert bands.max() / bands.min() > 5


@pytest.mark.parametrize(
    ("algorithm", "steps"), [(4, (1, 2, 3)), (5, (1, 2)), (6, (1, 3)), (7, (2, 3))]
)
def test_series(speech, algorithm, steps):
    drawing, expected, drawn = rng(9), speech, {}
    for step in steps:
        expected, more = rawboost(expected, RATE, step, drawing)
        drawn |= more
    found, all_drawn = rawboost(speech, RATE, algorithm, rng(9))
    np.testing.assert_array_equal(found, expected)
    assert all_drawn == drawn


def test_parallel_sums_both_and_divides_only_above_one(speech):
    for scale in (0.1, 2.0):
        x = np.float32(scale) * speech / np.abs(speech).max()
        drawing = rng(2)
        both = rawboost(x, RATE, 1, drawing)[0] + rawboost(x, RATE, 2, drawing)[0]
        found, drawn = rawboost(x, RATE, 8, rng(2))
        np.testing.assert_allclose(found, limited(both), atol=1e-6)
        assert set(drawn) == {"isd_percent"}
        assert np.abs(found).max() <= 1 + 1e-6


@pytest.mark.parametrize("algorithm", range(1, 9))
def test_silence_one_sample_nothing_and_dtypes(algorithm, speech):
    silent, _ = rawboost(np.zeros(500, np.float32), RATE, algorithm, rng())
    assert silent.shape == (500,) and not silent.any()
    for length in (0, 1, 7):
        found, _ = rawboost(np.full(length, 0.1), RATE, algorithm, rng())
        assert found.shape == (length,) and found.dtype == np.float32
        assert np.isfinite(found).all()
    single = rawboost(speech, RATE, algorithm, rng(3))[0]
    double = rawboost(speech.astype(np.float64), RATE, algorithm, rng(3))[0]
    np.testing.assert_array_equal(single, double)


@pytest.mark.parametrize("algorithm", range(1, 9))
def test_the_caller_s_array_is_left_alone_and_noise_follows_the_generator(algorithm, speech):
    before = speech.copy()
    first, other = (rawboost(speech, RATE, algorithm, rng(seed))[0] for seed in (0, 1))
    np.testing.assert_array_equal(speech, before)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, speech)


def test_every_listed_algorithm_is_drawn(speech_like):
    from forensics.media.audio import Waveform

    wave = Waveform(speech_like(0.05), RATE)
    condition = RawBoost(algorithms=(2, 3, 7))
    drawn = [condition.apply(wave, rng(seed))[1]["algorithm"] for seed in range(200)]
    assert set(drawn) == {2, 3, 7}
    assert min(drawn.count(a) for a in (2, 3, 7)) > 40
    with pytest.raises(ValueError, match="algorithms"):
        RawBoost(algorithms=(0,))
