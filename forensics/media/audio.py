"""The one door for audio: probe, decode within limits, downmix, resample.

Everything is float32 mono in [-1, 1] inside the package. soundfile (libsndfile) reads wav, flac,
mp3, ogg and opus; PyAV (extra `av`) is asked for what it cannot read (m4a, webm, video tracks).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from forensics.errors import MediaError

EXTENSIONS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".webm", ".aiff", ".au"})

AudioSource = str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class Limits:
    """What untrusted audio may cost. Beyond them decoding stops with a `MediaError`."""

    max_bytes: int = 4 << 30
    max_seconds: float = 6 * 3600
    max_channels: int = 64
    max_rate: int = 768_000


@dataclass(frozen=True)
class AudioInfo:
    """What the header says; `duration_s` is in seconds."""

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

    def resampled(self, sampling_rate: int) -> Waveform:
        """At another rate (soxr HQ, linear phase)."""
        if sampling_rate == self.sampling_rate:
            return self
        samples = soxr.resample(self.samples, self.sampling_rate, sampling_rate, quality="HQ")
        return Waveform(samples.astype(np.float32, copy=False), sampling_rate)


class AudioFile:
    """An audio file or its bytes, opened for reading in parts; a context manager.

    Raises:
        MediaError: with a reason code, for everything that cannot be opened as audio.
    """

    def __init__(self, source: AudioSource, limits: Limits | None = None):
        self.limits = limits or Limits()
        self.name = "<bytes>" if isinstance(source, bytes) else os.fspath(source)
        self._file = self._open(source)
        self.info = AudioInfo(
            self._file.samplerate,
            self._file.channels,
            self._file.frames,
            self._file.format,
            self._file.subtype,
        )
        try:
            self._check_header()
        except MediaError:
            self.close()
            raise

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def read(self, start_s: float = 0.0, duration_s: float | None = None) -> Waveform:
        """Decode a part (all when `duration_s` is None), downmixed to mono at the file's rate.

        Raises:
            MediaError: `truncated` when the data ends before the header says, `invalid_samples`
                when it holds NaN or infinity.
        """
        rate = self.info.sampling_rate
        start = min(round(start_s * rate), self.info.frames)
        count = self.info.frames - start if duration_s is None else round(duration_s * rate)
        count = min(count, self.info.frames - start)
        try:
            self._file.seek(start)
            samples = self._file.read(count, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise MediaError(
                "truncated", f"{self.name}: the audio data is damaged ({error})", "re-export it"
            ) from error
        if len(samples) < count:
            raise MediaError(
                "truncated",
                f"{self.name}: the data ends at {(start + len(samples)) / rate:.2f} s, "
                f"the header promises {self.info.duration_s:.2f} s",
                "copy or export the file again",
            )
        mono = samples.mean(axis=1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0]
        if not np.isfinite(mono).all():
            raise MediaError(
                "invalid_samples", f"{self.name}: holds NaN or infinite samples", "re-export it"
            )
        return Waveform(np.ascontiguousarray(mono), rate)

    def windows(self, window_s: float, hop_s: float) -> Iterator[tuple[float, Waveform]]:
        """(start in seconds, part) over the whole file; memory does not grow with its length."""
        start = 0.0
        while start < self.info.duration_s:
            yield start, self.read(start, window_s)
            start += hop_s

    def _open(self, source: AudioSource) -> soundfile.SoundFile:
        if isinstance(source, bytes):
            self._check_size(len(source))
            handle: str | io.BytesIO = io.BytesIO(source)
        else:
            path = Path(source)
            self._check_path(path)
            self._check_size(path.stat().st_size)
            handle = str(path)
        try:
            return soundfile.SoundFile(handle)
        except soundfile.LibsndfileError as error:
            decoded = _decode_with_av(source, self.name, self.limits)
            if decoded is not None:
                return decoded
            raise MediaError(
                "not_media",
                f"{self.name}: not audio that can be read ({error})",
                "convert it to wav or flac; m4a, webm and video need: pip install 'forensics[av]'",
            ) from error

    def _check_path(self, path: Path) -> None:
        if not path.exists():
            raise MediaError("not_found", f"{self.name}: no such file", "check the path")
        if path.is_dir():
            raise MediaError("not_readable", f"{self.name}: is a folder", "name a file")
        if not path.is_file():
            raise MediaError("not_readable", f"{self.name}: not a regular file", "name a file")
        if not os.access(path, os.R_OK):
            raise MediaError(
                "not_readable", f"{self.name}: no permission to read it", "chmod +r it"
            )

    def _check_size(self, size: int) -> None:
        if size == 0:
            raise MediaError("empty", f"{self.name}: the file is empty", "export it again")
        if size > self.limits.max_bytes:
            raise MediaError(
                "too_large",
                f"{self.name}: {size} bytes, the limit is {self.limits.max_bytes}",
                "cut it into parts",
            )

    def _check_header(self) -> None:
        info = self.info
        if info.frames == 0:
            raise MediaError("empty", f"{self.name}: holds no audio samples", "export it again")
        if info.channels > self.limits.max_channels or info.sampling_rate > self.limits.max_rate:
            raise MediaError(
                "unsupported",
                f"{self.name}: {info.channels} channels at {info.sampling_rate} Hz",
                f"at most {self.limits.max_channels} channels, {self.limits.max_rate} Hz",
            )
        if info.duration_s > self.limits.max_seconds:
            raise MediaError(
                "too_long",
                f"{self.name}: {info.duration_s:.0f} s, the limit is {self.limits.max_seconds:.0f}",
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


def _decode_with_av(source: AudioSource, name: str, limits: Limits) -> soundfile.SoundFile | None:
    """The first audio track through PyAV, as an in-memory wav; None when PyAV cannot help."""
    try:
        import av
    except ImportError:
        return None
    handle = io.BytesIO(source) if isinstance(source, bytes) else os.fspath(source)
    try:
        with av.open(handle) as container:
            if not container.streams.audio:
                raise MediaError("no_audio", f"{name}: has no audio track", "name another file")
            stream = container.streams.audio[0]
            rate = stream.codec_context.sample_rate
            resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
            parts: list[np.ndarray] = []
            total = 0
            for frame in container.decode(stream):
                for piece in resampler.resample(frame):
                    parts.append(piece.to_ndarray()[0])
                    total += len(parts[-1])
                if total > limits.max_seconds * rate:
                    raise MediaError("too_long", f"{name}: longer than the limit", "cut it")
    except (av.FFmpegError, ValueError):
        return None
    if not parts:
        return None
    buffer = io.BytesIO()
    soundfile.write(buffer, np.concatenate(parts), rate, format="WAV", subtype="FLOAT")
    buffer.seek(0)
    return soundfile.SoundFile(buffer)
