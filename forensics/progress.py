"""Progress with an ETA: a rich bar on a terminal, one plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class Progress:
    """Counts work done on standard error; a context manager.

    Args:
        total: units of work in all.
        description: what is being done, e.g. "building".
        unit: what one unit is called.
        every_s: seconds between plain lines.
    """

    def __init__(self, total: int, description: str, unit: str = "items", every_s: float = 10.0):
        self.total, self.description, self.unit, self.every_s = total, description, unit, every_s
        self.done = 0
        self._bar = None

    def __enter__(self) -> Progress:
        self._start = self._printed = time.monotonic()
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TextColumn("{task.completed}/{task.total} " + self.unit),
                progress.TimeElapsedColumn(),
                progress.TextColumn("ETA"),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                redirect_stdout=False,  # results go where the user sent them
            )
            self._bar.start()
            self._task = self._bar.add_task(self.description, total=self.total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._printed > self._start or kind is None:
            self._line()

    def advance(self, count: int = 1) -> None:
        """Note that `count` more units are done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)
        elif time.monotonic() - self._printed >= self.every_s:
            self._line()

    def _line(self) -> None:
        now = self._printed = time.monotonic()
        elapsed = now - self._start
        eta = elapsed / self.done * (self.total - self.done) if self.done else None
        text = f"{self.description}: {self.done}/{self.total} {self.unit}, {elapsed:.0f} s"
        if eta is not None and self.done < self.total:
            text += f", ETA {eta:.0f} s"
        print(text, file=sys.stderr, flush=True)
