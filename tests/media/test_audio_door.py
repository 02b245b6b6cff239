"""The door for untrusted audio: what opens, what does not, and what each costs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import bad_media
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import MediaError
from forensics.media.audio import AudioFile, Limits, Waveform, encode, probe, read_audio
from forensics.media.av_reader import av_installed
from forensics.media.sniff import sniff

needs_pyav = pytest.mark.skipif(not av_installed(), reason="needs the extra: forensics[av]")
LATER = {"silent", "too_short", "unsupported_modality"}  # what the verdict says, not the decoder


def refused(source, **options) -> MediaError:
    with pytest.raises(MediaError) as caught:
        read_audio(source, **options)
    assert caught.value.fix and "\n" not in caught.value.what
    return caught.value


@pytest.mark.parametrize("case", bad_media.CONTENT)
def test_bad_content_is_refused_with_its_reason(tmp_path, case):
    if case in bad_media.NEEDS_PYAV and not av_installed():
        pytest.skip("needs the extra: forensics[av]")
    path, reason = bad_media.write(tmp_path, case)
    if reason == "unsupported_modality":
        reason = "not_media"  # no audio: all that this door can know
    if reason in LATER:
        assert len(read_audio(path).samples) > 0
        return
    assert refused(path).reason == reason
    assert refused(path.read_bytes()).reason == reason


@pytest.mark.parametrize("kind", bad_media.ODD_PLACES)
def test_only_regular_files_are_opened(tmp_path, kind):
    path, reason = bad_media.odd_place(tmp_path, kind)
    assert refused(path).reason == reason


def test_a_folder_and_names_that_no_file_can_have_are_refused(tmp_path):
    assert refused(tmp_path).reason == "not_readable"
    assert refused("a\0b.wav").reason == "not_found"
    assert refused("x" * 5000).reason == "not_found"


def test_a_file_without_permission_is_not_readable(tmp_path):
    path = tmp_path / "mine.wav"
    path.write_bytes(bad_media.encoded())
    path.chmod(0)
    code = (
        "import os, sys\n"
        "from forensics.media.audio import read_audio\n"
        "from forensics.errors import MediaError\n"
        "import soundfile\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: read_audio(sys.argv[1])\n"
        "except MediaError as error: print(error.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "not_readable"


@pytest.mark.parametrize("container", ["WAV", "FLAC", "MP3", "OGG", "AIFF", "AU", "CAF", "RF64"])
def test_content_decides_and_a_lying_extension_is_noted(tmp_path, container):
    path = tmp_path / "call.m4a"
    path.write_bytes(bad_media.encoded(container))
    with AudioFile(path) as audio:
        wave = audio.read()
        assert "the name ends in .m4a" in audio.notes[0]
    assert wave.duration_s == pytest.approx(6.0, abs=0.1)
    reference = bad_media.tone()[:, 0]
    count = min(len(reference), len(wave.samples))
    assert np.corrcoef(wave.samples[:count], reference[:count])[0, 1] > 0.98


def test_an_honest_extension_is_not_noted(tmp_path):
    path = tmp_path / "call.WAV"
    path.write_bytes(bad_media.encoded())
    with AudioFile(path) as audio:
        assert audio.notes == ()
        assert audio.info.codec == "PCM_16"


def test_a_streamed_wav_with_unknown_sizes_is_read():
    data = bytearray(bad_media.encoded())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert read_audio(bytes(data)).duration_s == pytest.approx(6.0)


def test_chunks_after_the_audio_may_be_cut():
    whole = bad_media.encoded()
    promised = whole + b"LIST" + (1000).to_bytes(4, "little") + b"INFO"
    assert read_audio(promised).duration_s == pytest.approx(6.0)


@needs_pyav
def test_a_flac_without_its_length_is_read_to_the_end():
    data = bytearray(bad_media.encoded("FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    wave = read_audio(bytes(data))
    expected = read_audio(bad_media.encoded("FLAC"))
    np.testing.assert_array_equal(wave.samples, expected.samples)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_parts_in_any_order_equal_the_whole(container):
    data = bad_media.encoded(container)
    whole = read_audio(data).samples
    with AudioFile(data) as audio:
        for start, duration in [(0, 1), (0.9, 1.5), (4.0, 9.0), (1.2, 0.5), (1.2, 0.25), (5.99, 1)]:
            part = audio.read(start, duration).samples
            first = round(start * bad_media.RATE)
            np.testing.assert_allclose(part, whole[first : first + len(part)], atol=2e-5)
            assert len(part) == min(round(duration * bad_media.RATE), len(whole) - first)


def test_parts_of_an_mp3_are_decoded_without_remarks(capfd):
    """Noise makes frames borrow bits from earlier ones, which a jump would cut off."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((20 * bad_media.RATE, 1))
    data = bad_media.encoded("MP3", noise.astype(np.float32))
    whole = read_audio(data).samples
    with AudioFile(data) as audio:
        for start in (0.0, 4.0, 7.9, 15.0, 2.0):
            part = audio.read(start, 4.0).samples
            first = round(start * bad_media.RATE)
            np.testing.assert_allclose(part, whole[first : first + len(part)], atol=1e-5)
    assert capfd.readouterr().err == ""


def test_what_a_caller_does_to_a_part_does_not_reach_the_next():
    data = bad_media.encoded()
    with AudioFile(data) as audio:
        audio.read(0, 2).samples[:] = 9.0
        again = audio.read(1, 2).samples
    np.testing.assert_array_equal(again, read_audio(data).read(1, 2).samples)


def test_eight_channels_are_averaged():
    samples = np.zeros((bad_media.RATE, 8), np.float32)
    samples[:, 3] = bad_media.tone(1.0)[:, 0]
    wave = read_audio(bad_media.encoded(samples=samples, subtype="FLOAT"))
    np.testing.assert_allclose(wave.samples, samples[:, 3] / 8, atol=1e-6)


def test_channels_that_cancel_do_not_hide_the_voice():
    voice = bad_media.tone(1.0)
    wave = read_audio(bad_media.encoded(samples=np.hstack([voice, -voice]), subtype="FLOAT"))
    np.testing.assert_allclose(np.abs(wave.samples), np.abs(voice[:, 0]), atol=1e-6)


def test_192_khz_is_read_and_resampled():
    samples = bad_media.tone(1.0, 192_000)
    wave = read_audio(bad_media.encoded("FLAC", samples, rate=192_000), sampling_rate=16_000)
    assert wave.sampling_rate == 16_000
    assert len(wave.samples) == 16_000


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_bytes=1000), "too_large"),
        (Limits(max_seconds=1.0), "too_long"),
        (Limits(max_rate=8000), "unsupported"),
        (Limits(max_read_samples=1000), "too_large"),
    ],
)
def test_limits_bound_what_a_file_may_cost(limits, reason):
    assert refused(bad_media.encoded(), limits=limits).reason == reason


def test_a_part_of_many_channels_costs_no_more_than_of_one(tmp_path):
    """64 channels at 192 kHz: a 4 s window of them would be 196 MB at once."""
    path = tmp_path / "bomb.wav"
    size = 5 * 192_000 * 64 * 2
    with path.open("wb") as file:
        file.write(bad_media.wav_header(size, 192_000, 64))
        file.truncate(44 + size)
    assert _peak_growth_mb(path, "audio.read(0.0, 4.0)") < 100


def test_three_hours_are_read_in_windows_with_flat_memory(tmp_path):
    path = tmp_path / "long.flac"
    minute = np.random.default_rng(0).integers(-40, 40, 8000 * 60).astype(np.int16)
    with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(180):
            file.write(minute)
    assert probe(path).duration_s == 3 * 3600
    work = "[audio.read(s, 4.0) for s in range(0, 10796, 167)]"
    assert _peak_growth_mb(path, work) < 30


def test_a_sparse_wav_of_three_hours_is_read_at_its_end(tmp_path):
    path = tmp_path / "sparse.wav"
    size = 3 * 3600 * bad_media.RATE * 2
    with path.open("wb") as file:
        file.write(bad_media.wav_header(size))
        file.truncate(44 + size)
    with AudioFile(path) as audio:
        assert audio.duration_s == 3 * 3600
        assert len(audio.read(10_790.0, 60.0).samples) == 10 * bad_media.RATE


def _peak_growth_mb(path: Path, work: str) -> float:
    """How much the peak memory of a fresh process grows by reading."""
    code = (
        "import resource, sys\n"
        "from forensics.media.audio import AudioFile, read_audio, encode, Waveform\n"
        "import numpy as np\n"
        "read_audio(encode(Waveform(np.zeros(64000, np.float32), 16000), 'flac'))\n"
        "with AudioFile(sys.argv[1]) as audio:\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"    {work}\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    return int(done.stdout) / (1024 if sys.platform == "linux" else 1 << 20)


def test_a_name_that_is_not_utf8_is_opened(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    with open(path, "wb") as file:  # noqa: PTH123 (a bytes path)
        file.write(bad_media.encoded())
    assert read_audio(os.fsdecode(path)).duration_s == pytest.approx(6.0)


def test_nothing_stays_open(tmp_path):
    def open_files():
        folder = "/proc/self/fd"
        links = (Path(folder, name) for name in os.listdir(folder))  # noqa: PTH208
        return [os.readlink(link) for link in links if link.is_symlink()]  # noqa: PTH115

    for case in ("cut wav", "cut flac", "flac header only", "text", "NaN", "cut mp3", "cut mp4"):
        path, _ = bad_media.write(tmp_path, case)
        refused(path)
    good = tmp_path / "good.wav"
    good.write_bytes(bad_media.encoded())
    read_audio(good)
    assert not [name for name in open_files() if name.startswith(str(tmp_path))]


def _av_encode(samples: np.ndarray, codec: str, container: str, handle=None) -> bytes:
    import av

    handle = handle or io.BytesIO()
    with av.open(handle, "w", format=container) as out:
        stream = out.add_stream(codec, rate=48_000, layout="mono")
        resampler = av.AudioResampler("s16" if codec == "libopus" else "fltp", "mono", 48_000)
        for start in range(0, len(samples), 1600):
            piece = np.ascontiguousarray(samples[None, start : start + 1600, 0])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.rate, frame.pts = bad_media.RATE, start
            for part in resampler.resample(frame):
                out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return handle.getvalue()


@needs_pyav
@pytest.mark.parametrize(
    ("codec", "container", "name"),
    [("aac", "ipod", "m4a"), ("libopus", "webm", "webm"), ("aac", "adts", "aac")],
)
def test_what_libsndfile_cannot_read_is_read_in_parts(codec, container, name):
    samples = bad_media.tone()
    data = _av_encode(samples, codec, container)
    wave = read_audio(data)
    assert wave.duration_s == pytest.approx(6.0, abs=0.1)
    narrow = wave.resampled(bad_media.RATE).samples[:90_000]
    lags = [
        np.corrcoef(narrow[2000:80_000], samples[2000 - d : 80_000 - d, 0])[0, 1]
        for d in range(-700, 700)
    ]
    assert max(lags) > 0.98
    with AudioFile(data) as audio:
        assert audio.content.container == name
        assert audio.info.codec == ("opus" if codec == "libopus" else "aac")
        for start in (0.0, 0.9, 3.0, 1.5):
            part = audio.read(start, 1.0).samples
            expected = wave.samples[round(start * 48_000) :][: len(part)]
            # After a seek webm knows the time to a millisecond only.
            shifts = [
                np.abs(part[60:-60] - np.roll(expected, s)[60:-60]).max() for s in range(-50, 51)
            ]
            assert min(shifts) < 0.02


@needs_pyav
def test_a_webm_without_a_duration_as_browsers_record_it_is_read():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = bytearray()

        def writable(self):
            return True

        def write(self, block):
            self.data += bytes(block)
            return len(block)

        def getvalue(self):
            return bytes(self.data)

    wave = read_audio(_av_encode(bad_media.tone(), "libopus", "webm", Pipe()))
    assert wave.duration_s == pytest.approx(6.0, abs=0.1)


@needs_pyav
def test_a_cut_webm_is_truncated():
    data = _av_encode(bad_media.tone(), "libopus", "webm")
    assert refused(data[: len(data) // 2]).reason == "truncated"


@needs_pyav
def test_a_video_without_sound_has_no_audio():
    assert refused(video_bytes()).reason == "no_audio"


def video_bytes() -> bytes:
    import av

    handle = io.BytesIO()
    with av.open(handle, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return handle.getvalue()


def test_encode_round_trips():
    wave = Waveform(bad_media.tone(1.0)[:, 0], bad_media.RATE)
    for container in ("wav", "flac"):
        again = read_audio(encode(wave, container))
        np.testing.assert_allclose(again.samples, wave.samples, atol=1 / 32_000)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_audio_or_refused(data):
    try:
        assert np.isfinite(read_audio(data).samples).all()
    except MediaError as error:
        assert error.reason in {"empty", "not_media", "truncated", "unsupported", "no_audio"}


HEADS = [bad_media.encoded(c) for c in ("WAV", "FLAC", "AIFF", "AU", "W64", "CAF", "OGG")]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(HEADS), st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_damaged_headers_never_crash_or_hang(data, at, patch):
    damaged = data[:at] + patch + data[at + len(patch) :]
    try:
        with AudioFile(damaged[:20_000]) as audio:
            audio.read(0.0, 1.0)
    except MediaError as error:
        assert error.reason


@given(st.binary(max_size=64))
def test_sniffing_never_fails(head):
    content = sniff(head)
    assert content is None or content.modality in ("audio", "video", "image")
