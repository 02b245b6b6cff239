"""Files that only their owner may read, and files that are to be gone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_CHUNK = 1 << 20


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600, on the disk before this returns; it must not be there yet.

    Raises:
        OSError: it is, or cannot be written.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600, whole or not at all, in place of what is there.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        write_private(part, data)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def wipe(folder: Path) -> int:
    """Overwrite every file under a folder, remove them and it; links are removed, not followed.

    Returns:
        How many files there were.

    Raises:
        OSError: something cannot be removed; what was wiped until then is gone.
    """
    count = 0
    for place, subfolders, names in os.walk(folder, topdown=False, followlinks=False):
        for name in names:
            wipe_file(Path(place, name))
            count += 1
        for name in subfolders:
            below = Path(place, name)
            below.unlink() if below.is_symlink() else below.rmdir()
    folder.rmdir()
    return count


def wipe_file(path: Path) -> None:
    """Overwrite a file with zeros and remove it."""
    status = path.lstat()
    if stat.S_ISREG(status.st_mode):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_NOFOLLOW), "wb") as file:
            for start in range(0, status.st_size, _CHUNK):
                file.write(bytes(min(_CHUNK, status.st_size - start)))
            file.flush()
            os.fsync(file.fileno())
    path.unlink()


def sync_folder(folder: Path) -> None:
    """Renames in it are on the disk before this returns."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
