"""Untrusted bytes before anything decodes them: regular files or memory, of a bounded size."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

from forensics.errors import MediaError
from forensics.media.sniff import HEAD_BYTES, Content, sniff

ByteSource = str | os.PathLike[str] | bytes


class RawFile:
    """A regular file or bytes, opened once so that it cannot be swapped between two looks.

    Attributes:
        name: the path as given, or `<bytes>`.
        size_bytes: its length.
        content: what the first bytes say it is, None when unknown.

    Raises:
        MediaError: not_found, not_readable (a folder, pipe, device, no permission), empty,
            too_large.
    """

    def __init__(self, source: ByteSource, max_bytes: int):
        self.name = "<bytes>" if isinstance(source, bytes) else os.fspath(source)
        self._data = source if isinstance(source, bytes) else None
        self._fd = -1 if isinstance(source, bytes) else _open_regular(Path(source), self.name)
        self.size_bytes = len(source) if isinstance(source, bytes) else os.fstat(self._fd).st_size
        try:
            self._check_size(max_bytes)
            self.content: Content | None = sniff(self.read_at(0, HEAD_BYTES))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RawFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read_at(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; fewer at the end."""
        if self._data is not None:
            return self._data[offset : offset + count]
        try:
            return os.pread(self._fd, count, offset)
        except OSError as error:
            raise MediaError(
                "not_readable", f"{self.name}: {error.strerror}", "check the disk"
            ) from error

    def sha256(self) -> str:
        """Of all bytes, hexadecimal, read in blocks."""
        digest, offset = hashlib.sha256(), 0
        while block := self.read_at(offset, 1 << 20):
            digest.update(block)
            offset += len(block)
        return digest.hexdigest()

    def reader(self) -> BinaryIO:
        """A file object at the start, which the caller closes; use one at a time."""
        if self._data is not None:
            return io.BytesIO(self._data)
        os.lseek(self._fd, 0, os.SEEK_SET)
        return os.fdopen(os.dup(self._fd), "rb")

    def sndfile_source(self) -> io.BytesIO | int:
        """What libsndfile opens: by descriptor, so that names that are not UTF-8 work too.

        The descriptor stays ours: this file is closed after its reader.
        """
        if self._data is not None:
            return io.BytesIO(self._data)
        os.lseek(self._fd, 0, os.SEEK_SET)
        return self._fd

    def _check_size(self, max_bytes: int) -> None:
        if self.size_bytes == 0:
            raise MediaError("empty", f"{self.name}: the file is empty", "export it again")
        if self.size_bytes > max_bytes:
            what = f"{self.name}: {self.size_bytes} bytes, the limit is {max_bytes}"
            raise MediaError("too_large", what, "cut it into parts")


def _open_regular(path: Path, name: str) -> int:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "is a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise MediaError("not_readable", f"{name}: {what}", "name a file")
        # Not to block, should it have been replaced by a pipe since.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        raise MediaError("not_readable", f"{name}: no permission", "chmod +r it") from error
    except ValueError as error:  # a NUL in the name
        raise MediaError("not_found", f"{name!r}: no such file", "check the path") from error
    except OSError as error:
        dangling = os.path.islink(path)  # noqa: PTH114 (Path.is_symlink raises on long names)
        what = "a link to a file that is not there" if dangling else "no such file"
        raise MediaError("not_found", f"{name}: {what}", "check the path") from error
