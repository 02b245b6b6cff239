"""The whole command line inside this process: cheaper than `python -m forensics`, same answers."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from forensics.cli import main


def forensics(*arguments: object) -> subprocess.CompletedProcess[str]:
    """What the arguments print and the exit code they end with; a bug is raised as it is."""
    words = ["forensics", *map(str, arguments)]
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        patch.setattr(sys, "argv", words)
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), errors.getvalue())
