"""Files that cannot be judged, by the reason that must be given for each."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def tone(seconds: float = 6.0, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """float32 (T, channels): a loud buzz with a moving pitch and a little noise."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.3 * t)) / rate
    mono = sum(np.sin(k * phase) / k for k in range(1, 12)) * 0.15
    mono = mono + 0.01 * np.random.default_rng(1).standard_normal(len(t))
    return np.repeat(mono[:, None].astype(np.float32), channels, axis=1)


def encoded(container: str = "WAV", samples: np.ndarray | None = None, **options) -> bytes:
    buffer = io.BytesIO()
    rate = options.pop("rate", RATE)
    soundfile.write(
        buffer, tone() if samples is None else samples, rate, format=container, **options
    )
    return buffer.getvalue()


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0\xff\0\0")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def wav_header(data_bytes: int, rate: int = RATE, channels: int = 1) -> bytes:
    block = 2 * channels
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * block, block, 16)
    data = struct.pack("<4sI", b"data", data_bytes)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(fmt) + 8 + data_bytes, b"WAVE") + fmt + data


def with_sample(value: float) -> bytes:
    samples = tone()
    samples[1234] = value
    return encoded(samples=samples, subtype="FLOAT")


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _video() -> bytes:
    """The start of an mp4 as players write it."""
    return struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"mp41") + b"\0" * 400


CONTENT: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    # id: (file name, reason, bytes)
    "no bytes": ("a.wav", "empty", lambda: b""),
    "wav header only": ("a.wav", "empty", lambda: wav_header(0)),
    "wav header that promises data": ("a.wav", "truncated", lambda: wav_header(32_000)),
    "cut wav": ("a.wav", "truncated", lambda: _half(encoded())),
    "cut flac": ("a.flac", "truncated", lambda: _half(encoded("FLAC"))),
    "cut mp3": ("a.mp3", "truncated", lambda: _half(encoded("MP3"))),
    "cut aiff": ("a.aiff", "truncated", lambda: _half(encoded("AIFF"))),
    "cut w64": ("a.w64", "truncated", lambda: _half(encoded("W64"))),
    "cut rf64": ("a.wav", "truncated", lambda: _half(encoded("RF64"))),
    "cut au": ("a.au", "truncated", lambda: _half(encoded("AU"))),
    "flac header only": ("a.flac", "truncated", lambda: encoded("FLAC")[:60]),
    "ogg header only": ("a.ogg", "truncated", lambda: encoded("OGG")[:60]),
    "NaN": ("a.wav", "invalid_samples", lambda: with_sample(float("nan"))),
    "infinity": ("a.wav", "invalid_samples", lambda: with_sample(float("inf"))),
    "text": ("a.wav", "not_media", lambda: b"this is not a recording\n" * 100),
    "playlist": ("a.m4a", "not_media", lambda: b"#EXTM3U\nhttp://example.org/a.ts\n"),
    "ffconcat": ("a.m4a", "not_media", lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
    "random bytes": ("a.mp3", "not_media", lambda: np.random.default_rng(0).bytes(20_000)),
    "ELF": ("a.wav", "not_media", lambda: b"\x7fELF\x02\x01\x01" + bytes(500)),
    "PNG": ("a.png", "unsupported_modality", png),
    "PNG that says wav": ("a.wav", "unsupported_modality", png),
    "JPEG": ("a.jpg", "unsupported_modality", lambda: b"\xff\xd8\xff\xe0" + bytes(300)),
    "AVI": ("a.avi", "unsupported_modality", lambda: b"RIFF\0\1\0\0AVI LIST" + bytes(300)),
    "cut mp4": ("a.mp4", "truncated", _video),
    "silence": ("a.wav", "silent", lambda: encoded(samples=np.zeros((RATE, 1), np.float32))),
    "offset": ("a.wav", "silent", lambda: encoded(samples=np.full((RATE, 1), 0.4, np.float32))),
    "a third of a second": ("a.wav", "too_short", lambda: encoded(samples=tone(0.33))),
    "one sample": ("a.wav", "silent", lambda: encoded(samples=tone(1 / RATE))),
    "1 kHz rate": ("a.wav", "unsupported", lambda: encoded(samples=tone(5, 1000), rate=1000)),
    "1 MHz rate": ("a.wav", "unsupported", lambda: encoded(rate=1_000_000)),
    "200 channels": ("a.wav", "unsupported", lambda: encoded(samples=tone(0.2, channels=200))),
}
NEEDS_PYAV = frozenset({"cut mp4"})


def write(folder: Path, case: str) -> tuple[Path, str]:
    """The file of that id, and the reason that it must get."""
    name, reason, content = CONTENT[case]
    path = folder / name
    path.write_bytes(content())
    return path, reason


def odd_place(folder: Path, kind: str) -> tuple[Path, str]:
    """What is no regular file, and the reason that it must get."""
    path = folder / f"{kind}.wav"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "dangling":
        path.symlink_to(folder / "gone.wav")
    return path, "not_found" if kind in ("dangling", "missing") else "not_readable"


ODD_PLACES = ("fifo", "device", "dangling", "missing")
