"""Finds the data folders (`configs/`, `datasets/`, `pipelines/`) in a checkout or in the wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from forensics.errors import UsageError

Kind = Literal["configs", "datasets", "pipelines"]
KINDS: tuple[Kind, ...] = ("configs", "datasets", "pipelines")


def share(kind: Kind) -> Path:
    """The folder of one kind.

    Raises:
        UsageError: the installation carries neither the wheel's copy nor a checkout.
    """
    package = Path(__file__).resolve().parent
    installed = package / "_share" / kind
    if installed.is_dir():
        return installed
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / kind).is_dir():
        return checkout / kind
    raise UsageError(f"the {kind} folder is missing from this installation", "reinstall forensics")


def names(kind: Kind) -> list[str]:
    """Names of the entries of one kind: YAML stems, or the folder names of `datasets`."""
    root = share(kind)
    if kind == "datasets":
        return sorted(p.name for p in root.iterdir() if (p / "README.md").is_file())
    return sorted(str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.yaml"))


def find(kind: Kind, name: str) -> Path:
    """The file of a shipped entry by name, or `name` itself when it is a path that exists.

    Raises:
        UsageError: there is no such entry; the message lists those there are.
    """
    if Path(name).is_file():
        return Path(name)
    root = share(kind)
    path = root / name / "README.md" if kind == "datasets" else root / f"{name}.yaml"
    if path.is_file() and path.resolve().is_relative_to(root.resolve()):
        return path
    raise UsageError(f"there is no {kind[:-1]} {name!r}", f"there are: {', '.join(names(kind))}")
