"""The road: what it removes, and that it is the same for everybody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.conditions.draw import ConditionPolicy
from forensics.corpus.speech import conditioning
from forensics.corpus.speech.recipe import Conditioning
from forensics.errors import MediaError
from forensics.media.audio import Waveform

ROAD = Conditioning()
PLAIN = ConditionPolicy()


def noise(seconds: float, rate: int = 16_000, seed: int = 0, level: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(round(seconds * rate))).astype(np.float32)


def test_edges_are_trimmed_to_the_same_silence():
    loud = noise(2.0)
    for before, after in ((0.0, 0.0), (1.5, 0.2), (0.05, 3.0)):
        quiet = [np.zeros(round(s * 16_000), np.float32) + 1e-5 for s in (before, after)]
        wave = Waveform(np.concatenate([quiet[0], loud, quiet[1]]), 16_000)
        kept = conditioning.prepare(wave, ROAD).duration_s
        expected = 2.0 + min(before, 0.1) + min(after, 0.1)
        assert kept == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 48_000])
def test_every_rate_comes_out_alike(rate):
    wave = conditioning.prepare(Waveform(noise(2.0, rate), rate), ROAD)
    assert wave.sampling_rate == 16_000
    assert wave.duration_s == pytest.approx(2.0, abs=0.03)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(32_000, np.float32), "silent"),
        (np.zeros(0, np.float32), "silent"),
        (np.full(32_000, 0.5, np.float32), "silent"),
        (noise(0.5), "too_short"),
        (np.full(32_000, np.nan, np.float32), "invalid_samples"),
    ],
)
def test_what_cannot_be_used_is_refused(samples, reason):
    with pytest.raises(MediaError) as error:
        conditioning.prepare(Waveform(samples, 16_000), ROAD)
    assert error.value.reason == reason


@given(st.lists(st.integers(16_000, 190_000), min_size=1, max_size=20), st.integers(0, 2**62))
@settings(max_examples=200)
def test_one_length_fits_every_copy(lengths, seed):
    latest, length = conditioning.family_window(lengths, ROAD, seed)
    assert latest >= 0
    assert latest + length <= min(lengths)
    assert length >= 16_000 * ROAD.min_s


@given(st.integers(0, 2**62), st.floats(0.03, 2.0), st.floats(-0.2, 0.2))
@settings(max_examples=30, deadline=None)
def test_level_and_offset_of_the_input_do_not_survive(seed, gain, offset):
    one, _ = conditioning.finish(Waveform(noise(1.2), 16_000), ROAD, PLAIN, seed)
    changed = gain * noise(1.2) + np.float32(offset)
    other, _ = conditioning.finish(
        conditioning.prepare(Waveform(changed, 16_000), ROAD), ROAD, PLAIN, seed
    )
    assert conditioning.dbfs(other.samples) == pytest.approx(
        conditioning.dbfs(one.samples), abs=0.05
    )
    assert abs(other.samples.mean()) < 1e-3


def test_the_band_is_common():
    band = conditioning.band_limit(noise(4.0).astype(np.float64), 16_000, (40.0, 7_400.0))
    power = np.abs(np.fft.rfft(band * np.hanning(len(band)))) ** 2
    frequency = np.fft.rfftfreq(len(band), 1 / 16_000)
    inside = power[(frequency > 100) & (frequency < 7_300)].mean()
    assert power[frequency < 15].mean() < 1e-6 * inside
    assert power[frequency > 7_800].mean() < 1e-6 * inside


def test_a_pulse_is_not_moved():
    pulse = np.zeros(16_000)
    pulse[5_000] = 1.0
    assert int(np.argmax(conditioning.band_limit(pulse, 16_000, (40.0, 7_400.0)))) == 5_000


def test_the_floor_covers_digital_silence():
    samples = noise(2.0)
    samples[8_000:24_000] = 0
    finished, _ = conditioning.finish(Waveform(samples, 16_000), ROAD, PLAIN, 5)
    quiet = conditioning.dbfs(finished.samples[12_000:20_000])
    assert -74 < quiet < -58
