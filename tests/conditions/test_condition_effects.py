"""What each condition does to the signal, measured."""

from __future__ import annotations

from itertools import pairwise
from math import log10

import numpy as np
import pytest
from scipy.signal import welch

from forensics.conditions.amr import Amr
from forensics.conditions.codecs import Mp3, Opus, Vorbis
from forensics.conditions.common import active_rms
from forensics.conditions.gain import Gain
from forensics.conditions.noise import Noise, coloured_noise
from forensics.conditions.resample import Resample
from forensics.conditions.room import Room, room_response
from forensics.conditions.telephone import Telephone
from forensics.draws import log_uniform
from forensics.media.audio import Waveform
from forensics.media.samples import rms

RATE = 16_000


def db(ratio: float) -> float:
    return 20 * np.log10(ratio)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def white(seconds: float, rate: int = RATE, level: float = 0.1) -> Waveform:
    return Waveform(level * rng().standard_normal(round(seconds * rate), np.float32), rate)


def bands_db(samples: np.ndarray, rate: int, edges: list[float]) -> list[float]:
    """Mean power density in dB between neighbouring edges in Hz."""
    frequency, density = welch(samples, rate, nperseg=4096)
    return [
        10 * np.log10(density[(frequency >= low) & (frequency < high)].mean())
        for low, high in pairwise(edges)
    ]


def tone_with_pauses() -> Waveform:
    t = np.arange(4 * RATE) / RATE
    on = (t % 1) < 0.3
    return Waveform((on * 0.2 * np.sin(2 * np.pi * 440 * t)).astype(np.float32), RATE)


class TestActiveLevel:
    def test_pauses_do_not_count(self):
        # Frames that are half tone, half pause cost a little.
        assert db(active_rms(tone_with_pauses()) / (0.2 / np.sqrt(2))) == pytest.approx(0, abs=0.3)

    def test_a_quiet_noise_floor_does_not_count(self):
        wave = tone_with_pauses()
        noisy = Waveform(wave.samples + white(4, level=0.002).samples, RATE)
        assert db(active_rms(noisy) / active_rms(wave)) == pytest.approx(0, abs=0.2)

    def test_a_steady_sound_gives_its_rms(self):
        wave = white(2)
        assert active_rms(wave) == pytest.approx(rms(wave.samples), rel=0.01)

    def test_silence_and_a_clip_shorter_than_a_frame(self):
        assert active_rms(Waveform(np.zeros(RATE, np.float32), RATE)) == 0
        assert active_rms(Waveform(np.full(10, 0.5, np.float32), RATE)) == pytest.approx(0.5)


class TestNoise:
    @pytest.mark.parametrize("colour", ("white", "pink", "brown", "speech"))
    @pytest.mark.parametrize("snr_db", (0.0, 12.5, 30.0))
    def test_snr_over_active_speech(self, colour, snr_db):
        wave = tone_with_pauses()
        noisy, drawn = Noise(colours=(colour,), snr_db=(snr_db, snr_db)).apply(wave, rng())
        measured = db(0.2 / np.sqrt(2) / rms(noisy.samples - wave.samples))
        assert measured == pytest.approx(snr_db, abs=0.5)
        assert drawn == {"colour": colour, "snr_db": snr_db}

    @pytest.mark.parametrize(("colour", "slope"), [("white", 0), ("pink", -3), ("brown", -6)])
    def test_slope_per_octave(self, colour, slope):
        noise = coloured_noise(colour, 20 * RATE, RATE, rng())
        found = np.diff(bands_db(noise, RATE, [125, 250, 500, 1000, 2000, 4000, 8000]))
        np.testing.assert_allclose(found, slope, atol=0.6)

    def test_speech_shape(self):
        noise = coloured_noise("speech", 20 * RATE, RATE, rng())
        low, mid, high = bands_db(noise, RATE, [400, 600, 1000, 4000])
        assert low > mid + 2 and mid > high + 8
        # From Byrne's table: 62.1 dB in the 500 Hz band, 45.6 dB in that of 4 kHz, 8 times as wide.
        at_500, _, at_4000 = bands_db(noise, RATE, [480, 520, 3900, 4100])
        assert at_500 - at_4000 == pytest.approx(62.1 - 45.6 + 10 * log10(8), abs=1)

    def test_no_dc_and_the_right_length(self):
        for length in (1, 4095, 4096, 4097):
            noise = coloured_noise("brown", length, RATE, rng())
            assert noise.shape == (length,) and noise.dtype == np.float32
        assert abs(noise[:4096].mean()) < noise.std()


class TestRoom:
    @pytest.mark.parametrize("rt60_s", (0.2, 0.5, 1.0))
    @pytest.mark.parametrize("drr_db", (-5.0, 10.0))
    def test_measured_decay_and_ratio(self, rt60_s, drr_db):
        responses = [room_response(RATE, rt60_s, drr_db, rng(seed)) for seed in range(8)]
        for response in responses:
            assert response[0] == 1.0 and len(response) == round(rt60_s * RATE)
            assert db(1 / np.linalg.norm(response[1:])) == pytest.approx(drr_db, abs=0.01)
        energy = np.mean([np.square(r[1:].astype(float)) for r in responses], axis=0)
        decay = 10 * np.log10(np.cumsum(energy[::-1])[::-1] / energy.sum())  # Schroeder
        start, end = np.argmax(decay < -5), np.argmax(decay < -35)
        assert 2 * (end - start) / RATE == pytest.approx(rt60_s, rel=0.12)

    def test_direct_sound_stays_and_the_level_is_kept(self):
        click = np.zeros(RATE, np.float32)
        click[4000] = 0.5
        wet, _ = Room(drr_db=(0, 0)).apply(Waveform(click, RATE), rng(3))
        assert not wet.samples[:3995].any() or np.abs(wet.samples[:3995]).max() < 1e-6
        assert np.argmax(np.abs(wet.samples)) == 4000
        assert rms(wet.samples) == pytest.approx(rms(click), rel=1e-4)
        assert np.abs(wet.samples[4016:]).max() > 1e-3


class TestTelephone:
    @pytest.mark.parametrize("codec", ("none", "mulaw", "alaw"))
    @pytest.mark.parametrize("rate", (16_000, 48_000))
    def test_band(self, codec, rate):
        wave = white(4, rate)
        narrow, drawn = Telephone(codecs=(codec,)).apply(wave, rng())
        edges = [50, 150, 500, 3000, 4050, rate / 2]
        before, after = (bands_db(w.samples, rate, edges) for w in (wave, narrow))
        change = np.subtract(after, before)
        assert change[2] == pytest.approx(0, abs=0.5)  # 500 to 3000 Hz
        assert change[4] < -30  # above 4 kHz
        assert change[0] < (-30 if codec == "none" else -20)  # below 150 Hz, quantisation noise
        assert drawn["codec"] == codec


class TestLossyCodecs:
    @pytest.mark.parametrize(
        ("best", "worst"),
        [
            (Opus(kbps=(64, 64)), Opus(kbps=(6, 6))),
            (Mp3(kbps=(128, 128)), Mp3(kbps=(8, 8))),
            (Vorbis(quality=(0.9, 0.9)), Vorbis(quality=(0, 0))),
        ],
        ids=("opus", "mp3", "vorbis"),
    )
    @pytest.mark.parametrize("rate", (16_000, 22_050, 44_100))
    def test_bit_rate_decides_fidelity(self, best, worst, rate, speech_like):
        wave = Waveform(speech_like(2.0, rate), rate)
        correlations = []
        for condition in (best, worst):
            coded, _ = condition.apply(wave, rng())
            correlations.append(np.corrcoef(wave.samples, coded.samples)[0, 1])
            assert db(rms(wave.samples) / rms(coded.samples - wave.samples)) < 45  # it is lossy
        assert correlations[0] > 0.97
        assert 0.7 < correlations[1] < correlations[0] - 0.003

    @pytest.mark.parametrize("rate", (8000, 11_025, 16_000, 24_000, 32_000, 44_100, 48_000))
    @pytest.mark.parametrize("kbps", (8, 16, 32, 48, 64, 160, 320))
    def test_mp3_has_no_delay_at_any_rate(self, rate, kbps):
        """Low rates lack the frame that tells the decoder of the encoder's delay."""
        burst = np.zeros(rate, np.float32)
        t = np.arange(rate // 4) / rate
        burst[rate // 3 : rate // 3 + len(t)] = 0.5 * np.sin(2 * np.pi * (300 + 3000 * t) * t)
        coded, drawn = Mp3(kbps=(kbps, kbps)).apply(Waveform(burst, rate), rng())
        assert np.corrcoef(burst, coded.samples)[0, 1] > 0.95
        limits = (32, 320) if rate >= 32_000 else (8, 160) if rate >= 16_000 else (8, 64)
        assert drawn["kbps"] == min(max(kbps, limits[0]), limits[1])

    def test_bit_rates_are_drawn_within_the_range_on_a_logarithmic_scale(self):
        source = rng()
        drawn = [log_uniform(source, (6, 96)) for _ in range(4000)]
        assert min(drawn) >= 6 and max(drawn) <= 96
        quarters = np.quantile(drawn, [0.25, 0.5, 0.75])
        np.testing.assert_allclose(quarters, [12, 24, 48], rtol=0.1)
        assert log_uniform(source, (6, 6)) == 6


class TestAmr:
    def test_modes_differ_and_stay_aligned(self, speech_like):
        for missing in Amr().check():
            pytest.skip(str(missing))
        from scipy.signal import butter, sosfiltfilt

        # The codec turns the phase of the lowest voice partials; its pass band stays in place.
        band = butter(4, [700, 2500], "bandpass", fs=8000, output="sos")
        wave = Waveform(sosfiltfilt(band, speech_like(2.0, 8000)).astype(np.float32), 8000)
        coded = {}
        for mode in (4750, 12_200):
            after, drawn = Amr(bits_per_second=(mode,)).apply(wave, rng())
            assert drawn == {"bits_per_second": mode}
            coded[mode] = np.corrcoef(wave.samples, after.samples)[0, 1]
            early = np.corrcoef(wave.samples[8:], after.samples[:-8])[0, 1]
            late = np.corrcoef(wave.samples[:-8], after.samples[8:])[0, 1]
            assert coded[mode] > max(early, late)
        assert 0.4 < coded[4750] < coded[12_200] < 0.99


class TestResample:
    def test_a_good_converter_removes_the_band_and_linear_leaves_images(self):
        wave = white(3)
        upper = {}
        for converter in ("VHQ", "linear"):
            condition = Resample(rates=(8000,), converters=(converter,))
            after, drawn = condition.apply(wave, rng())
            assert drawn == {"rate": 8000, "down": converter, "up": converter}
            upper[converter] = bands_db(after.samples, RATE, [4200, 8000])[0]
        before = bands_db(wave.samples, RATE, [4200, 8000])[0]
        assert upper["VHQ"] < before - 60
        assert before - 30 < upper["linear"] < before

    def test_only_lower_rates_are_drawn(self):
        condition = Resample(rates=(8000, 12_000, 16_000, 44_100))
        wave = white(0.1)
        drawn = {condition.apply(wave, rng(seed))[1]["rate"] for seed in range(40)}
        assert drawn == {8000, 12_000}
        narrow = white(0.1, 8000)
        unchanged, drawn = condition.apply(narrow, rng())
        np.testing.assert_array_equal(unchanged.samples, narrow.samples)
        assert drawn["rate"] == 8000


class TestGain:
    def test_peak_and_clipping(self, speech_like):
        wave = Waveform(speech_like(), RATE)
        condition = Gain(peak_dbfs=(-6, -6), clip_probability=1, overdrive_db=(9, 9))
        loud, _ = condition.apply(wave, rng())
        peak = np.abs(loud.samples).max()
        assert db(peak) == pytest.approx(-6, abs=0.01)
        assert np.mean(np.abs(loud.samples) == peak) > 0.01  # flat tops
        plain, drawn = Gain(peak_dbfs=(-6, -6), clip_probability=0).apply(wave, rng())
        assert drawn["overdrive_db"] == 0
        assert np.corrcoef(plain.samples, wave.samples)[0, 1] == pytest.approx(1, abs=1e-6)

    def test_the_level_it_comes_in_with_decides_nothing(self, speech_like):
        samples = speech_like()
        for seed in range(5):
            quiet, loud = (
                Gain().apply(Waveform(scale * samples, RATE), rng(seed))[0].samples
                for scale in (np.float32(2**-6), np.float32(2))
            )
            np.testing.assert_allclose(quiet, loud, atol=1e-6)

    def test_share_of_clipped_recordings(self):
        wave, condition = white(0.01), Gain(clip_probability=0.3)
        driven = [condition.apply(wave, rng(seed))[1]["overdrive_db"] for seed in range(500)]
        assert np.mean(np.array(driven) > 0) == pytest.approx(0.3, abs=0.07)
