"""What a file is, from its first bytes: extensions are never trusted.

Decoders are only ever offered containers that are named here, so a playlist or a script that a
multimedia library would follow to other files or to the network is refused unread.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

HEAD_BYTES = 64
Modality = Literal["audio", "video", "image"]
ReadAt = Callable[[int, int], bytes]

AUDIO_EXTENSIONS = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".amr", ".webm", ".wma"}
    | {".aiff", ".aif", ".aifc", ".au", ".caf", ".w64", ".rf64"}
)
IMAGE_EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
    | {".pgm", ".ppm"}
)
VIDEO_EXTENSIONS = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".avi", ".3gp", ".flv"})
MEDIA_EXTENSIONS = AUDIO_EXTENSIONS | IMAGE_EXTENSIONS | VIDEO_EXTENSIONS


@dataclass(frozen=True)
class Content:
    """A container.

    Attributes:
        modality: of what it usually holds; `video` containers may hold audio alone.
        extensions: that are honest for it.
        demuxer: FFmpeg's name where PyAV may be asked to read it, else None.
        soundfile: whether libsndfile is asked first.
    """

    container: str
    modality: Modality
    extensions: frozenset[str]
    demuxer: str | None = None
    soundfile: bool = False


def _content(
    container: str,
    modality: Modality,
    extensions: str,
    demuxer: str | None = None,
    sf: bool = False,
) -> Content:
    return Content(container, modality, frozenset(f".{e}" for e in extensions.split()), demuxer, sf)


_WAV = _content("wav", "audio", "wav wave rf64", sf=True)
_MP3 = _content("mp3", "audio", "mp3 mp2 mpga", sf=True)
_AAC = _content("aac", "audio", "aac", "aac")
_AIFF = _content("aiff", "audio", "aiff aif aifc", sf=True)
_M4A = _content("m4a", "audio", "m4a m4b mp4", "mov")
_MP4 = _content("mp4", "video", "mp4 m4v mov 3gp m4a", "mov")
_WEBP = _content("webp", "image", "webp")
_AVI = _content("avi", "video", "avi")
_NETPBM = _content("netpbm", "image", "pgm ppm pnm")

_PREFIXES: tuple[tuple[bytes, Content], ...] = (
    (b"fLaC", _content("flac", "audio", "flac", "flac", sf=True)),
    (b"OggS", _content("ogg", "audio", "ogg oga opus spx", "ogg", sf=True)),
    (b"ID3", _MP3),
    (b".snd", _content("au", "audio", "au snd", sf=True)),
    (b"caff", _content("caf", "audio", "caf", sf=True)),
    (b"riff\x2e\x91\xcf\x11", _content("w64", "audio", "w64", sf=True)),
    (b"NIST_1A", _content("nist", "audio", "wav sph nist", sf=True)),
    (b"#!AMR", _content("amr", "audio", "amr awb 3gp", "amr")),
    (b"\x1aE\xdf\xa3", _content("webm", "video", "webm mkv mka weba", "matroska")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _content("asf", "video", "wma wmv asf", "asf")),
    (b"FLV\x01", _content("flv", "video", "flv")),
    (b"\x00\x00\x01\xba", _content("mpeg", "video", "mpg mpeg vob")),
    (b"\x89PNG\r\n\x1a\n", _content("png", "image", "png apng")),
    (b"\xff\xd8\xff", _content("jpeg", "image", "jpg jpeg jfif")),
    (b"GIF8", _content("gif", "image", "gif")),
    (b"BM", _content("bmp", "image", "bmp dib")),
    (b"II*\x00", _content("tiff", "image", "tif tiff dng")),
    (b"MM\x00*", _content("tiff", "image", "tif tiff dng")),
)
_NETPBM_NEXT = frozenset(bytes((byte,)) for byte in b"0123456789# \t\r\n")
_IMAGE_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"}
)


def sniff(head: bytes) -> Content | None:
    """The container that starts with `head` (`HEAD_BYTES` are enough), None when unknown."""
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return {b"WAVE": _WAV, b"WEBP": _WEBP, b"AVI ": _AVI}.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _AIFF
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _IMAGE_BRANDS:
            return _content("heif", "image", "heic heif avif")
        return _M4A if brand in (b"M4A ", b"M4B ") else _MP4
    if head[:2] in (b"P5", b"P6"):  # binary grey and colour; a width or a comment must follow
        return _NETPBM if head[2:3].isspace() and head[3:4] in _NETPBM_NEXT else None
    if head[:2] == b"BM" and head[6:10] != b"\0\0\0\0":  # two letters alone would catch text
        return None
    for prefix, content in _PREFIXES:
        if head.startswith(prefix):
            return content
    return _sniff_mpeg_sync(head)


def _sniff_mpeg_sync(head: bytes) -> Content | None:
    """MPEG audio frames without a tag: 11 sync bits, then fields that may not be reserved."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:  # ADTS: layer bits zero
        return _AAC
    version, layer = (head[1] >> 3) & 3, (head[1] >> 1) & 3
    bitrate, rate = head[2] >> 4, (head[2] >> 2) & 3
    return None if version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3 else _MP3


def promised_bytes(container: str, read_at: ReadAt) -> int | None:
    """How long the file must be for its header to be true; None when it does not say.

    libsndfile shortens the cut files of these containers without a word.
    """
    head = read_at(0, HEAD_BYTES)
    try:
        if container == "wav" and head[:4] != b"RF64":
            return _wav_end(read_at, "<" if head[:4] == b"RIFF" else ">")
        if container == "aiff":
            return 8 + struct.unpack_from(">I", head, 4)[0]
        if container == "webp":
            return 8 + struct.unpack_from("<I", head, 4)[0]
        if container == "au":
            offset, size = struct.unpack_from(">II", head, 4)
            return None if size == 0xFFFFFFFF else offset + size
        if container == "w64":
            return struct.unpack_from("<Q", head, 16)[0]
        if head[:4] == b"RF64" and head[12:16] == b"ds64":
            return 8 + struct.unpack_from("<Q", head, 20)[0]
    except struct.error:
        return None
    return None


def _wav_end(read_at: ReadAt, order: str) -> int | None:
    """Where the data chunk ends. Sizes of 0x7FFFF000 and above are what streaming writers put."""
    position = 12
    for _ in range(256):
        chunk = read_at(position, 8)
        if len(chunk) < 8:
            return None
        (size,) = struct.unpack(f"{order}I", chunk[4:])
        if chunk[:4] == b"data":
            return None if size >= 0x7FFFF000 else position + 8 + size
        position += 8 + size + size % 2
    return None
