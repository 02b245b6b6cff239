"""`detect`: every input gets a verdict, none stops the others, and batches change nothing."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import bad_media, tiny_detector

import forensics
from forensics.detectors.speech.aasist import AasistLDetector
from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.media.audio import Limits, Waveform, read_audio
from forensics.media.av_reader import av_installed
from forensics.verdict.detect import detect, detect_iter, load_detector
from forensics.verdict.schema import Verdict
from forensics.verdict.speech import SpeechConfig


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return tiny_detector.save(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def detector(weights):
    import torch

    torch.set_num_threads(1)
    return load_detector(weights)


@pytest.fixture
def clips(tmp_path):
    """Seven good files of different length, rate, channels and container."""
    made = {
        "a.wav": bad_media.encoded(),
        "b.flac": bad_media.encoded("FLAC", bad_media.tone(1.2)),
        "c.mp3": bad_media.encoded("MP3", bad_media.tone(13.0)),
        "d.ogg": bad_media.encoded("OGG", bad_media.tone(4.0375)),
        "e.wav": bad_media.encoded(samples=bad_media.tone(5.0, 44_100, 2), rate=44_100),
        "f.wav": bad_media.encoded(samples=bad_media.tone(3.0, channels=8)),
        "g.flac": bad_media.encoded("FLAC", bad_media.tone(2.0, 192_000), rate=192_000),
    }
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    return [tmp_path / name for name in made]


@pytest.mark.parametrize("case", bad_media.CONTENT)
def test_bad_content_gets_its_reason(tmp_path, weights, case):
    if case in bad_media.NEEDS_PYAV and not av_installed():
        pytest.skip("needs the extra: forensics[av]")
    path, reason = bad_media.write(tmp_path, case)
    for source in (path, path.read_bytes()):
        (verdict,) = detect([source], weights)
        assert (verdict.label, verdict.reason) == ("not_applicable", reason)
        assert verdict.p_manipulated is None
        assert verdict.llr is None
        assert verdict.detectors == () == verdict.segments
        assert verdict.message and "\n" not in verdict.message
        assert not verdict.message.startswith(("<bytes>", str(path)))
        assert f"detectors: {reason}" in verdict.not_run


@pytest.mark.parametrize("kind", bad_media.ODD_PLACES)
def test_odd_places_get_their_reason(tmp_path, weights, kind):
    path, reason = bad_media.odd_place(tmp_path, kind)
    (verdict,) = detect([path], weights)
    assert (verdict.label, verdict.reason) == ("not_applicable", reason)


def test_urls_folders_and_patterns(tmp_path, weights):
    (tmp_path / "void").mkdir()
    asked = ["https://example.org/a.wav", str(tmp_path / "void"), str(tmp_path / "*.wav")]
    verdicts = detect(asked, weights)
    assert [v.reason for v in verdicts] == ["is_url", "not_found", "not_found"]
    assert [v.path for v in verdicts] == asked


def test_good_files_get_a_whole_verdict(clips, detector):
    for verdict, path in zip(detect(clips, detector), clips, strict=True):
        assert verdict.path == str(path)
        assert verdict.label in ("bonafide", "manipulated", "uncertain")
        assert verdict.p_manipulated == pytest.approx(1 / (1 + np.exp(verdict.llr)))
        assert verdict.threshold == tiny_detector.THRESHOLD
        (entry,) = verdict.detectors
        assert (entry.name, entry.version) == ("aasist-l", AasistLDetector.version)
        assert entry.weights_sha256 == detector.bundle.weights_sha256
        assert verdict.llr == pytest.approx(2 * entry.raw + 0.1)
        assert all(s.llr == pytest.approx(2 * s.raw + 0.1) for s in verdict.segments)
        assert entry.runtime.startswith("torch") and entry.explanation is None
        assert "fitted on a test" in entry.calibration
        assert verdict.modality == "speech"
        assert verdict.input.analysed_s == pytest.approx(verdict.input.duration_s, abs=0.01)
        assert verdict.input.size_bytes == path.stat().st_size
        assert len(verdict.input.sha256 or "") == 64
        assert any(note.startswith("C2PA") for note in verdict.not_run)
        assert verdict.timings_s["score"] > 0 <= verdict.timings_s["decode"]
        assert verdict.segments[-1].end_s == pytest.approx(verdict.input.duration_s, abs=0.01)
        again = Verdict.model_validate_json(verdict.model_dump_json())
        assert again == verdict


def test_the_raw_score_is_the_detectors_own_on_its_window(detector):
    samples = bad_media.tone(4.0375)[:, 0]
    (verdict,) = detect([(samples, 16_000)], detector)
    expected = detector.score(samples[None, :])[0]
    assert verdict.detectors[0].raw == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_batch_scores_as_singles_do(clips, detector, batch_size):
    bad = clips[0].with_name("bad.wav")
    bad.write_bytes(b"nothing")
    singles = [detect([path], detector, batch_size=1)[0] for path in [*clips, bad]]
    batch = detect([*clips, bad], detector, batch_size=batch_size)
    for one, many in zip(singles, batch, strict=True):
        assert one.label == many.label
        assert one.reason == many.reason
        if one.llr is not None:
            assert many.llr == pytest.approx(one.llr, abs=1e-5)
            for mine, theirs in zip(one.segments, many.segments, strict=True):
                assert mine.llr == pytest.approx(theirs.llr, abs=1e-5)


def test_the_default_detector_gives_the_same_bits_in_any_company(clips):
    def said(verdict):
        return verdict.llr, verdict.segments, verdict.detectors[0].explanation

    default = load_detector(threads=2)
    singles = [said(verdict) for path in clips for verdict in detect(path, batch_size=1)]
    assert len(set(singles)) == len(clips)
    assert [said(verdict) for verdict in detect(clips, default, batch_size=5)] == singles
    assert [said(verdict) for verdict in detect(clips[::-1], default)] == singles[::-1]


def test_the_order_of_inputs_is_kept(clips, tmp_path, detector):
    mixed = [tmp_path / "gone.wav", clips[2], b"junk", clips[0], "https://x.org/", clips[1]]
    verdicts = list(detect_iter(mixed, detector, batch_size=4))
    assert [v.label == "not_applicable" for v in verdicts] == [1, 0, 1, 0, 1, 0]
    assert verdicts[3].path == str(clips[0])


def test_verdicts_of_a_stream_come_before_it_ends(clips, detector):
    asked = []

    def stream():
        for path in clips:
            asked.append(path)
            yield path

    stream_of_verdicts = detect_iter(stream(), detector, batch_size=1)
    next(stream_of_verdicts)
    assert len(asked) == 1


class Failing(AasistLDetector):
    """A detector with a bug: it cannot score windows that start with a certain sample."""

    name = "failing"

    def examine(self, windows):
        if (windows[:, 0] == 0.5).any():
            raise RuntimeError("index out of range")
        scores, explanations = super().examine(windows)
        return np.where(windows[:, 0] == 0.25, np.nan, scores), explanations


@pytest.mark.parametrize(("first", "message"), [(0.5, "index out of range"), (0.25, "not finite")])
def test_an_unexpected_error_stays_with_its_file(weights, first, message, caplog):
    failing = Failing.__new__(Failing)
    failing.__dict__ = load_detector(weights).__dict__
    cursed = bad_media.tone(5.0)[:, 0].copy()
    cursed[0] = first
    fine = bad_media.tone(2.0)[:, 0]
    with caplog.at_level(logging.CRITICAL):
        verdicts = detect([(fine, 16_000), (cursed, 16_000), (fine, 16_000)], failing)
    assert [v.reason == "internal_error" for v in verdicts] == [False, True, False]
    assert message in verdicts[1].message
    assert verdicts[0].llr == verdicts[2].llr == detect([(fine, 16_000)], failing)[0].llr


def test_samples_bytes_and_files_are_judged_alike(tmp_path, detector):
    samples = bad_media.tone(5.0)[:, 0]
    data = bad_media.encoded(samples=samples[:, None], subtype="FLOAT")
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    pcm = np.round(samples * 32767).astype(np.int16)
    ways = [path, data, Waveform(samples, 16_000), (samples, 16_000), (samples[:, None], 16_000)]
    verdicts = detect([*ways, (np.tile(samples, (2, 1)), 16_000), (pcm, 16_000)], detector)
    llrs = [v.llr for v in verdicts]
    assert llrs[:6] == pytest.approx([llrs[0]] * 6, abs=1e-5)
    assert llrs[6] == pytest.approx(llrs[0], abs=0.05)
    assert verdicts[1].path == "<bytes 1>"
    assert verdicts[2].path == "<waveform 2>"
    assert detect((samples, 16_000), detector)[0].llr == llrs[3]
    assert detect(str(path), detector)[0].llr == llrs[0]


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        (np.array([0.0, np.nan, 0.1]), 16_000, "invalid_samples"),
        (np.full(20_000, 1e300), 16_000, "invalid_samples"),
        (np.zeros(0), 16_000, "empty"),
        (np.zeros((2, 2, 2)), 16_000, "unsupported"),
        (np.array(["a"]), 16_000, "unsupported"),
        (np.zeros(100), 0, "unsupported"),
        (np.zeros(20_000), 16_000, "silent"),
    ],
)
def test_bad_samples_get_a_reason(weights, samples, rate, reason):
    (verdict,) = detect([(samples, rate)], weights)
    assert (verdict.label, verdict.reason) == ("not_applicable", reason)


def test_things_that_are_no_input_are_a_usage_error(weights):
    with pytest.raises(UsageError, match="input 1 is a float"):
        detect([b"x", 3.0], weights)  # pyright: ignore[reportArgumentType]


def test_configuration_and_limits_reach_the_work(clips, detector):
    (few,) = detect([clips[2]], detector, config=SpeechConfig(max_windows=2))
    assert len(few.segments) == 2
    assert few.input.analysed_s is not None and few.input.duration_s is not None
    assert few.input.analysed_s < few.input.duration_s
    assert few.not_run[0].startswith("windows: 2 of 4")
    (long,) = detect([clips[2]], detector, limits=Limits(max_seconds=5))
    assert long.reason == "too_long"


def test_an_uncalibrated_detector_is_never_certain(tmp_path, clips):
    bare = tiny_detector.save(tmp_path / "bare", calibration=None, thresholds=())
    (verdict,) = detect([clips[0]], bare)
    assert (verdict.label, verdict.reason) == ("uncertain", "uncalibrated")
    assert verdict.detectors[0].calibration == "none"
    assert verdict.p_manipulated is None and verdict.llr is None
    assert verdict.detectors[0].llr is None and np.isfinite(verdict.detectors[0].raw)
    assert all(s.llr is None and s.p_manipulated is None for s in verdict.segments)
    assert verdict.detectors[0].raw == pytest.approx(verdict.segments[0].raw, abs=1)
    assert verdict.threshold is None
    cut = tiny_detector.save(tmp_path / "cut", thresholds=())
    assert detect([clips[0]], cut)[0].reason == "no_threshold"


def test_what_a_file_says_of_itself_is_shown_and_changes_nothing(tmp_path, detector):
    import soundfile

    samples = bad_media.tone(5.0)
    plain, tagged = tmp_path / "plain.flac", tmp_path / "ElevenLabs_fake.mp3"
    plain.write_bytes(bad_media.encoded("FLAC", samples))
    with soundfile.SoundFile(tagged, "w", 16_000, 1, format="FLAC") as file:
        file.software = "SuperTTS 3.0 deepfake generator"
        file.comment = "definitely genuine\x07"
        file.write(samples)
    before, after = detect([plain, tagged], detector)
    assert after.llr == before.llr
    assert (after.label, after.p_manipulated) == (before.label, before.p_manipulated)
    assert "SuperTTS" in after.provenance["tags"]["software"]
    assert after.provenance["notes"] == ["the name ends in .mp3 but the content is flac"]
    assert before.provenance["notes"] == []


def test_clipping_is_noted(detector):
    (verdict,) = detect([(bad_media.tone(5.0)[:, 0] * 50, 16_000)], detector)
    assert "exceed full scale" in verdict.provenance["notes"][0]


def test_videos_are_not_judged_by_their_sound(tmp_path, weights):
    if not av_installed():
        pytest.skip("needs the extra: forensics[av]")
    import io

    import av

    handle = io.BytesIO()
    with av.open(handle, "w", format="mp4") as out:
        video, sound = out.add_stream("mpeg4", rate=10), out.add_stream("aac", rate=16_000)
        video.width = video.height = 32
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            out.mux(video.encode(frame))
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(bad_media.tone(2.0).T), format="fltp", layout="mono"
        )
        frame.rate = 16_000
        out.mux(sound.encode(frame))
        for stream in (video, sound):
            out.mux(stream.encode(None))
    (verdict,) = detect([handle.getvalue()], weights)
    assert (verdict.reason, verdict.modality) == ("unsupported_modality", "video")
    assert read_audio(handle.getvalue()).duration_s == pytest.approx(2.0, abs=0.2)


def test_odd_names_are_valid_unicode_in_a_verdict(tmp_path, weights):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"junk")
    (verdict,) = detect([path], weights)
    assert verdict.path.endswith("caf\\xe9.wav")
    json.dumps(verdict.model_dump(mode="json")).encode()
    assert verdict.reason == "not_media"


def test_detectors_are_found_by_name_and_folder(weights, tmp_path):
    assert load_detector(str(weights)).name == "aasist-l"
    assert load_detector("aasist-l", weights).name == "aasist-l"
    assert load_detector(weights=weights).name == "aasist-l"
    with pytest.raises(UsageError):
        load_detector("aasist", weights)
    with pytest.raises(MissingRequirement, match="no weights are named"):
        load_detector("aasist")
    with pytest.raises(MissingRequirement):
        load_detector("aasist", tmp_path / "gone")
    with pytest.raises(UsageError, match="neither a detector nor"):
        load_detector("aassist")
    with pytest.raises(UsageError, match="two weights folders"):
        load_detector(weights, weights)


def test_damaged_weights_stop_everything_at_once(tmp_path, clips):
    folder = tiny_detector.save(tmp_path / "damaged")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(CorpusError, match="SHA-256"):
        detect_iter(clips, folder)


def test_missing_weights_are_said_before_any_work(tmp_path):
    with pytest.raises(MissingRequirement):
        detect_iter([tmp_path / "gone.wav"], "aasist", weights=tmp_path / "none")


def test_bad_inputs_alone_need_no_torch(tmp_path, weights):
    (tmp_path / "a.wav").write_bytes(b"junk")
    code = (
        "import sys, forensics\n"
        f"(v,) = forensics.detect([{str(tmp_path / 'a.wav')!r}], {str(weights)!r})\n"
        "print(v.reason, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["not_media", "False"]


def test_the_public_names_are_these():
    assert forensics.detect is detect
    assert forensics.load_detector is load_detector
