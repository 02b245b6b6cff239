"""Reads a file or a span of one as bytes, with the errors of the media door."""

from __future__ import annotations

from pathlib import Path

from forensics.errors import MediaError


def read_bytes(path: Path, span: tuple[int, int] | None = None) -> bytes:
    """The whole file, or `span` = (offset, size) of it.

    Raises:
        MediaError: `not_found`, `not_readable` or `truncated`.
    """
    try:
        with path.open("rb") as handle:
            if span is None:
                return handle.read()
            handle.seek(span[0])
            data = handle.read(span[1])
    except FileNotFoundError as error:
        raise MediaError("not_found", f"{path}: no such file", "check the source") from error
    except OSError as error:
        raise MediaError("not_readable", f"{path}: {error.strerror}", "check it") from error
    if len(data) < span[1]:
        raise MediaError("truncated", f"{path}: ends inside a recording", "get the shard again")
    return data
