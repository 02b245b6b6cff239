"""One process at a time in a folder: builds and trainings that would write over each other."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forensics.errors import MachineError, UsageError


@contextmanager
def alone(folder: Path, work: str, option: str = "--out") -> Iterator[None]:
    """Nobody else works in `folder` meanwhile; the lock dies with its process.

    Args:
        folder: made when it is not there.
        work: what is being done, for messages: "build", "training".
        option: by which the folder is named, for messages.

    Raises:
        UsageError: somebody does.
        MachineError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("w")
    except OSError as error:
        raise MachineError(
            f"cannot write in {folder}: {error.strerror}", f"name a writable folder with {option}"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another {work} is running in {folder}", f"wait for it, or choose another {option}"
            ) from None
        yield
