"""Speed perturbation moves pitch and tempo together and keeps the length."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.conditions.speed import Speed
from forensics.media.audio import Waveform

RATE = 16_000


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_tone_is_heard_at_another_pitch(factor: float) -> None:
    time = np.arange(2 * RATE) / RATE
    wave = Waveform(np.sin(2 * np.pi * 440 * time).astype(np.float32), RATE)
    played, drawn = Speed(factor=(factor, factor)).apply(wave, np.random.default_rng(0))
    assert drawn == {"factor": factor}
    assert len(played.samples) == len(wave.samples)
    spectrum = np.abs(np.fft.rfft(played.samples[:RATE] * np.hanning(RATE)))
    assert spectrum.argmax() == pytest.approx(440 * factor, abs=1)


def test_faster_speech_begins_again_at_the_end() -> None:
    wave = Waveform(np.linspace(-1, 1, RATE, dtype=np.float32), RATE)
    played, _ = Speed(factor=(2.0, 2.0)).apply(wave, np.random.default_rng(0))
    assert np.allclose(played.samples[: RATE // 2], played.samples[RATE // 2 :], atol=1e-6)


def test_nothing_stays_nothing() -> None:
    empty = Waveform(np.zeros(0, np.float32), RATE)
    assert len(Speed().apply(empty, np.random.default_rng(0))[0].samples) == 0
