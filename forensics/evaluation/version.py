"""Which version of the package made a report."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """ "unknown" when it runs from a folder that was never installed."""
    try:
        return version("forensics")
    except PackageNotFoundError:
        return "unknown"
