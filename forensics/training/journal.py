"""What a run leaves beside its weights: `run.yaml`, `log.jsonl`, and TensorBoard's events."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path
from types import TracebackType
from typing import Any

from forensics.errors import MissingRequirement, UsageError
from forensics.shards import storage

RUN, LOG, EVENTS = "run.yaml", "log.jsonl", "tensorboard"


def claim(folder: Path, resolved_config_yaml: str) -> None:
    """Make `folder` the place of the run with this config; it may hold that run's beginnings.

    Args:
        folder: made when it is not there.
        resolved_config_yaml: everything that shapes the run, defaults and data included.

    Raises:
        UsageError: the folder holds another run; the message says what differs first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recorded = folder / RUN
    if not recorded.exists():
        if any((folder / name).exists() for name in (LOG, "bundle")):
            raise UsageError(f"{folder} holds a run but no {RUN}", "name another folder")
        storage.publish(str(recorded), resolved_config_yaml.encode())
        return
    before = recorded.read_text(encoding="utf-8")
    if before != resolved_config_yaml:
        changed = [
            line
            for line in unified_diff(
                before.splitlines(), resolved_config_yaml.splitlines(), n=0, lineterm=""
            )
            if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]
        raise UsageError(
            f"{folder} holds a run of another config: {'; '.join(changed[:4])}",
            "name another folder, or go on with the config in its run.yaml",
        )


class Journal:
    """Appends figures to `folder/log.jsonl`, one JSON object a line; a context manager.

    Args:
        folder: must exist.
        tensorboard: also write the numbers to `folder/tensorboard`.
        kept: the last step whose lines are to stay. A run that goes on from a checkpoint does the
            later steps again, and its log shall hold each once. None keeps all.

    Raises:
        MissingRequirement: TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: Path, tensorboard: bool = False, kept: int | None = None):
        self.path = folder / LOG
        if kept is not None:
            self.truncate_after(kept)
        self._events = _writer(folder / EVENTS, kept) if tensorboard else None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._events is not None:
            self._events.close()

    def append(self, *, step: int, **figures: Any) -> None:
        """Write a line; it is in the file when this returns. NaN and infinities become null."""
        line = json.dumps(_plain({"step": step, **figures})) + "\n"
        storage.append(str(self.path), line.encode())
        if self._events is not None:
            for name, value in _numbers(figures):
                self._events.add_scalar(name, value, step)

    def truncate_after(self, step: int) -> None:
        """Drop the lines of later steps, and a line that a kill cut."""
        storage.publish(
            str(self.path),
            "".join(
                json.dumps(line) + "\n" for line in read(self.path) if line["step"] <= step
            ).encode(),
        )


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, but one that was cut; [] when there is no log."""
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Names and values of all numbers, those of nested mappings as `outer/inner`."""
    found: list[tuple[str, float]] = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found += _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)):
            found.append((prefix + name, float(value)))
    return found


def _writer(folder: Path, kept: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingRequirement(
            "TensorBoard is not installed", "pip install 'forensics[tensorboard]'"
        ) from error
    return SummaryWriter(folder, purge_step=None if kept is None else kept + 1)
