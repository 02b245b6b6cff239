"""Long files: every second is judged, in windows that come and go, at a cost linear in length."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import bad_media

from forensics.detectors.base import Explanation, SpeechDetector
from forensics.detectors.bundle import Bundle, BundleConfig
from forensics.detectors.calibration import Calibration
from forensics.verdict.detect import detect, detect_iter
from forensics.verdict.explained import MAX_STEPS, on_clip
from forensics.verdict.speech import SpeechConfig

RATE, WINDOW = 16_000, 16_000
MEASURE = """
import json, sys, time
from pathlib import Path
import forensics
def peak_kib():  # ru_maxrss would count what the parent held when it started this process
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
detector = forensics.load_detector()
forensics.detect(sys.argv[1], detector)
before, start = peak_kib(), time.process_time()
(verdict,) = forensics.detect(sys.argv[2], detector)
print(json.dumps({
    "grown_kib": peak_kib() - before,
    "cpu_s": time.process_time() - start,
    "segments": len(verdict.segments),
    "analysed_s": verdict.input.analysed_s,
    "label": verdict.label,
}))
"""


class Loudness(SpeechDetector):
    """Scores a window by its mean level; says that it looked where it was loudest."""

    name, version, licence, summary = "loudness", "1", "CC0-1.0", "for tests"
    window_samples = WINDOW
    runtime = "numpy"

    def __init__(self, free=True, calibrated=True):
        calibration = Calibration(
            scale=1.0, offset=0.0, n_bonafide=9, n_spoof=9, fitted_on="nothing"
        )
        self.bundle = Bundle(
            Path(),
            BundleConfig(
                detector="loudness",
                detector_version="1",
                architecture={},
                sampling_rate=RATE,
                window_samples=WINDOW,
                calibration=calibration if calibrated else None,
                trained_on="nothing",
                licence="CC0-1.0",
                weights_sha256="0" * 64,
            ),
        )
        self.free, self.batches, self.explained = free, [], 0

    @classmethod
    def from_folder(cls, folder, device="cpu", threads=None):
        raise NotImplementedError

    def score(self, windows):
        self.batches.append(len(windows))
        return -np.abs(windows).mean(axis=1, dtype=np.float64)

    def explain(self, window):
        self.explained += 1
        levels = np.abs(window).reshape(16, -1).mean(axis=1)
        shares = (levels / levels.sum()).astype(np.float32)
        layers = np.float32([0.25, 0.75])
        return Explanation(1 / 16, shares, layers, None, np.stack([shares, shares[::-1]]))

    def examine(self, windows):
        explained = [self.explain(w) if self.free else None for w in windows]
        return self.score(windows), explained


def quiet_with_a_loud_part(seconds=30.0, loud=(12.0, 14.0)):
    samples = 0.1 * bad_media.tone(seconds)[:, 0]
    samples[int(loud[0] * RATE) : int(loud[1] * RATE)] *= 8
    return samples


def test_windows_are_scored_as_they_are_read_never_all_at_once(tmp_path):
    path = tmp_path / "long.wav"
    path.write_bytes(bad_media.encoded(samples=bad_media.tone(120.0)))
    detector = Loudness()
    (verdict,) = detect(path, detector, batch_size=8)
    assert detector.batches == [8] * 15
    assert len(verdict.segments) == 120
    assert verdict.input.analysed_s == pytest.approx(120.0)
    assert not [note for note in verdict.not_run if note.startswith("windows")]


def test_windows_that_overlap_show_a_short_forgery_better():
    samples = quiet_with_a_loud_part(loud=(12.5, 13.5))
    apart = detect((samples, RATE), Loudness())[0].segments
    over = detect((samples, RATE), Loudness(), config=SpeechConfig(hop_s=0.25))[0].segments
    assert len(apart) == 30 and len(over) == 117
    np.testing.assert_allclose(np.diff([segment.start_s for segment in over]), 0.25)
    worst = min(over, key=lambda segment: segment.raw)
    assert (worst.start_s, worst.end_s) == (12.5, 13.5)
    assert worst.raw < min(segment.raw for segment in apart)


def test_a_file_that_breaks_off_does_not_stop_the_rest(tmp_path):
    data = bad_media.encoded("FLAC", bad_media.tone(60.0))
    broken = tmp_path / "broken.flac"
    broken.write_bytes(data[: len(data) // 2])
    whole = (bad_media.tone(3.0)[:, 0], RATE)
    detector = Loudness()
    before, bad, after = detect_iter([whole, broken, whole], detector, batch_size=4)
    assert (bad.label, bad.reason, bad.segments) == ("not_applicable", "truncated", ())
    assert before.segments == after.segments and len(before.segments) == 3


def test_the_most_suspect_window_is_explained_and_every_window_where_it_is_free():
    samples = quiet_with_a_loud_part()
    for free in (True, False):
        detector = Loudness(free)
        (verdict,) = detect((samples, RATE), detector)
        assert detector.explained == (30 if free else 1)
        explanation = verdict.detectors[0].explanation
        assert explanation is not None
        assert (explanation.start_s, explanation.end_s) in ((12.0, 13.0), (13.0, 14.0))
        assert sum(explanation.time) == pytest.approx(1, abs=1e-2)
        assert explanation.seconds_per_step == 1 / 16
        assert explanation.layers == (0.25, 0.75) and explanation.layer_groups is None
        assert explanation.attention is not None
        assert explanation.attention[1] == explanation.attention[0][::-1]
        assert all((s.attention is not None) == free for s in verdict.segments)
    silent = Loudness()
    (verdict,) = detect((samples, RATE), silent, explain=False)
    assert silent.explained == 0 and verdict.detectors[0].explanation is None
    assert verdict.segments[0].attention is None


def test_attention_on_a_short_clip_lies_on_the_clip():
    samples = bad_media.tone(0.6)[:, 0] * np.linspace(0.1, 1, int(0.6 * RATE), dtype=np.float32)
    (verdict,) = detect((samples, RATE), Loudness())
    attention = verdict.segments[0].attention
    assert attention is not None
    assert len(attention) == 10
    # The window is the clip, then its first two thirds once more.
    assert sum(attention) == pytest.approx(1, abs=1e-2)
    assert attention[5] > attention[0]


def test_an_explanation_that_fails_costs_itself_alone(caplog):
    class Broken(Loudness):
        def explain(self, window):
            raise RuntimeError("no gradient")

    with caplog.at_level("CRITICAL"):
        (verdict,) = detect((quiet_with_a_loud_part(), RATE), Broken(free=False))
    assert verdict.label == "uncertain" and verdict.detectors[0].explanation is None


@pytest.mark.parametrize("clip_s", [4.0, 9.0, 2.0, 1.3, 0.3])
@pytest.mark.parametrize("steps", [1, 16, 201])
def test_shares_stay_whole_on_the_clips_own_time(steps, clip_s):
    shares = np.random.default_rng(0).dirichlet(np.ones(steps), 3)
    found = on_clip(shares, 4.0, clip_s)
    assert found.shape[0] == 3 and 1 <= found.shape[1] <= MAX_STEPS
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert (found >= -1e-12).all()


def test_shares_of_a_repeated_clip_are_added_up():
    even = on_clip(np.full(16, 1 / 16), 4.0, 1.0)
    np.testing.assert_allclose(even, 0.25)
    once = np.zeros(16)
    once[5] = 1.0  # 1.25 to 1.5 s: the second quarter of the second turn
    np.testing.assert_allclose(on_clip(once, 4.0, 1.0), [0, 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(on_clip(np.arange(16.0), 4.0, 4.0), np.arange(16.0))


def long_file(path, seconds):
    """A wav of that length, written a minute at a time."""
    minute = (bad_media.tone(60.0)[:, 0] * 32767).astype(np.int16)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for start in range(0, seconds, 60):
            file.write(minute[: (min(seconds - start, 60)) * RATE])
    return str(path)


def measured(tmp_path, seconds):
    """CPU seconds, and growth of memory over that of a first file, in a process of its own."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    line = [sys.executable, "-c", MEASURE, long_file(tmp_path / "first.wav", 60)]
    done = subprocess.run(
        [*line, long_file(tmp_path / f"{seconds}.wav", seconds)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_quarter_of_an_hour_needs_no_more_memory_than_a_minute(tmp_path):
    found = measured(tmp_path, 900)
    assert found["segments"] == 223
    assert found["analysed_s"] == pytest.approx(900, abs=0.1)
    assert found["grown_kib"] < 24 * 1024  # the samples alone are 56 MiB


@pytest.mark.slow
def test_three_hours_cost_what_they_should_and_memory_stays_flat(tmp_path):
    hour, three = measured(tmp_path, 3600), measured(tmp_path, 3 * 3600)
    assert three["segments"] == 2675
    assert three["grown_kib"] < 48 * 1024  # the samples alone are 659 MiB
    assert three["cpu_s"] < 3.6 * hour["cpu_s"]
