"""Where the maps and overlays of judged pictures are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from forensics.errors import MachineError, UsageError
from forensics.verdict.report import check_writable

_MAX_STEM = 60  # characters: 240 bytes at most, and names of files may have 255


class PictureFiles:
    """One PNG for one input, a folder of them for several; checked before any work.

    Args:
        target: the file, or the folder, which is made when it is not there.
        names: of all inputs, in order; files in a folder are named after them.

    Raises:
        UsageError: one file is named for several inputs, or something else than a PNG.
        MachineError: it cannot be written.
    """

    def __init__(self, target: str, names: Sequence[str]):
        place = Path(target)
        if len(names) == 1 and not place.is_dir():
            if place.suffix.lower() != ".png":
                raise UsageError(f"{target} is written as PNG", "name it .png")
            check_writable(place)
            self._paths = [place]
            return
        if place.exists() and not place.is_dir():
            raise UsageError(
                f"{target} is a file, and there are {len(names)} inputs", "name a folder"
            )
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(place, error) from error
        self._paths = [place / name for name in _unique(names)]
        check_writable(self._paths[0])

    def write(self, index: int, png: bytes) -> Path:
        """Write the picture of one input, whole or not at all.

        Raises:
            MachineError: it cannot be written.
        """
        path = self._paths[index]
        part = path.with_name(path.name + ".part")
        try:
            part.write_bytes(png)
            part.replace(path)
        except OSError as error:
            raise _refused(path, error) from error
        return path


def _refused(path: Path, error: OSError) -> MachineError:
    return MachineError(f"{path} cannot be written: {error.strerror}", "name another place")


def _unique(names: Sequence[str]) -> list[str]:
    """A file name for each input, and no two alike: `photo.jpg.png`, `photo.jpg-2.png`."""
    found: dict[str, None] = {}
    for name in names:
        stem = "stdin" if name == "-" else PurePath(name).name[-_MAX_STEM:] or "input"
        unique, number = f"{stem}.png", 1
        while unique in found:
            number += 1
            unique = f"{stem}-{number}.png"
        found[unique] = None
    return list(found)
