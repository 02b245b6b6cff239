"""What every command shares: how errors, JSON and exit codes reach the user."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from forensics.errors import ForensicsError


def print_json(value: Any) -> None:
    """One JSON value on one line of standard output."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, allow_nan=False)
    sys.stdout.write(text + "\n")


def print_error(error: ForensicsError) -> None:
    """What is wrong and how to mend it, one line each, on standard error."""
    print(f"error: {error.what}", file=sys.stderr)
    if error.fix:
        print(f"  fix: {error.fix}", file=sys.stderr)


def visible(text: str) -> str:
    """File names may hold line breaks and terminal commands."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def encodable(text: str) -> str:
    """What the terminal's encoding lacks is written as an escape."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def flush_stdout() -> None:
    """Let `forensics … | head` end quietly: what is left to print goes nowhere."""
    if sys.stdout is None:  # closed by the caller, as in `forensics … >&-`
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise
