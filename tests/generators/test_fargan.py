"""FARGAN: what is done to its features, and the real program where it is there."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.errors import MediaError
from forensics.generators.base import SpeechRequest
from forensics.generators.speech.fargan import Fargan, changed
from forensics.media.audio import Waveform


def frames(count=9):
    found = np.zeros((count, 36), np.float32)
    found[:, 18] = -0.5  # a period of 256 / 2 = 128 samples, 125 Hz
    found[count // 2, 0] = 1.0
    return found


def test_an_octave_up_is_half_the_period():
    up = changed(frames(), 2.0, 0.0)
    assert np.allclose(256 / 2 ** (up[:, 18] + 1.5), 64)
    rest = np.delete(np.arange(36), 18)
    assert np.array_equal(up[:, rest], frames()[:, rest])


def test_the_pitch_stays_within_what_the_network_knows():
    highest = frames()
    highest[:, 18] = 1.4  # 34.3 samples; the shortest is 32
    assert np.allclose(256 / 2 ** (changed(highest, 2.0, 0.0)[:, 18] + 1.5), 32)
    assert np.allclose(256 / 2 ** (changed(frames(), 0.25, 0.0)[:, 18] + 1.5), 256)


def test_smoothing_is_of_the_cepstra_and_over_time():
    smooth = changed(frames(), 1.0, 1.0)
    weights = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    assert np.allclose(smooth[:, 0], weights / weights.sum(), atol=1e-6)
    assert np.array_equal(smooth[:, 1:], frames()[:, 1:])


def test_a_missing_program_is_named_with_the_way_to_get_it():
    (error,) = Fargan(program="no-such-fargan").check()
    assert "no-such-fargan" in error.what and "--enable-deep-plc" in (error.fix or "")


@pytest.fixture
def copied(speech_like):
    if Fargan().check():
        pytest.skip("needs fargan_demo, built from Opus 1.5, on PATH")

    def make(samples, seed=1, **params):
        engine = Fargan(**params)
        engine.load()
        request = SpeechRequest("k", seed, "", "en", Waveform(samples, 16_000))
        (made,) = engine.generate([request])
        return made

    return make


def test_copies_keep_time_and_change_pitch(copied, speech_like):
    samples = speech_like(2.0, 16_000)
    made = copied(samples)
    assert made.details == {"pitch": 1.0, "smoothing": 0.0}
    assert len(made.waveform.samples) == len(samples)

    def envelope(x):
        return np.sqrt(np.square(x[: len(x) // 160 * 160].reshape(-1, 160)).mean(1))

    loud = envelope(samples)
    fits = [
        np.corrcoef(loud, np.roll(envelope(made.waveform.samples), n))[0, 1] for n in (-4, 0, 4)
    ]
    assert fits[1] == max(fits) > 0.8
    drawn = {copied(samples, seed, pitch=(0.8, 1.25)).details["pitch"] for seed in range(3)}
    assert len(drawn) == 3 and all(0.8 <= factor <= 1.25 for factor in drawn)


def test_too_little_is_refused(copied):
    refused = copied(np.zeros(160, np.float32))
    assert isinstance(refused, MediaError) and refused.reason == "too_short"
