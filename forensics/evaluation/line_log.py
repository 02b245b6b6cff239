"""JSON lines that outlive the process that wrote them: a run that was cut off goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from forensics.errors import CorpusError, MachineError

_FIX = "name another --out, or delete the file"


class LineLog:
    """A file of JSON objects, one a line; a context manager that appends.

    Args:
        path: None keeps nothing.
        known: gets every line that is there already, when the log is opened; a `ValueError`,
            `KeyError` or `TypeError` of it says that the line is damaged.

    Raises:
        CorpusError: on entering: a line that is damaged.
        MachineError: the file cannot be written.
    """

    def __init__(self, path: Path | None, known: Callable[[Any], None]):
        self._path, self._known = path, known

    def __enter__(self) -> LineLog:
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._read(self._path)
                self._file = self._path.open("a", encoding="utf-8")
            except OSError as error:
                raise MachineError(f"{self._path} cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._path is not None:
            self._file.close()

    def write(self, rows: Iterable[Any]) -> None:
        """Append; on disk when this returns."""
        if self._path is None:
            return
        lines = [json.dumps(row) for row in rows]
        if lines:
            try:
                self._file.write("\n".join(lines) + "\n")
                self._file.flush()
            except OSError as error:
                raise MachineError(
                    f"{self._path} cannot be written: {error.strerror}", "free some space"
                ) from error

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        with path.open("r+b") as file:
            number = whole = 0
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):  # the last run was killed while it wrote this line
                    file.truncate(whole)
                    break
                whole += len(line)
                try:
                    self._known(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise CorpusError(
                        f"{path}, line {number}: not a score ({error})", _FIX
                    ) from error
