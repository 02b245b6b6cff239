"""Model files that users name."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from forensics.errors import MissingRequirement


def model_file(path: Path | None, what: str, source: str) -> Path:
    """The file, which is there.

    Raises:
        MissingRequirement: none is named, or it is not there; `source` says where to get one.
    """
    if path is None:
        raise MissingRequirement(f"no file of {what} is named", f"set `model` to one: {source}")
    found = Path(path).expanduser()
    if not found.is_file():
        raise MissingRequirement(f"there is no {found}, the file of {what}", f"get it: {source}")
    return found


@cache
def sha256(path: str | Path) -> str:
    """Hexadecimal hash of a file, read once per process."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
