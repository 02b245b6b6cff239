"""What can go wrong between a frame and a plan."""

from __future__ import annotations

from typing import Any

from forensics.errors import ForensicsError


class SceneError(ForensicsError):
    """One frame for which there is no plan or no mask.

    Attributes:
        reason: one of few fixed texts, fit for counting: "no object to remove", "no object to
            replace", "no free spot to add to", "no free spot in the drawn place", "planner: …",
            "grounder: …". `what` may say more.
    """

    exit_code = 3

    def __init__(self, reason: str, what: str | None = None, fix: str | None = None):
        super().__init__(what or reason, fix)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.what, self.fix)
