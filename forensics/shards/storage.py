"""Where shards lie: local paths, or any fsspec URL (`s3://`, `memory://`, …).

A name appears only when its content is complete: locally through a part file, fsync and rename;
remotely because an upload becomes visible as a whole.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from forensics.errors import (
    CorpusError,
    ForensicsError,
    MachineError,
    MissingRequirement,
    UsageError,
)

Url = str | os.PathLike[str]

MAX_PARTS = 1024  # IOV_MAX of Linux and macOS

_BUFFER = 1 << 20
_FIXES = {
    errno.ENOSPC: "free some space or write elsewhere, then run the same command again",
    errno.EDQUOT: "the quota is used up: free some space or write elsewhere",
    errno.EFBIG: "files here may not grow that large: raise the limit (ulimit -f) or make shards "
    "smaller",
    errno.EROFS: "the file system is read-only: write elsewhere",
    errno.EACCES: "give yourself permission to write there, or write elsewhere",
    errno.EPERM: "give yourself permission to write there, or write elsewhere",
    errno.ENOTDIR: "a file is in the way of a folder: write elsewhere",
    errno.EISDIR: "a folder is in the way of a file: write elsewhere",
    errno.EEXIST: "a file is in the way of a folder: write elsewhere",
}


def join(folder: Url, *names: str) -> str:
    """A path or URL below `folder`."""
    return "/".join([os.fspath(folder).rstrip("/") or "/", *names])


def tar_url(folder: Url, name: str) -> str:
    """Where shard `name` lies."""
    return join(folder, f"{name}.tar")


def sidecar_url(folder: Url, name: str) -> str:
    """Where its sidecar lies."""
    return join(folder, f"{name}.json")


def is_remote(url: Url) -> bool:
    text = os.fspath(url)
    return "://" in text and not text.startswith("file://")


_SYNC_FILE_RANGE_WRITE = 2


def _find_sync_file_range() -> Callable[..., int] | None:
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call


_sync_file_range = _find_sync_file_range()


class Output:
    """Takes the bytes of one file that `writing` publishes."""

    def __init__(self, raw: io.RawIOBase, url: Url):
        self._raw, self._url = raw, url

    def write(self, data: bytes) -> None:
        with _machine_errors(self._url):
            rest = memoryview(data)
            while rest:
                rest = rest[self._raw.write(rest) or 0 :]

    def write_all(self, parts: Sequence[bytes]) -> None:
        """Write one behind the other, without joining them; at most `MAX_PARTS`."""
        with _machine_errors(self._url):
            done = os.writev(self._raw.fileno(), parts)
        if done < sum(map(len, parts)):
            self.write(b"".join(parts)[done:])

    def start_sync(self) -> None:
        """Let the disk begin with what is written so far, so that `writing` has less to wait for.

        Only Linux offers that; elsewhere the whole waits for the end.
        """
        if _sync_file_range is not None:
            _sync_file_range(self._raw.fileno(), 0, 0, _SYNC_FILE_RANGE_WRITE)


@contextmanager
def writing(url: Url) -> Iterator[Output]:
    """Collect bytes that become the file `url` when the block ends; on an exception, nothing does.

    Raises:
        MachineError: the disk is full, no permission, …; no part file is left.
    """
    if is_remote(url):
        fs, path = _filesystem(url)
        with _machine_errors(url):
            temporary = tempfile.NamedTemporaryFile(buffering=0)  # noqa: SIM115
        with temporary as file:
            yield Output(cast(io.RawIOBase, file), url)
            with _machine_errors(url):
                fs.put_file(file.name, path)
        return
    target = _local(url)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    with _machine_errors(url):
        target.parent.mkdir(parents=True, exist_ok=True)
        raw = part.open("wb", buffering=0)
    try:
        with raw:
            yield Output(raw, url)
            with _machine_errors(url):
                os.fsync(raw.fileno())
        with _machine_errors(url):
            part.replace(target)
            _sync_folder(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def publish(url: Url, content: bytes | Path) -> None:
    """Write `content`, or a copy of that local file, as `url`: the whole of it or nothing.

    Raises:
        MachineError: see `writing`.
    """
    with writing(url) as output:
        if isinstance(content, bytes):
            output.write(content)
        else:
            with content.open("rb") as source:
                shutil.copyfileobj(source, output, _BUFFER)


def append(path: Url, line: bytes) -> None:
    """Add a line to a local log.

    Raises:
        MachineError: the disk is full, no permission, …
    """
    with _machine_errors(path), _local(path).open("ab", buffering=0) as log:
        log.write(line)


def open_read(url: Url) -> BinaryIO:
    """Open for reading; seekable.

    Raises:
        CorpusError: there is no such file.
        MachineError: it may not be read.
    """
    with _read_errors(url):
        if is_remote(url):
            fs, path = _filesystem(url)
            return cast(BinaryIO, fs.open(path, "rb"))
        return _local(url).open("rb", buffering=_BUFFER)


def read(url: Url, limit: int) -> bytes:
    """The whole content, at most `limit` bytes.

    Raises:
        CorpusError: no such file, or larger than `limit`.
    """
    with open_read(url) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise CorpusError(f"{os.fspath(url)}: larger than {limit} bytes", "name another file")
    return data


def size(url: Url) -> int | None:
    """Bytes, or None when there is no such file.

    Raises:
        MachineError: its folder may not be read.
    """
    try:
        with _read_errors(url):
            if is_remote(url):
                fs, path = _filesystem(url)
                return int(fs.info(path)["size"])
            return _local(url).stat().st_size
    except CorpusError:
        return None


def names(folder: Url) -> list[str]:
    """Sorted names of what lies in `folder`; empty when it does not exist.

    Raises:
        MachineError: it may not be read.
    """
    try:
        with _read_errors(folder):
            if is_remote(folder):
                fs, path = _filesystem(folder)
                fs.invalidate_cache(path)
                found = [entry.rstrip("/").rpartition("/")[2] for entry in fs.ls(path, False)]
            else:
                found = [entry.name for entry in _local(folder).iterdir()]
    except CorpusError:
        return []
    return sorted(found)


def remove(url: Url) -> None:
    """Delete the file; no error when it is not there."""
    with _machine_errors(url):
        if is_remote(url):
            fs, path = _filesystem(url)
            if fs.exists(path):
                fs.rm_file(path)
        else:
            _local(url).unlink(missing_ok=True)


def _local(url: Url) -> Path:
    return Path(os.fspath(url).removeprefix("file://"))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _filesystem(url: Url) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:  # a listing that was cached before a shard was written would hide it
        return url_to_fs(os.fspath(url), use_listings_cache=False)
    except ImportError as error:
        raise MissingRequirement(
            f"{os.fspath(url)}: {error}", f"pip install 'fsspec[{os.fspath(url).split(':')[0]}]'"
        ) from error
    except ValueError as error:
        raise UsageError(f"{os.fspath(url)}: {error}", "use a local path or a known URL") from error


@contextmanager
def _read_errors(url: Url) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorpusError(f"{os.fspath(url)}: no such file", "check the path") from error
    except OSError as error:
        raise MachineError(
            f"{os.fspath(url)}: cannot be read ({error.strerror or error})", "check its permissions"
        ) from error
    except Exception as error:
        _explain_remote(url, error)
        raise


@contextmanager
def _machine_errors(url: Url) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fix = _FIXES.get(error.errno or 0, "check the disk or the connection, then run it again")
        raise MachineError(
            f"cannot write {os.fspath(url)}: {error.strerror or error}", fix
        ) from error
    except Exception as error:
        _explain_remote(url, error)
        raise


def _explain_remote(url: Url, error: Exception) -> None:
    """Clients of buckets raise errors of their own for a wrong key or a lost connection."""
    if is_remote(url) and not isinstance(error, ForensicsError):
        raise MachineError(
            f"{os.fspath(url)}: {type(error).__name__}: {error}", "check credentials and network"
        ) from error
