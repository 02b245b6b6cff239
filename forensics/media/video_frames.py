"""Frames of a video through PyAV (extra `av`), one at a time, so that memory stays flat.

As for audio, the content decides which demuxer is opened, on a file object, so that FFmpeg follows
no reference to another file and no protocol.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from forensics.errors import MediaError
from forensics.media.raw import ByteSource, RawFile
from forensics.requirements import Package, lacking

if TYPE_CHECKING:
    import av.container
    import av.video.frame
    import av.video.stream

    _Opened = tuple[av.container.InputContainer, av.video.stream.VideoStream]

_DEMUXERS = {
    "mp4": "mov",
    "webm": "matroska",
    "avi": "avi",
    "flv": "flv",
    "mpeg": "mpeg",
    "asf": "asf",
}
_SEEKS = frozenset({"mov", "matroska"})  # the others are decoded from their start
_COUNTED = frozenset({"avi"})  # its time stamps are in the order of decoding
_FASTEST = 1000  # frames a second: no camera here is that fast
_SHORT_S = 0.5  # headers round durations by about this much


@dataclass(frozen=True)
class VideoLimits:
    """What an untrusted video may cost. Beyond them reading stops with a `MediaError`.

    `max_pixels` is of one frame, width times height.
    """

    max_bytes: int = 64 << 30
    max_pixels: int = 40_000_000
    max_seconds: float = 24 * 3600


_LIMITS = VideoLimits()


@dataclass(frozen=True)
class VideoFrame:
    """One frame: its number from 0, its time after the first one, uint8 (H, W, 3) RGB."""

    index: int
    time_s: float
    pixels: np.ndarray


class VideoFrames:
    """A video opened for its frames; a context manager, and an iterable of `VideoFrame`.

    Attributes:
        name, container, codec: what it is.
        width, height: in pixels, as stored: a rotation that players apply is not.
        frame_count: counted, not taken from the header.
        duration_s: from the first to the last frame's time, seconds.

    Raises:
        MissingRequirement: PyAV is not installed.
        MediaError: `not_media`, `unsupported_modality` (no video), `no_video` (sound alone),
            `truncated`, `too_large`, `too_long`, and those of `RawFile`.
    """

    def __init__(self, source: ByteSource | RawFile, limits: VideoLimits = _LIMITS):
        for missing in lacking((Package("av", "forensics[av]"),)):
            raise missing
        self.limits = limits
        self._owns_raw = not isinstance(source, RawFile)
        self._raw = source if isinstance(source, RawFile) else RawFile(source, limits.max_bytes)
        self.name = self._raw.name
        try:
            self.container, self._demuxer = self._checked_content()
            self._examine()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> VideoFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._owns_raw:
            self._raw.close()

    def __iter__(self) -> Iterator[VideoFrame]:
        return self.take(range(self.frame_count))

    def take(self, indices: Sequence[int]) -> Iterator[VideoFrame]:
        """The frames of those numbers, ascending; one that the decoder leaves out is replaced by
        the next.

        Raises:
            MediaError: `truncated`, the data is damaged; `too_large`, a frame outgrows the limit.
        """
        wanted = iter(indices)
        target = next(wanted, None)
        if target is None:
            return
        with self._raw.reader() as handle, self._errors():
            container, stream = self._open(handle)
            with container:
                decoded = self._decoded(container, stream, target)
                while target is not None:
                    found = next(((i, f) for i, f in decoded if i >= target), None)
                    if found is None:
                        return
                    index, frame = found
                    yield VideoFrame(index, self._time(index), self._pixels(frame))
                    target = next((i for i in wanted if i > index), None)
                    if target is not None and self._key_before(target) > index:
                        decoded = self._decoded(container, stream, target)

    def _decoded(
        self,
        container: av.container.InputContainer,
        stream: av.video.stream.VideoStream,
        target: int,
    ) -> Iterator[tuple[int, av.video.frame.VideoFrame]]:
        """Numbered frames from the key frame before `target` on, or from the start."""
        key = self._key_before(target)
        if key > 0:
            container.seek(int(self._stamps[key]), stream=stream)
        for count, frame in enumerate(container.decode(stream)):
            if self._stamps.size == 0 or frame.pts is None:
                yield count, frame
            else:
                yield int(np.searchsorted(self._stamps, frame.pts)), frame

    def _key_before(self, index: int) -> int:
        place = int(np.searchsorted(self._keys, index, side="right")) - 1
        return int(self._keys[place]) if place >= 0 else 0

    def _time(self, index: int) -> float:
        if self._stamps.size == 0:
            return index / self._rate
        place = min(index, self._stamps.size - 1)
        return float((self._stamps[place] - self._stamps[0]) * self._base)

    def _pixels(self, frame: av.video.frame.VideoFrame) -> np.ndarray:
        self._check_size(frame.width, frame.height)
        return frame.to_ndarray(format="rgb24")

    def _checked_content(self) -> tuple[str, str]:
        content = self._raw.content
        if content is None or content.container not in _DEMUXERS:
            kind = f"a {content.container} {content.modality}" if content else "nothing known"
            reason = "unsupported_modality" if content else "not_media"
            raise MediaError(reason, f"{self.name}: {kind}, not a video", "name a video file")
        return content.container, _DEMUXERS[content.container]

    def _open(
        self, handle: BinaryIO
    ) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
        import av

        container = av.open(handle, "r", format=self._demuxer, metadata_errors="replace")
        pictures = [
            stream
            for stream in container.streams.video
            if not stream.disposition.value & stream.disposition.attached_pic.value
        ]
        if not pictures:
            container.close()
            raise MediaError("no_video", f"{self.name}: has no video track", "name a video")
        stream = pictures[0]
        if stream.codec_context is None:
            container.close()
            raise MediaError("unsupported", f"{self.name}: an unknown video codec", "convert it")
        stream.codec_context.options = {"max_pixels": str(self.limits.max_pixels)}
        stream.thread_type = "AUTO"
        return container, stream

    def _examine(self) -> None:
        """Demux once: it costs little, counts the frames and shows a file that was cut."""
        with self._raw.reader() as handle, self._errors():
            container, stream = self._open(handle)
            with container:
                context = stream.codec_context
                self.codec, self.width, self.height = context.name, context.width, context.height
                self._check_size(self.width, self.height)
                self._base = float(stream.time_base or 1)
                self._rate = float(stream.average_rate or stream.guessed_rate or 25)
                self.frame_count, stamps, keys = self._packets(container, stream)
                promised, duration = stream.frames, container.duration
        trusted = self._demuxer not in _COUNTED and len(stamps) == self.frame_count
        self._stamps = np.sort(np.array(stamps if trusted else [], np.int64))
        seekable = trusted and self._demuxer in _SEEKS
        self._keys = np.searchsorted(self._stamps, sorted(keys)) if seekable else np.zeros(0, int)
        if not self.frame_count:
            raise MediaError("truncated", f"{self.name}: holds no frames", "export it again")
        self.duration_s = self._time(self.frame_count - 1)
        if self._demuxer in _SEEKS:
            self._check_whole(promised, None if duration is None else duration / 1e6)

    def _packets(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> tuple[int, array[int], array[int]]:
        """How many frames are shown, their time stamps, and those of the key frames among them."""
        count, stamps, keys = 0, array("q"), array("q")
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            count += 1
            seconds = count / _FASTEST  # time stamps may lie
            if packet.pts is not None:
                stamps.append(packet.pts)
                seconds = max(seconds, (packet.pts - stamps[0]) * self._base)
                if packet.is_keyframe:
                    keys.append(packet.pts)
            if seconds > self.limits.max_seconds:
                raise MediaError(
                    "too_long",
                    f"{self.name}: longer than the limit of {self.limits.max_seconds:.0f} s",
                    "cut it into parts",
                )
        return count, stamps, keys

    def _check_whole(self, promised: int, promised_s: float | None) -> None:
        """The mp4 header counts frames, the webm header tells the length."""
        end = self.duration_s + 1 / self._rate
        few = self._demuxer == "mov" and self.frame_count < promised
        short = self._demuxer == "matroska" and promised_s and end < promised_s - _SHORT_S
        if few or short:
            wanted = f"{promised} frames" if few else f"{promised_s:.2f} s"
            raise MediaError(
                "truncated",
                f"{self.name}: {self.frame_count} frames in {end:.2f} s, the header promises "
                f"{wanted}",
                "copy or export the file again",
            )

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self.limits.max_pixels:
            raise MediaError(
                "too_large",
                f"{self.name}: frames of {width} x {height} pixels, the limit is "
                f"{self.limits.max_pixels} in all",
                "scale it down",
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import av.error

        try:
            yield
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(
                "truncated", f"{self.name}: cut or damaged ({error})", "copy or export it again"
            ) from error
