"""Reads a file or a span of one as bytes, with the errors of the media door."""

from __future__ import annotations

import sys
from pathlib import Path

from forensics.errors import MediaError
from forensics.media.audio import Limits
from forensics.media.raw import RawFile


def read_bytes(path: Path, span: tuple[int, int] | None = None) -> bytes:
    """The whole file, or `span` = (offset, size) of it.

    Raises:
        MediaError: `not_found`, `not_readable` (also a pipe or device), `too_large`, `truncated`.
    """
    limit = Limits().max_bytes
    with RawFile(path, limit if span is None else sys.maxsize) as raw:
        offset, size = span or (0, raw.size_bytes)
        data = raw.read_at(offset, size)
    if len(data) < size:
        raise MediaError("truncated", f"{path}: ends inside a recording", "get it again")
    return data
