"""The one door for audio: probe, decode within limits, downmix, resample.

Everything is float32 mono, nominally in [-1, 1], inside the package. Content decides how a file is
read, never its extension. soundfile (libsndfile) reads wav, flac, mp3, ogg, opus, aiff, au, caf;
PyAV (extra `av`) what it cannot read (m4a, webm, aac, the audio of a video).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import soundfile
import soxr

from forensics.errors import MediaError
from forensics.media.av_reader import AvReader, av_installed
from forensics.media.raw import ByteSource, RawFile
from forensics.media.sndfile_reader import SndfileReader
from forensics.media.sniff import AUDIO_EXTENSIONS, Content, promised_bytes

EXTENSIONS = AUDIO_EXTENSIONS

AudioSource = ByteSource | RawFile

_BLOCK_SAMPLES = 1 << 22  # over all channels: what one decoding step holds at most
_LOSSY_SLACK_S = 0.1  # encoders' headers count padding that decoders drop
_CANCELLED = 0.01  # the mean of the channels keeps less than this of their power


@dataclass(frozen=True)
class Limits:
    """What untrusted audio may cost. Beyond them decoding stops with a `MediaError`.

    `max_read_samples` bounds one read (2 GiB of float32, over 3 h at 48 kHz); longer files are
    read in windows.
    """

    max_bytes: int = 4 << 30
    max_seconds: float = 6 * 3600
    max_channels: int = 64
    min_rate: int = 4_000
    max_rate: int = 768_000
    max_read_samples: int = 1 << 29


@dataclass(frozen=True)
class AudioInfo:
    """What the file says; `duration_s` is in seconds."""

    sampling_rate: int
    channels: int
    frames: int
    container: str
    codec: str

    @property
    def duration_s(self) -> float:
        return self.frames / self.sampling_rate


@dataclass(frozen=True)
class Waveform:
    """Mono speech: `samples` float32 (T,), nominally in [-1, 1], at `sampling_rate` Hz."""

    samples: np.ndarray
    sampling_rate: int

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sampling_rate

    def read(self, start_s: float = 0.0, duration_s: float | None = None) -> Waveform:
        """A part, as `AudioFile.read` gives it."""
        start = round(start_s * self.sampling_rate)
        end = None if duration_s is None else start + round(duration_s * self.sampling_rate)
        return Waveform(self.samples[start:end], self.sampling_rate)

    def resampled(self, sampling_rate: int) -> Waveform:
        """At another rate (soxr HQ, linear phase)."""
        if sampling_rate == self.sampling_rate:
            return self
        samples = soxr.resample(self.samples, self.sampling_rate, sampling_rate, quality="HQ")
        return Waveform(samples.astype(np.float32, copy=False), sampling_rate)


class AudioFile:
    """An audio file or its bytes, opened for reading in parts; a context manager.

    Attributes:
        info: rate, channels, length, container, codec.
        content: what the first bytes say it is.
        has_video: a video whose audio track is read.
        tags: what the file says of its own making (`software`, `encoder`, `comment`, …).
        notes: what is odd but does no harm, e.g. an extension that lies.

    Raises:
        MediaError: with a reason code, for everything that cannot be opened as audio.
    """

    def __init__(self, source: AudioSource, limits: Limits | None = None):
        self.limits = limits or Limits()
        self._owns_raw = not isinstance(source, RawFile)
        self._raw = (
            source if isinstance(source, RawFile) else RawFile(source, self.limits.max_bytes)
        )
        self.name = self._raw.name
        self._last: tuple[int, np.ndarray] = (0, np.zeros(0, np.float32))
        self._reader: SndfileReader | AvReader | None = None
        try:
            self.content = self._checked_content()
            reader = self._reader = self._open_reader()
            self.info = AudioInfo(
                reader.sampling_rate, reader.channels, reader.frames, reader.container, reader.codec
            )
            self._check_header()
        except BaseException:
            self.close()
            raise
        self.has_video, self.tags = reader.has_video, reader.tags
        self.notes = self._extension_note()

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sampling_rate(self) -> int:
        return self.info.sampling_rate

    @property
    def duration_s(self) -> float:
        return self.info.duration_s

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._owns_raw:
            self._raw.close()

    def read(self, start_s: float = 0.0, duration_s: float | None = None) -> Waveform:
        """Decode a part (all when `duration_s` is None), downmixed to mono at the file's rate.

        Parts that follow or overlap each other in order are decoded without seeking back.

        Raises:
            MediaError: `truncated` when the data ends before the header says, `invalid_samples`
                when it holds NaN or infinity, `too_large` for more than `Limits.max_read_samples`.
        """
        rate = self.info.sampling_rate
        start = min(round(start_s * rate), self.info.frames)
        rest = self.info.frames - start
        count = rest if duration_s is None else min(round(duration_s * rate), rest)
        if count > self.limits.max_read_samples:
            raise MediaError(
                "too_large", f"{self.name}: {count} samples in one read", "read it in windows"
            )
        mono = self._read_mono(start, count)
        if not np.isfinite(mono).all():
            raise MediaError(
                "invalid_samples", f"{self.name}: holds NaN or infinite samples", "re-export it"
            )
        if duration_s is not None:
            self._last = (start, mono.copy())  # the caller may write to what it gets
        return Waveform(mono, rate)

    def _read_mono(self, start: int, count: int) -> np.ndarray:
        """float32 (count,), in blocks, so that many channels cost no more memory than one."""
        out = np.empty(count, np.float32)
        last_start, last = self._last
        done = 0
        if last_start <= start < last_start + len(last):
            known = last[start - last_start :][:count]
            out[: len(known)] = known
            done = len(known)
        assert self._reader is not None  # open
        block = max(1, _BLOCK_SAMPLES // self.info.channels)
        while done < count:
            samples = self._reader.read(start + done, min(block, count - done))
            if len(samples) == 0:
                self._check_shortage(start + done, exact=self._reader.exact_length)
                out[done:] = 0.0
                break
            out[done : done + len(samples)] = downmix(samples)
            done += len(samples)
        return out

    def _check_shortage(self, end: int, exact: bool) -> None:
        rate = self.info.sampling_rate
        if (self.info.frames - end) / rate > (0.0 if exact else _LOSSY_SLACK_S):
            raise MediaError(
                "truncated",
                f"{self.name}: the data ends at {end / rate:.2f} s, "
                f"the header promises {self.info.duration_s:.2f} s",
                "copy or export the file again",
            )

    def _checked_content(self) -> Content:
        content, size = self._raw.content, self._raw.size_bytes
        if content is None or not (content.soundfile or content.demuxer):
            kind = f"a {content.container} {content.modality}, not" if content else "not"
            raise MediaError(
                "not_media", f"{self.name}: {kind} audio that can be read", "name an audio file"
            )
        promised = promised_bytes(content.container, self._raw.read_at)
        if promised is not None and promised > size + 1:  # the last pad byte is often left out
            raise MediaError(
                "truncated",
                f"{self.name}: holds {size} bytes, its header promises {promised}",
                "copy or export the file again",
            )
        return content

    def _open_reader(self) -> SndfileReader | AvReader:
        content = self.content
        if content.soundfile:
            try:
                return SndfileReader(self._raw)
            except MediaError:
                if not content.demuxer or not av_installed():
                    raise
        if content.demuxer is None or not av_installed():
            raise MediaError(
                "unsupported",
                f"{self.name}: {content.container} needs PyAV",
                "pip install 'forensics[av]', or convert it to wav or flac",
            )
        return AvReader(self._raw.reader(), content.demuxer, self.name, self.limits.max_seconds)

    def _extension_note(self) -> tuple[str, ...]:
        suffix = PurePath(self.name).suffix.lower()
        if self.name == "<bytes>" or not suffix or suffix in self.content.extensions:
            return ()
        return (f"the name ends in {suffix} but the content is {self.content.container}",)

    def _check_header(self) -> None:
        info, limits = self.info, self.limits
        if info.frames == 0:
            raise MediaError("empty", f"{self.name}: holds no audio samples", "export it again")
        if info.channels > limits.max_channels or not (
            limits.min_rate <= info.sampling_rate <= limits.max_rate
        ):
            raise MediaError(
                "unsupported",
                f"{self.name}: {info.channels} channels at {info.sampling_rate} Hz",
                f"at most {limits.max_channels} channels, "
                f"{limits.min_rate} to {limits.max_rate} Hz",
            )
        if info.duration_s > limits.max_seconds:
            raise MediaError(
                "too_long",
                f"{self.name}: {info.duration_s:.0f} s, the limit is {limits.max_seconds:.0f}",
                "cut it into parts",
            )


def read_audio(
    source: AudioSource, sampling_rate: int | None = None, limits: Limits | None = None
) -> Waveform:
    """Decode a whole file or its bytes to mono, at its own rate or at `sampling_rate` Hz.

    Raises:
        MediaError: see `AudioFile`.
    """
    with AudioFile(source, limits) as audio:
        wave = audio.read()
    return wave if sampling_rate is None else wave.resampled(sampling_rate)


def probe(source: AudioSource, limits: Limits | None = None) -> AudioInfo:
    """Read the header only."""
    with AudioFile(source, limits) as audio:
        return audio.info


def encode(wave: Waveform, container: str) -> bytes:
    """Encode as 16-bit `wav` or `flac` bytes; samples beyond [-1, 1] are clipped."""
    buffer = io.BytesIO()
    samples = np.clip(wave.samples, -1.0, 1.0)
    pcm = np.round(samples * 32767.0).astype(np.int16)
    soundfile.write(buffer, pcm, wave.sampling_rate, format=container.upper(), subtype="PCM_16")
    return buffer.getvalue()


def downmix(samples: np.ndarray) -> np.ndarray:
    """(T, C) → (T,): the mean, or the loudest channel where the channels cancel each other."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        mono = samples.mean(axis=1, dtype=np.float32)
        power = np.square(samples, dtype=np.float32).mean(axis=0)
        if np.square(mono).mean() < _CANCELLED * power.mean():
            return samples[:, int(power.argmax())]
    return mono
