"""Reads what libsndfile cannot (m4a, webm, aac, audio of a video) through PyAV, in flat memory.

PyAV is the extra `av`. Only the demuxer that the content asks for is opened, on a file object, so
FFmpeg follows no reference to another file and no protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from forensics.errors import MediaError

if TYPE_CHECKING:
    import av.audio.stream
    import av.container

# Containers whose index makes a seek exact; the others are decoded from the start.
_INDEXED = frozenset({"mov", "matroska", "asf"})
_PREROLL_S = 0.2  # AAC and Opus need packets before the wanted one
_JITTER_S = 0.05
_SHORT_S = 0.5  # headers round durations by about this much


def av_installed() -> bool:
    """Whether PyAV is installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


class AvReader:
    """The first audio track of a container.

    Attributes:
        sampling_rate, channels, frames: of that track; `frames` is counted from its packets.
        container, codec: FFmpeg's names.
        tags: the container's metadata.
        has_video: there are moving pictures besides.
        exact_length: never; encoders pad.

    Raises:
        MediaError: `truncated` when it cannot be opened or ends early, `no_audio`, `too_long`.
    """

    exact_length = False

    def __init__(self, handle: BinaryIO, demuxer: str, name: str, max_seconds: float):
        self.name, self._handle, self._demuxer = name, handle, demuxer
        try:
            self._container, self._stream = self._open()
            self._examine(max_seconds)
        except BaseException:
            self._handle.close()
            raise

    def close(self) -> None:
        self._container.close()
        self._handle.close()

    def read(self, start: int, count: int) -> np.ndarray:
        """Frames [start, start+count) → float32 (n, channels); n < count at the end of the data.

        Raises:
            MediaError: `truncated`, the data is damaged.
        """
        if start < self._position or start > self._position + 10 * self.sampling_rate:
            self._seek(start)
        out = np.zeros((count, self.channels), np.float32)  # gaps between packets stay silent
        stop, filled = start + count, 0
        while filled < count:
            piece = self._piece or next(self._pieces, None)
            if piece is None:
                break
            at, samples = piece
            end = at + len(samples)
            lo, hi = max(at, start), min(end, stop)
            if lo < hi:
                out[lo - start : hi - start] = samples[lo - at : hi - at]
            filled = max(filled, hi - start)
            self._piece = piece if end > stop else None
        self._position = start + filled
        return out[:filled]

    def _examine(self, max_seconds: float) -> None:
        context = self._stream.codec_context
        self.sampling_rate, self.channels = context.sample_rate, context.channels
        self.container, self.codec = self._demuxer.upper(), context.name
        self.tags = {str(k).lower(): str(v) for k, v in self._container.metadata.items()}
        self.has_video = any(
            not video.disposition.value & video.disposition.attached_pic.value
            for video in self._container.streams.video
        )
        end_s = self._packet_end(max_seconds)
        self._rewind()
        self._origin_s = self._first_frame_s()
        self.frames = max(0, round((end_s - self._origin_s) * self.sampling_rate))
        self._rewind()

    def _open(self) -> tuple[av.container.InputContainer, av.audio.stream.AudioStream]:
        """Open it anew at the start."""
        import av
        import av.error

        self._handle.seek(0)
        try:
            container = av.open(self._handle, "r", format=self._demuxer, metadata_errors="replace")
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(
                "truncated", f"{self.name}: cut or damaged ({error})", "copy or export it again"
            ) from error
        if not container.streams.audio:
            container.close()
            raise MediaError("no_audio", f"{self.name}: has no audio track", "name another file")
        stream = container.streams.audio[0]
        if stream.codec_context is None or not stream.codec_context.sample_rate:
            container.close()
            raise MediaError("unsupported", f"{self.name}: an unknown audio codec", "export as wav")
        return container, stream

    def _rewind(self) -> None:
        self._container.close()
        self._container, self._stream = self._open()
        self._start_decoding(0)

    def _start_decoding(self, position: int) -> None:
        self._pieces = self._decode()
        self._piece: tuple[int, np.ndarray] | None = None
        self._position = position

    def _packet_end(self, max_seconds: float) -> float:
        """End of the last packet, seconds; demuxing costs little and shows a cut file."""
        import av.error

        end = 0.0
        base = float(self._stream.time_base or 1)
        try:
            for packet in self._container.demux(self._stream):
                if packet.pts is not None:
                    end = max(end, (packet.pts + (packet.duration or 0)) * base)
                if end > max_seconds:
                    raise MediaError(
                        "too_long",
                        f"{self.name}: longer than the limit of {max_seconds:.0f} s",
                        "cut it into parts",
                    )
        except av.error.FFmpegError as error:
            raise self._damaged(error) from error
        promised = self._promised_s(base)
        if promised is not None and end < promised - _SHORT_S:
            raise MediaError(
                "truncated",
                f"{self.name}: the data ends at {end:.2f} s, the header promises {promised:.2f} s",
                "copy or export the file again",
            )
        return end

    def _promised_s(self, base: float) -> float | None:
        if self._demuxer not in _INDEXED:
            return None  # an estimate from the bit rate
        if self._stream.duration is not None:
            return self._stream.duration * base
        duration = self._container.duration  # microseconds
        return None if duration is None else duration / 1e6

    def _first_frame_s(self) -> float:
        import av.error

        try:
            frame = next(self._container.decode(self._stream), None)
        except av.error.FFmpegError as error:
            raise self._damaged(error) from error
        return 0.0 if frame is None or frame.time is None else float(frame.time)

    def _seek(self, start: int) -> None:
        if self._demuxer not in _INDEXED or start < self.sampling_rate:
            if start < self._position:
                self._rewind()
            return
        target = max(0.0, start / self.sampling_rate + self._origin_s - _PREROLL_S)
        base: Any = self._stream.time_base
        self._container.seek(int(target / base), stream=self._stream)
        self._start_decoding(start)

    def _decode(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first frame's index, float32 (n, channels)) until the end of the track."""
        import av
        import av.error

        resampler = av.AudioResampler(format="fltp", rate=self.sampling_rate)
        expected: int | None = None
        try:
            for frame in self._container.decode(self._stream):
                at = expected or 0
                if frame.time is not None:
                    at = round((frame.time - self._origin_s) * self.sampling_rate)
                    # webm rounds times to milliseconds: only a real gap moves what follows.
                    if expected is not None and abs(at - expected) < _JITTER_S * self.sampling_rate:
                        at = expected
                for piece in resampler.resample(frame):
                    samples = piece.to_ndarray().T
                    if samples.shape[1] != self.channels:
                        raise MediaError(
                            "unsupported", f"{self.name}: channels change", "export it as wav"
                        )
                    yield at, samples
                    at += len(samples)
                expected = at
        except (av.error.FFmpegError, ValueError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> MediaError:
        return MediaError(
            "truncated", f"{self.name}: the audio data is damaged ({error})", "re-export it"
        )
