"""What a source says of people's consent: words in a list, or a record beside their photos."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

from forensics.errors import UsageError
from forensics.identity.card import parse_consent

RECORD = "consent.json"
NOT_STATED = "not stated"
# Grounds other than consent, as records of enrolment name them; kept as they are.
_BASES = ("contract", "legal_obligation", "public_interest", "own_face")
_GIVEN = frozenset({"given", "granted", "consent", "yes", "true"})
_REFUSED = frozenset({"refused", "denied", "withdrawn", "revoked", "no", "false"})
_UNKNOWN = frozenset({"", NOT_STATED, "not_stated", "unknown"})
_EXPIRED = "expired"


class Consents:
    """Reads consents, and counts what has to be left out for them."""

    def __init__(self) -> None:
        self._today = datetime.now(UTC).date()
        self._left_out: Counter[str] = Counter()
        self._records: dict[Path, str | None] = {}

    def of_row(self, word: str | None, expires: str | None, where: str) -> str | None:
        """`given`, another ground, or `not stated`; None where the photo may not be used.

        Args:
            word: empty where nothing is stated.
            expires: the first day on which it no longer holds, YYYY-MM-DD; empty for never.

        Raises:
            UsageError: a word or a date that means nothing here.
        """
        said = (word or "").strip().lower()
        if said in _REFUSED or said == _EXPIRED or self._is_over(expires, where):
            self._left_out["refused" if said in _REFUSED else _EXPIRED] += 1
            return None
        if said in _GIVEN:
            return "given"
        if said in _BASES:
            return said
        if said in _UNKNOWN:
            return NOT_STATED
        raise UsageError(
            f"{where}: consent {word!r} is not known",
            f"use given, refused, expired, {', '.join(_BASES)}, or leave it empty",
        )

    def of_folder(self, folder: Path, person: str) -> str | None:
        """The same from the `consent.json` in a person's folder, counted once a photo.

        Raises:
            UsageError: it is no record, or of somebody else.
        """
        path = folder / RECORD
        if path not in self._records:
            self._records[path] = self._read(path, person)
        if self._records[path] is None:
            self._left_out[_EXPIRED] += 1
        return self._records[path]

    def note(self) -> list[str]:
        """What was left out, in words; empty where nothing was."""
        if not self._left_out:
            return []
        counts = ", ".join(f"{count} {why}" for why, count in sorted(self._left_out.items()))
        return [f"{self._left_out.total()} photos are left out for want of consent: {counts}"]

    def _read(self, path: Path, person: str) -> str | None:
        if not path.is_file():
            return NOT_STATED
        record = parse_consent(path.read_bytes(), str(path))
        if record.expires is not None and record.expires <= self._today:
            return None
        record.check(person, self._today)
        return "given" if record.basis == "consent" else record.basis

    def _is_over(self, expires: str | None, where: str) -> bool:
        if not expires or not expires.strip():
            return False
        try:
            return date.fromisoformat(expires.strip()) <= self._today
        except ValueError as error:
            raise UsageError(
                f"{where}: consent_expires {expires!r} is no date", "write it as 2027-01-31"
            ) from error
