"""From what a user names (files, folders, globs, `-`) to a list of files to judge."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from forensics.errors import MediaError
from forensics.media.sniff import MEDIA_EXTENSIONS

MAX_STDIN_BYTES = 1 << 30
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class InputItem:
    """One file to judge.

    Attributes:
        name: how the user will know it again.
        source: a path or the bytes; None when `problem` says why there is nothing to judge.
    """

    name: str
    source: Path | bytes | None
    problem: MediaError | None = None


def expand_inputs(
    inputs: Iterable[str | os.PathLike[str]], stdin: BinaryIO | None = None
) -> Iterator[InputItem]:
    """Files in the order they are named; those of a folder or glob sorted; each of them once.

    A folder is searched with its subfolders for media extensions; hidden files and links to
    folders are left out. A string that names nothing may be a glob (`**` goes into subfolders) or
    `-`, the bytes of one file on `stdin` (default: standard input). Path objects are taken as they
    are. What matches nothing becomes an item with a problem: `not_found`, or `is_url`, because
    nothing is fetched.
    """
    seen: set[str] = set()
    for named in inputs:
        for item in _expand_one(named, stdin):
            source = item.source
            key = os.path.normpath(source.absolute()) if isinstance(source, Path) else item.name
            if key not in seen:
                seen.add(key)
                yield item


def _expand_one(named: str | os.PathLike[str], stdin: BinaryIO | None) -> Iterator[InputItem]:
    text, literal = os.fspath(named), not isinstance(named, str)
    if named == "-":
        yield _from_stdin(stdin or sys.stdin.buffer)
    elif os.path.isdir(text):  # noqa: PTH112 (Path.is_dir raises where it may not look)
        yield from _folder(text)
    elif literal or _exists(text):
        yield InputItem(text, Path(text))
    elif _URL.match(text):
        what = "is a URL, and nothing is fetched"
        yield _problem(text, "is_url", what, "download the file and name that")
    elif glob.has_magic(text):
        yield from _glob(text)
    elif text:
        yield InputItem(text, Path(text))  # whoever opens it says why it cannot be
    else:
        yield _problem(text, "not_found", "an empty name", "name a file")


def _exists(text: str) -> bool:
    """A file, or a link even when it dangles."""
    try:
        return os.path.lexists(text)
    except ValueError:  # a NUL in the name
        return False


def _folder(root: str) -> Iterator[InputItem]:
    refused: list[OSError] = []
    found: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=refused.append):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if _is_media(Path(name))]
    for path in sorted(found):
        yield InputItem(str(path), path)
    for error in refused:
        what = f"cannot be searched: {error.strerror}"
        yield _problem(str(error.filename), "not_readable", what, "chmod +rx the folder")
    if not found and not refused:
        yield _problem(root, "not_found", "no media files in this folder", "name another folder")


def _is_media(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in MEDIA_EXTENSIONS


def _glob(pattern: str) -> Iterator[InputItem]:
    """A pattern that ends in a plain extension is taken at its word; others keep to media files."""
    suffix = Path(pattern).suffix
    at_its_word = bool(suffix) and not glob.has_magic(suffix)
    names = glob.iglob(pattern, recursive=True)  # noqa: PTH207 (Path.glob wants a fixed root)
    files = [path for path in map(Path, sorted(names)) if not path.is_dir()]
    kept = [path for path in files if at_its_word or _is_media(path)]
    for path in kept:
        yield InputItem(str(path), path)
    if not kept:
        yield _problem(pattern, "not_found", "matches no media file", "check the pattern")


def _from_stdin(stdin: BinaryIO) -> InputItem:
    data = stdin.read(MAX_STDIN_BYTES + 1)
    if len(data) > MAX_STDIN_BYTES:
        what = f"more than {MAX_STDIN_BYTES} bytes on standard input"
        return _problem("-", "too_large", what, "save it to a file and name that")
    return InputItem("-", data)


def _problem(name: str, reason: str, what: str, fix: str) -> InputItem:
    return InputItem(name, None, MediaError(reason, f"{name}: {what}", fix))
