"""WORLD, Griffin-Lim, LPC and Lyra beyond the contract of all generators."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from forensics.errors import MediaError, UsageError
from forensics.generators.base import GENERATORS, SpeechRequest
from forensics.generators.speech.lpc import analyse, autocorrelation, levinson
from forensics.media.audio import Waveform


def resynthesise(name, samples, rate=16_000, seed=1, **params):
    generator = GENERATORS.get(name)(**params)
    if generator.check():
        pytest.skip("; ".join(map(str, generator.check())))
    generator.load()
    return forge(generator, samples, rate, seed)


def forge(generator, samples, rate=16_000, seed=1):
    request = SpeechRequest("k", seed, "", "en", Waveform(samples, rate))
    (result,) = generator.generate([request])
    if isinstance(result, Exception):
        raise result
    return result


def pulses(pitch, rate, seconds):
    """A buzz with formants at 700 and 1900 Hz."""
    from scipy.signal import lfilter

    phase = np.cumsum(np.full(round(seconds * rate), pitch / rate))
    buzz = np.diff(np.floor(phase), prepend=0.0)
    for formant in (700, 1900):
        angle, radius = 2 * np.pi * formant / rate, 0.97
        buzz = lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], buzz)
    return (0.3 * buzz / np.abs(buzz).max()).astype(np.float32)


@pytest.mark.parametrize("name", ["world", "griffinlim", "lpc"])
@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_rate_and_length_are_the_references(name, rate, speech_like):
    samples = speech_like(0.517, rate)
    wave = resynthesise(name, samples, rate).waveform
    assert (wave.sampling_rate, len(wave.samples)) == (rate, len(samples))


@pytest.mark.parametrize("name", ["world", "griffinlim", "lpc"])
def test_a_missing_reference_is_the_users_error(name):
    generator = GENERATORS.get(name)()
    if generator.check():
        pytest.skip("; ".join(map(str, generator.check())))
    generator.load()
    (error,) = generator.generate([SpeechRequest("k", 1, "Hello.", "en", None)])
    assert isinstance(error, UsageError)


@pytest.mark.parametrize("name", ["world", "griffinlim", "lpc"])
def test_silence_and_broken_samples(name):
    silent = resynthesise(name, np.zeros(8000, np.float32)).waveform.samples
    assert np.isfinite(silent).all() and np.abs(silent).max() < 1e-3
    with pytest.raises(MediaError) as caught:
        resynthesise(name, np.full(8000, np.nan, np.float32))
    assert caught.value.reason == "invalid_samples"


class TestWorld:
    def test_pitch_trackers_differ(self, speech_like):
        samples = speech_like(0.6)
        harvest, dio = (resynthesise("world", samples, f0=f0) for f0 in ("harvest", "dio"))
        assert not np.array_equal(harvest.waveform.samples, dio.waveform.samples)

    def test_loading_warns_of_nothing(self):
        generator = GENERATORS.get("world")()
        if generator.check():
            pytest.skip("; ".join(map(str, generator.check())))
        code = "from forensics.generators.base import GENERATORS; GENERATORS.get('world')().load()"
        command = [sys.executable, "-W", "always::UserWarning", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and "pkg_resources" not in done.stderr


class TestGriffinLim:
    def test_iterations_bring_it_nearer(self, speech_like):
        samples = speech_like(0.8)

        def error(iterations):
            made = resynthesise("griffinlim", samples, iterations=iterations).waveform.samples
            pair = [
                np.lib.stride_tricks.sliding_window_view(x, 512)[::128] for x in (made, samples)
            ]
            heard, meant = (np.abs(np.fft.rfft(x * np.hanning(512))) for x in pair)
            return np.linalg.norm(heard - meant) / np.linalg.norm(meant)

        assert error(50) < 0.8 * error(1)

    def test_torchs_own_generator_is_left_alone(self, speech_like):
        torch = pytest.importorskip("torch")
        torch.manual_seed(7)
        expected = torch.rand(3)
        torch.manual_seed(7)
        resynthesise("griffinlim", speech_like(0.3), iterations=2)
        assert torch.equal(torch.rand(3), expected)


class TestLpc:
    def test_levinson_solves_the_normal_equations(self):
        from scipy.linalg import solve_toeplitz

        frames = np.random.default_rng(0).standard_normal((5, 400)).cumsum(axis=1) * np.hanning(400)
        correlation = autocorrelation(frames)[:, :13]
        filters, error = levinson(correlation)
        for r, a, e in zip(correlation, filters, error, strict=True):
            floored = r.copy()
            floored[0] = r[0] * (1 + 1e-5) + 1e-12
            solution = solve_toeplitz(floored[:-1], -r[1:])
            assert np.allclose(a[1:], solution, rtol=1e-6, atol=1e-8)
            assert e == pytest.approx(floored[0] + r[1:] @ solution, rel=1e-6)
            assert np.abs(np.roots(a)).max() < 1.0

    @pytest.mark.parametrize("pitch", [75, 120, 233, 370])
    def test_it_finds_the_pitch(self, pitch):
        model = analyse(pulses(pitch, 16_000, 1.0), 16_000, 18, (60, 400))
        inner = model.pitch[8:-8]
        assert np.median(inner) == pytest.approx(pitch, rel=0.03)
        assert (inner > 0).mean() > 0.95

    def test_noise_and_silence_have_none(self):
        noise = 0.1 * np.random.default_rng(1).standard_normal(16_000)
        noise[8000:] *= 1e-4
        model = analyse(noise, 16_000, 18, (60, 400))
        assert (model.pitch > 0).mean() < 0.05

    def test_pitch_and_formants_survive(self):
        reference = pulses(140, 16_000, 1.0)
        made = resynthesise("lpc", reference).waveform.samples
        again = analyse(made, 16_000, 18, (60, 400))
        assert np.median(again.pitch[8:-8]) == pytest.approx(140, rel=0.03)
        pair = (np.fft.rfft(x[4000:12000] * np.hanning(8000)) for x in (reference, made))
        meant, heard = (  # dB in 20 bands of 200 Hz
            10 * np.log10(np.square(np.abs(s[:2000])).reshape(20, 100).sum(axis=1)) for s in pair
        )
        assert np.ptp(meant) > 25
        assert np.abs(heard - meant).max() < 5 and np.corrcoef(heard, meant)[0, 1] > 0.97
        assert abs(made.mean()) < 1e-3 * np.sqrt(np.mean(made**2))

    def test_the_level_is_the_references(self, speech_like):
        reference = speech_like(0.7)
        made = resynthesise("lpc", 0.2 * reference).waveform.samples
        assert np.sqrt(np.mean(made**2)) == pytest.approx(
            0.2 * np.sqrt(np.mean(reference**2)), rel=1e-3
        )

    def test_ten_times_real_time_and_blocks_leave_no_seam(self, speech_like, monkeypatch):
        samples = speech_like(6.0)  # more than two blocks of frames
        whole = resynthesise("lpc", samples).waveform.samples
        started = time.process_time()
        resynthesise("lpc", samples)
        assert time.process_time() - started < 0.6
        monkeypatch.setattr("forensics.generators.speech.lpc._BLOCK", 10_000)
        assert np.allclose(resynthesise("lpc", samples).waveform.samples, whole, atol=1e-6)


class TestLyra:
    @pytest.fixture
    def weights(self, shared_data):
        pytest.importorskip("ai_edge_litert", reason="needs: pip install 'forensics[lyra]'")
        return str(shared_data("weights") / "lyra_v2")

    @pytest.fixture
    def speech(self, shared_data):
        path = sorted(shared_data("speech").rglob("*.flac"))[0]
        samples, rate = soundfile.read(path, dtype="float32", frames=16_000 * 2)
        return samples, rate

    def test_each_clip_starts_afresh(self, weights, speech):
        generator = GENERATORS.get("lyra")(weights=weights, bitrate_kbps=6)
        generator.load()
        first = forge(generator, *speech).waveform.samples
        forge(generator, speech[0][::-1].copy(), speech[1])
        assert np.array_equal(forge(generator, *speech).waveform.samples, first)

    def test_more_bits_bring_it_nearer(self, weights, speech):
        def error(kbps):
            made = resynthesise(
                "lyra", *speech, weights=weights, bitrate_kbps=kbps
            ).waveform.samples
            frames = np.lib.stride_tricks.sliding_window_view
            pair = [frames(x, 512)[::160] * np.hanning(512) for x in (made, speech[0])]
            heard, meant = (np.log(np.abs(np.fft.rfft(x)) + 1e-3) for x in pair)
            return np.abs(heard - meant).mean()

        assert error(9.2) < error(3.2)

    def test_bit_rates_are_drawn_and_reported(self, weights, speech_like):
        generator = GENERATORS.get("lyra")(weights=weights, bitrate_kbps=[3.2, 9.2])
        generator.load()
        drawn = {
            forge(generator, speech_like(0.2), seed=s).details["bitrate_kbps"] for s in range(9)
        }
        assert drawn == {3.2, 9.2}

    def test_other_rates_come_out_at_16_khz_in_time(self, weights, speech_like):
        wave = resynthesise("lyra", speech_like(0.513, 44_100), 44_100, weights=weights).waveform
        assert wave.sampling_rate == 16_000 and wave.duration_s == pytest.approx(0.513, abs=1e-3)

    def test_a_bit_rate_that_it_lacks(self):
        with pytest.raises(ValueError, match="no bit rate 4"):
            GENERATORS.get("lyra")(bitrate_kbps=4)

    def test_missing_files_are_named(self, tmp_path):
        (tmp_path / "lyragan.tflite").write_bytes(b"")
        messages = [e.what for e in GENERATORS.get("lyra")(weights=str(tmp_path)).check()]
        assert any("no soundstream_encoder.tflite, quantizer.tflite" in m for m in messages)
