"""Frames of videos: numbered and timed right in every container, bad files refused, memory flat."""

from __future__ import annotations

import io
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers import bad_media
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import MediaError, MissingRequirement
from forensics.media import video_frames
from forensics.media.frame_choice import evenly, pick_frames, spread
from forensics.media.raw import RawFile
from forensics.media.video_frames import VideoFrames, VideoLimits

REPO = Path(__file__).resolve().parents[2]
KINDS = (  # (container, codec, B-frames)
    ("mp4", "mpeg4", 0),
    ("mp4", "libx264", 2),
    ("matroska", "libx264", 2),
    ("webm", "libvpx", 0),
    ("avi", "mpeg4", 2),
    ("avi", "mjpeg", 0),
    ("flv", "flv", 0),
    ("mpeg", "mpeg2video", 2),
)


def picture(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A grey level that tells the number of the frame."""
    return np.full((height, width, 3), 20 + 5 * index, np.uint8)


def video(container="mp4", codec="mpeg4", b_frames=0, pictures=None, rate=25, gop=10) -> bytes:
    av = pytest.importorskip("av", reason="needs the extra: forensics[av]")
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg cannot encode {codec}")
    pictures = [picture(i) for i in range(40)] if pictures is None else pictures
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as sink:
        stream = sink.add_stream(codec, rate=rate, bit_rate=2_000_000)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = gop
        if b_frames:
            stream.codec_context.max_b_frames = b_frames
        for pixels in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                sink.mux(packet)
        for packet in stream.encode():
            sink.mux(packet)
    return buffer.getvalue()


def numbers(frames) -> list[int]:
    """What the grey levels say, which must be what the frames say."""
    said = []
    for frame in frames:
        assert frame.pixels.dtype == np.uint8 and frame.pixels.shape[2] == 3
        assert round((float(frame.pixels.mean()) - 20) / 5) == frame.index
        said.append(frame.index)
    return said


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]} {kind[1]}")
def test_frames_come_in_order_with_their_numbers_and_times(kind):
    with VideoFrames(video(*kind)) as frames:
        assert (frames.width, frames.height, frames.frame_count) == (64, 48, 40)
        assert frames.duration_s == pytest.approx(39 / 25, abs=0.002)
        whole = list(frames)
        assert numbers(whole) == list(range(40))
        np.testing.assert_allclose([f.time_s for f in whole], np.arange(40) / 25, atol=0.002)
        for wanted in ([0], [39], [3, 4, 5], [7, 25, 38], [], [19, 20, 21, 30]):
            assert numbers(frames.take(wanted)) == wanted


def test_only_what_is_needed_is_decoded(monkeypatch):
    """With an index, a frame costs its group of pictures and not the whole video."""
    still = np.random.default_rng(0).integers(60, 90, (48, 64, 3), dtype=np.uint8)
    data = video("mp4", "mpeg4", pictures=[still] * 200)
    decoded = []
    original = VideoFrames._decoded

    def counted(self, *arguments):
        for index, frame in original(self, *arguments):
            decoded.append(index)
            yield index, frame

    monkeypatch.setattr(VideoFrames, "_decoded", counted)
    with VideoFrames(data) as frames:
        assert [f.index for f in frames.take([95, 96, 187])] == [95, 96, 187]
    assert decoded == [*range(90, 97), *range(180, 188)]


def test_times_of_a_variable_rate():
    av = pytest.importorskip("av", reason="needs the extra: forensics[av]")
    buffer, stamps = io.BytesIO(), [0, 40, 80, 500, 520, 1400]
    with av.open(buffer, "w", format="matroska") as sink:
        stream = sink.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            for packet in stream.encode(frame):
                sink.mux(packet)
        for packet in stream.encode():
            sink.mux(packet)
    with VideoFrames(buffer.getvalue()) as frames:
        np.testing.assert_allclose([f.time_s for f in frames], np.array(stamps) / 1000, atol=0.002)


def test_evenly_takes_the_middles_of_equal_parts(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(video())
    assert numbers(evenly(path, 4)) == [5, 15, 25, 35]
    with RawFile(path, 1 << 30) as raw:
        assert numbers(evenly(raw, 100)) == list(range(40))
        assert numbers(evenly(raw, 1)) == [20]
    assert spread(3, 3) == spread(3, 7) == [0, 1, 2] and spread(0, 5) == []


def test_what_moves_and_is_sharp_is_picked_in_every_part():
    cv2 = pytest.importorskip("cv2")
    still = np.random.default_rng(0).integers(60, 90, (96, 128, 3), dtype=np.uint8)
    pictures = [still.copy() for _ in range(60)]
    for index in (10, 33, 47):
        pictures[index][20:60, 30:80] = 230  # something enters, sharp
    for index in (5, 27, 52):  # as much moves, out of focus
        moved = still.copy()
        moved[20:60, 30:80] = 230
        pictures[index] = cv2.GaussianBlur(moved, (0, 0), 8)
    picked = [f.index for f in pick_frames(video("mp4", "mpeg4", pictures=pictures), 3)]
    assert picked == [10, 33, 47]
    assert len(list(pick_frames(video(), 7, sampled=9))) == 7
    assert len(list(pick_frames(video(), 1000))) == 40


@pytest.mark.parametrize("share", (0.1, 0.5, 0.7))
@pytest.mark.parametrize("kind", ("mp4", "matroska"))
def test_cut_videos_are_refused(kind, share):
    data = video(kind, pictures=[picture(i % 40) for i in range(200)])
    with pytest.raises(MediaError) as caught, VideoFrames(data[: int(share * len(data))]) as frames:
        list(frames)
    assert caught.value.reason == "truncated" and caught.value.fix


def test_a_cut_video_with_its_header_in_front_is_refused(tmp_path):
    av = pytest.importorskip("av", reason="needs the extra: forensics[av]")
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as sink:
        stream = sink.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(30):
            pixels = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                sink.mux(packet)
        for packet in stream.encode():
            sink.mux(packet)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with pytest.raises(MediaError, match=r"promises 30 frames|cut or damaged"):
        VideoFrames(data[: int(0.7 * len(data))])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"nothing" * 100, "not_media"),
        (bad_media.png(), "unsupported_modality"),
        (bad_media.encoded(), "unsupported_modality"),
        (b"\x1aE\xdf\xa3" + b"\xff" * 300, "truncated"),
        (b"RIFF\0\1\0\0AVI LIST" + bytes(300), "truncated"),
    ],
)
def test_what_is_no_video_says_so(data, reason):
    pytest.importorskip("av", reason="needs the extra: forensics[av]")
    with pytest.raises(MediaError) as caught:
        VideoFrames(data)
    assert caught.value.reason == reason and "\n" not in caught.value.what


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from((("mp4", "mpeg4"), ("avi", "mjpeg"), ("matroska", "libx264"))),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_damaged_videos_give_frames_or_a_media_error(kind, places):
    data = bytearray(_small(kind))
    for share, value in places:
        data[int(share * len(data))] = value
    try:
        with VideoFrames(bytes(data), VideoLimits(max_pixels=1 << 20, max_seconds=600)) as frames:
            for frame in frames:
                assert frame.pixels.dtype == np.uint8
    except MediaError as error:
        assert error.reason


@cache
def _small(kind: tuple[str, str]) -> bytes:
    return video(*kind, pictures=[picture(i) for i in range(6)])


def test_sound_alone_is_no_video():
    av = pytest.importorskip("av", reason="needs the extra: forensics[av]")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as sink:
        stream = sink.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16_000
        for packet in (*stream.encode(frame), *stream.encode()):
            sink.mux(packet)
    with pytest.raises(MediaError) as caught:
        VideoFrames(buffer.getvalue())
    assert caught.value.reason == "no_video"


def test_limits():
    data = video()
    for limits, reason in (
        (VideoLimits(max_bytes=100), "too_large"),
        (VideoLimits(max_pixels=64 * 48 - 1), "too_large"),
        (VideoLimits(max_seconds=1), "too_long"),
    ):
        with pytest.raises(MediaError) as caught:
            VideoFrames(data, limits)
        assert caught.value.reason == reason


def test_without_pyav_the_command_is_named(monkeypatch):
    monkeypatch.setattr(video_frames, "Package", lambda module, install: _Absent(module, install))
    with pytest.raises(MissingRequirement, match=r"pip install 'forensics\[av\]'"):
        VideoFrames(b"x")


class _Absent:
    kind = "package"

    def __init__(self, module: str, install: str):
        self.module, self.install = module, install

    def missing(self) -> str:
        return f"Python package {self.module!r} is not installed"

    def fix(self) -> str:
        return f"pip install '{self.install}'"


def test_memory_does_not_grow_with_the_length(tmp_path):
    pictures = [picture(i % 40, 240, 320) for i in range(300)]
    path = tmp_path / "long.mp4"
    path.write_bytes(video("mp4", "mpeg4", pictures=pictures))
    code = (
        "import resource, sys; from forensics.media.frame_choice import pick_frames, evenly\n"
        "list(evenly(sys.argv[1], 1))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "count = sum(1 for _ in pick_frames(sys.argv[1], 300))\n"
        "print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    count, grown_mib = map(int, done.stdout.split())
    assert count == 300 and grown_mib < 40  # the 300 frames would be 66 MiB, and cv2 takes its part
