"""Errors a user can act on, and the exit codes that scripts can rely on.

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | unexpected error (a bug: the traceback is shown) |
| 2 | wrong usage: arguments, a recipe or a CSV that cannot be read as one |
| 3 | some inputs could not be judged or some items could not be built; the rest was done |
| 4 | a check failed: a damaged shard, an audit above its limit |
| 5 | something needed is missing: a package, a program, weights |
| 6 | the machine refused: disk full, no permission to write |
"""

from __future__ import annotations

from typing import Any


class ForensicsError(Exception):
    """Base of every expected error: what is wrong, and how to mend it, in one line each."""

    exit_code = 1

    def __init__(self, what: str, fix: str | None = None):
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}. {self.fix}" if self.fix else self.what

    def __reduce__(self) -> tuple[Any, ...]:  # crosses process boundaries with its `fix`
        return type(self), (self.what, self.fix)


class UsageError(ForensicsError):
    """Arguments, a recipe, a config or a source list that cannot be used as given."""

    exit_code = 2


class MediaError(ForensicsError):
    """One media input that cannot be judged or used. `reason` is a stable code.

    Reasons: not_found, not_readable, is_url, empty, not_media, unsupported, unsupported_modality,
    truncated, too_large, too_long, too_short, too_small, wrong_size, silent, no_audio, no_video,
    invalid_samples, unsuitable; of photos of people also no_face, many_faces, face_too_small.
    """

    exit_code = 3

    def __init__(self, reason: str, what: str, fix: str | None = None):
        super().__init__(what, fix)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.what, self.fix)


class CorpusError(ForensicsError):
    """Shards, sidecars or a plan that do not hold what they promise."""

    exit_code = 4


class MissingRequirement(ForensicsError):
    """A package, a program or weights that are not here; `fix` is the command that gets them."""

    exit_code = 5


class MachineError(ForensicsError):
    """The machine refused: the disk is full, a folder cannot be written."""

    exit_code = 6
