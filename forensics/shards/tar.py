"""The tar layer: headers written directly, members walked with every check we need.

Written headers are POSIX ustar with one spelling per (name, size): mtime 0, uid and gid 0, mode
0644. The walk never ends quietly: a tar without its end marker is an error, wherever it was cut.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from forensics.errors import CorpusError

BLOCK = 512
RECORD = 20 * BLOCK
NAME_BYTES = 100
MAX_MEMBER_BYTES = 1 << 30
DAMAGED = "build or download the shard again"

_MAX_EXTENDED = 64 << 10
_ZERO = bytes(BLOCK)
_OWNER = b"0000644\0" + b"0000000\0" * 2
_MTIME = b"00000000000\0"
_TAIL = (b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2).ljust(356, b"\0")
_FIXED_SUM = sum(_OWNER) + sum(_MTIME) + sum(_TAIL) + 8 * ord(" ")
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a folder",
    b"6": "a pipe",
    b"S": "a sparse file",
}


def header(name: bytes, size: int) -> bytes:
    """The 512 bytes before a member: `name` at most 100 ASCII bytes, `size` below 8 GiB."""
    length = b"%011o\0" % size
    checksum = b"%06o\0 " % (_FIXED_SUM + sum(name) + sum(length))
    return name.ljust(NAME_BYTES, b"\0") + _OWNER + length + _MTIME + checksum + _TAIL


def padding(size: int) -> bytes:
    """Zeros up to the next block."""
    return _ZERO[: -size % BLOCK]


def end_of_archive(written: int) -> bytes:
    """The two zero blocks that end a tar, and zeros up to a whole record, after `written` bytes."""
    return bytes(2 * BLOCK + -(written + 2 * BLOCK) % RECORD)


class TarStream:
    """Walks the members of a seekable, uncompressed tar from front to back.

    Iterating yields (name, size in bytes) of regular files; `read()` returns the data of the
    member just yielded, which is skipped when not asked for.

    Args:
        stream: opened for binary reading.
        shard: what messages call it.
        extended: accept pax headers, GNU long names and folder entries, which other tools write.

    Raises:
        CorpusError: naming shard and member: not a tar, compressed, cut anywhere, a damaged
            header, a link, device or other special member, bytes after the end.
    """

    def __init__(self, stream: BinaryIO, shard: str, *, extended: bool = False):
        self.shard, self._stream, self._extended = shard, stream, extended
        self._end = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        self._magic = stream.read(2)
        self._at = len(self._magic)  # of the stream
        self._next = 0  # of the next header
        self._size = 0
        self._name = ""
        if self._end < BLOCK:
            self._fail_at_start()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        long_name: bytes | None = None
        size_override: int | None = None
        while True:
            block = self._read(self._next, BLOCK)
            if block == _ZERO:
                if long_name is not None or size_override is not None:
                    self.fail("ends after an extended header", self._name)
                self._check_end()
                return
            raw, size, kind = self._parse(block)
            if self._extended and kind in b"xLg":
                self._place(raw, size, limit=_MAX_EXTENDED)
                if kind == b"L":
                    long_name = self.read().rstrip(b"\0")
                elif kind == b"x":
                    fields = self._pax(self.read())
                    long_name = fields.get(b"path", long_name)
                    size_override = self._number(fields[b"size"]) if b"size" in fields else None
                elif self._pax(self.read()).keys() & {b"path", b"size"}:
                    self.fail("a global header that renames or resizes members", self._name)
                continue
            self._place(
                long_name or raw, size if size_override is None else size_override, MAX_MEMBER_BYTES
            )
            long_name = size_override = None
            if kind in (b"0", b"\0"):
                yield self._name, self._size
            elif not (self._extended and kind == b"5" and self._size == 0):
                what = _KINDS.get(kind, f"a member of unknown type {kind!r}")
                self.fail(f"{what}; only regular files are read", self._name)

    def read(self) -> bytes:
        """The data of the member that was yielded last."""
        return self._read(self.offset, self._size)

    @property
    def offset(self) -> int:
        """Byte position in the stream of the data of the member that was yielded last."""
        return self._next - self._size - (-self._size % BLOCK)

    def fail(self, what: str, member: str | None = None) -> NoReturn:
        """Raise a `CorpusError` that names the shard and the member."""
        where = f"{self.shard}: member {member!r}" if member is not None else self.shard
        raise CorpusError(f"{where}: {what}", DAMAGED)

    def _parse(self, block: bytes) -> tuple[bytes, int, bytes]:
        """(name, size, type flag) of a header whose checksum is right."""
        name = block[:NAME_BYTES].rstrip(b"\0")
        field = _OCTAL.fullmatch(block, 124, 136)
        size = int(field[1], 8) if field else -1
        # One comparison vouches for every field of a header that we wrote.
        if field and header(name, size) == block:
            return name, size, b"0"
        self._check_sum(block)
        if size < 0:
            self.fail("its size cannot be read", name.decode(errors="replace"))
        name = name.split(b"\0", 1)[0]
        prefix = block[345:500].split(b"\0", 1)[0]
        if prefix and block[257:263] == b"ustar\0":
            name = prefix + b"/" + name
        return name, size, block[156:157]

    def _check_sum(self, block: bytes) -> None:
        stored = _OCTAL.fullmatch(block, 148, 156)
        total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if stored and int(stored[1], 8) == total:
            return
        if self._next == 0:
            self._fail_at_start()
        self.fail(f"a damaged header after it (byte {self._next})", self._name)

    def _fail_at_start(self) -> NoReturn:
        packed = _COMPRESSED.get(self._magic)
        self.fail(f"{packed} data; shards are plain tars" if packed else "not a tar")

    def _place(self, raw: bytes, size: int, limit: int) -> None:
        """Make this the current member, once its whole data is known to be there."""
        try:
            self._name = raw.decode()
        except UnicodeDecodeError:
            self.fail("its name is not UTF-8", raw.decode(errors="backslashreplace"))
        if size > limit:
            self.fail(f"{size} bytes, the limit is {limit}", self._name)
        self._size = size
        self._next += BLOCK + size + -size % BLOCK
        if self._next > self._end:
            self.fail("cut inside its data", self._name)

    def _check_end(self) -> None:
        rest = self._next + BLOCK
        if self._read(rest, BLOCK) != _ZERO:
            self.fail("one zero block where the end needs two", self._name)
        rest += BLOCK
        while rest < self._end:
            size = min(RECORD, self._end - rest)
            if any(self._read(rest, size)):
                self.fail(f"bytes after its end (byte {rest})")
            rest += size

    def _read(self, at: int, size: int) -> bytes:
        if at != self._at:
            self._stream.seek(at)
        data = self._stream.read(size)
        self._at = at + len(data)
        if len(data) < size:
            self.fail(
                f"cut at byte {self._end}, before the end of the tar; last member {self._name!r}"
            )
        return data

    def _pax(self, data: bytes) -> dict[bytes, bytes]:
        fields: dict[bytes, bytes] = {}
        while data:
            digits, _, _ = data.partition(b" ")
            length = self._number(digits)
            record, data = data[len(digits) + 1 : length], data[length:]
            key, equals, value = record.partition(b"=")
            if not equals or not value.endswith(b"\n") or len(digits) + len(record) + 1 != length:
                self.fail("a pax header that cannot be read", self._name)
            if key.startswith(b"GNU.sparse"):
                self.fail("a sparse file; only regular files are read", self._name)
            fields[key] = value[:-1]
        return fields

    def _number(self, digits: bytes) -> int:
        if not re.fullmatch(rb"[1-9][0-9]{0,11}", digits):
            self.fail("a pax header that cannot be read", self._name)
        return int(digits)
