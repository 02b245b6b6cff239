"""One input on its way to a verdict, whatever its modality."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from forensics.errors import MediaError
from forensics.verdict.schema import Input, Verdict
from forensics.verdict.sources import Source, printable

log = logging.getLogger(__name__)
NO_CREDENTIALS = "C2PA: content credentials are not read"
_MAX_TAG = 500


class Work(Protocol):
    """What a judge has found of a case so far."""

    @property
    def settled(self) -> bool:
        """Whether all is found."""
        ...

    def verdict(self, case: Case) -> Verdict:
        """The verdict on a case that is settled."""
        ...


@dataclass(eq=False)
class Case:
    """One input on its way to a verdict; compared by identity.

    Attributes:
        index: which input it is, counted from 0.
        work: what the judge of its modality has found; None before one has taken it.
        failure: reason code and message, when it cannot be judged.
    """

    source: Source
    index: int = 0
    input: Input = field(default_factory=Input)
    provenance: dict[str, Any] = field(default_factory=dict)
    modality: str | None = None
    not_run: tuple[str, ...] = ()
    work: Work | None = None
    failure: tuple[str, str] | None = None
    decode_s: float = 0.0
    score_s: float = 0.0

    def fail(self, error: Exception) -> None:
        """Remember why there is no answer; anything but a `MediaError` is a bug of ours."""
        self.work = None
        if isinstance(error, MediaError):
            self.failure = error.reason, told(error, self.source.name)
        else:
            log.warning("%s: unexpected error", printable(self.source.name), exc_info=error)
            self.failure = "internal_error", f"{type(error).__name__}: {error}"

    def note(self, text: str) -> None:
        """Add a remark to the provenance."""
        self.provenance = {**self.provenance, "notes": [*self.provenance.get("notes", ()), text]}

    @property
    def settled(self) -> bool:
        return self.failure is not None or (self.work is not None and self.work.settled)

    def verdict(self) -> Verdict:
        """The verdict on a case that is settled."""
        if self.failure is not None:
            return not_applicable(self)
        assert self.work is not None  # settled
        return self.work.verdict(self)

    def common(self) -> dict[str, Any]:
        """The fields of its verdict that do not depend on what a detector said."""
        return {
            "path": printable(self.source.name),
            "modality": self.modality,
            "input": self.input,
            "provenance": self.provenance,
            "timings_s": {"decode": self.decode_s, "score": self.score_s},
            "forensics_version": installed_version(),
        }


def told(error: MediaError, name: str) -> str:
    """What is wrong, without the name that the verdict has already, and the fix."""
    what = error.what.removeprefix(f"{name}: ").removeprefix("<bytes>: ")
    return f"{what}; {error.fix}" if error.fix else what


def not_applicable(case: Case) -> Verdict:
    assert case.failure is not None
    reason, message = case.failure
    return Verdict(
        label="not_applicable",
        reason=reason,
        message=printable(message),
        not_run=(f"detectors: {reason}", NO_CREDENTIALS),
        **case.common(),
    )


def tags_of(stated: dict[str, str]) -> dict[str, str]:
    """What a file says of its own making, fit to be shown: sorted, valid Unicode, cut."""
    return {printable(k): printable(v)[:_MAX_TAG] for k, v in sorted(stated.items())}


@cache
def installed_version() -> str:
    try:
        return version("forensics")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
