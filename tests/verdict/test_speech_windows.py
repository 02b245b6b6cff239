"""How files of any length become windows, and windows one score."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import bad_media
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import MediaError
from forensics.media.audio import AudioFile, Waveform
from forensics.verdict.speech import SpeechConfig, active_frames, cut, pool, window_starts

RATE, WINDOW = 16_000, 64_600


def wave(seconds: float, rate: int = RATE) -> Waveform:
    return Waveform(bad_media.tone(seconds, rate)[:, 0], rate)


def windows_of(audio, **config):
    return cut(audio, RATE, WINDOW, SpeechConfig(**config))


@given(st.integers(1, 10_000), st.integers(1, 500), st.integers(1, 500), st.integers(2, 40))
def test_windows_cover_the_file_in_order_and_stay_inside(total, window, hop, most):
    starts = window_starts(total, window, hop, most)
    assert starts == sorted(set(starts))
    assert 1 <= len(starts) <= most
    assert starts[0] == 0
    assert starts[-1] == max(0, total - window)
    if hop <= window and len(window_starts(total, window, hop, total)) <= most:
        ends = [start + window for start in starts]
        assert all(start <= end for start, end in zip(starts[1:], ends, strict=False))


@pytest.mark.parametrize("seconds", [0.6, 1.0, 3.9])
def test_a_short_clip_is_repeated(seconds):
    clip = wave(seconds)
    (window,) = windows_of(clip).windows
    expected = np.tile(clip.samples, 10)[:WINDOW]
    np.testing.assert_array_equal(window.samples, expected)
    assert (window.start_s, window.end_s) == (0.0, pytest.approx(seconds))


def test_the_last_window_ends_with_the_file_and_adds_only_what_is_new():
    clip = wave(10.0)
    found = windows_of(clip)
    assert [w.start_s for w in found.windows] == [0.0, 4.0375, 10.0 - 4.0375]
    np.testing.assert_array_equal(found.windows[-1].samples, clip.samples[-WINDOW:])
    assert found.analysed_s == pytest.approx(10.0)
    assert sum(w.weight for w in found.windows) == pytest.approx(10.0, abs=0.05)
    assert found.windows[-1].weight == pytest.approx(10.0 - 2 * 4.0375, abs=0.05)
    assert found.not_run == ()


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 192_000])
def test_other_rates_give_the_windows_of_the_file_resampled_at_once(rate):
    clip = wave(9.0, rate)
    whole = clip.resampled(RATE).samples
    for window in windows_of(clip).windows:
        start = round(window.start_s * RATE)
        expected = np.clip(whole[start : start + WINDOW], -1, 1)
        # 44.1 kHz and 16 kHz share few sampling instants: up to half a source sample apart.
        error = np.abs(window.samples[: len(expected)] - expected)
        assert np.sqrt(np.mean(error**2)) < 0.05 * np.sqrt(np.mean(expected**2))


def test_silent_windows_are_not_scored_and_that_is_said():
    gap = np.zeros(RATE * 10, np.float32)
    samples = np.concatenate([wave(5.0).samples, gap, wave(5.0).samples])
    found = windows_of(Waveform(samples, RATE))
    assert all(w.end_s <= 8.1 or w.start_s >= 12.0 for w in found.windows)
    assert found.not_run == ("windows: 1 of 5 are silent and were not scored",)
    assert found.analysed_s < 20.0
    assert sum(w.weight for w in found.windows) == pytest.approx(10.0, abs=0.1)


def test_long_files_are_sampled_evenly_and_that_is_said(tmp_path):
    found = windows_of(wave(60.0), max_windows=4)
    starts = [w.start_s for w in found.windows]
    assert len(starts) == 4
    assert starts[0] == 0.0
    assert starts[-1] == pytest.approx(60.0 - 4.0375)
    assert np.ptp(np.diff(starts)) < 4.1
    assert found.analysed_s == pytest.approx(4 * 4.0375)
    assert found.not_run == ("windows: 4 of 15, evenly spread, were looked at",)


def test_a_file_and_its_samples_give_the_same_windows(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(bad_media.encoded(subtype="FLOAT"))
    with AudioFile(path) as audio:
        from_file = windows_of(audio)
    in_memory = windows_of(wave(6.0))
    for one, other in zip(from_file.windows, in_memory.windows, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
        assert one.weight == other.weight


def test_samples_beyond_full_scale_are_clipped_and_counted():
    loud = Waveform(wave(5.0).samples * 20, RATE)
    found = windows_of(loud)
    assert found.clipped > 0.5
    assert np.abs(found.windows[0].samples).max() == 1.0
    assert windows_of(wave(5.0)).clipped == 0.0


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(RATE), "silent"),
        (np.full(RATE * 9, -0.3), "silent"),
        (bad_media.tone(0.4)[:, 0], "too_short"),
        (np.concatenate([bad_media.tone(0.4)[:, 0], np.zeros(RATE * 60)]), "too_short"),
        (bad_media.tone(8.0)[:, 0] * 1e-4, "silent"),
    ],
)
def test_too_little_sound_is_not_judged(samples, reason):
    with pytest.raises(MediaError) as caught:
        windows_of(Waveform(samples.astype(np.float32), RATE))
    assert caught.value.reason == reason


def test_how_much_sound_is_needed_is_a_parameter():
    assert windows_of(wave(0.4), min_speech_s=0.3).windows
    with pytest.raises(MediaError):
        windows_of(wave(2.0), min_speech_s=3.0)


def test_a_click_does_not_make_a_window_worth_scoring():
    samples = np.zeros(RATE * 12, np.float32)
    samples[: RATE * 4] = wave(4.0).samples
    samples[RATE * 6] = 0.9
    found = windows_of(Waveform(samples, RATE))
    assert [w.start_s for w in found.windows] == [0.0]


def test_activity_is_judged_frame_by_frame_without_the_offset():
    samples = np.full(RATE, 0.5, np.float32)
    samples[RATE // 2 :] += wave(0.5).samples
    active = active_frames(samples - samples[:8000].mean(), RATE, -60.0)
    assert len(active) == 50
    assert active[25:].all()


def test_every_second_of_sound_weighs_the_same():
    clip = wave(10.0)
    found = windows_of(clip)
    raw = np.array([1.0, 1.0, 5.0])
    share = found.windows[2].weight / sum(w.weight for w in found.windows)
    assert pool(found.windows, raw) == pytest.approx(1.0 + 4.0 * share)
