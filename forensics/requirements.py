"""What a generator or detector needs besides the core packages, and how to get it.

A requirement says in one line what is missing and the command that gets it. Nothing here imports
the package it asks about.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from forensics.errors import MissingRequirement

RequirementKind = Literal["package", "program", "weights"]


class Requirement(Protocol):
    """One thing that must be on the machine."""

    @property
    def kind(self) -> RequirementKind: ...

    def missing(self) -> str | None:
        """None when present, else one line: what is missing."""
        ...

    def fix(self) -> str:
        """The command that gets it."""
        ...


@dataclass(frozen=True)
class Package:
    """An importable Python package. `install` is what pip calls it (may be `forensics[extra]`)."""

    module: str
    install: str
    kind: RequirementKind = "package"

    def missing(self) -> str | None:
        found = importlib.util.find_spec(self.module.partition(".")[0]) is not None
        return None if found else f"Python package {self.module!r} is not installed"

    def fix(self) -> str:
        return f"pip install '{self.install}'"


@dataclass(frozen=True)
class Program:
    """A program on PATH. `install` is the command that gets it."""

    name: str
    install: str
    kind: RequirementKind = "program"

    def missing(self) -> str | None:
        return None if shutil.which(self.name) else f"program {self.name!r} is not on PATH"

    def fix(self) -> str:
        return self.install


@dataclass(frozen=True)
class LocalWeights:
    """Files that must lie in a local folder, or a local file when `files` is empty.

    `path` None means that the user has named none yet; `param` is the recipe parameter for it.
    """

    path: str | None
    files: tuple[str, ...] = ()
    param: str = "weights"
    source: str = ""
    kind: RequirementKind = "weights"

    def missing(self) -> str | None:
        if self.path is None:
            return f"no weights are named (parameter {self.param!r})"
        root = Path(self.path).expanduser()
        absent = [name for name in self.files if not (root / name).is_file()]
        if absent or not root.exists():
            return f"weights are not at {root}" + (f": no {', '.join(absent)}" if absent else "")
        return None

    def fix(self) -> str:
        return f"get them from {self.source} and set {self.param!r} to their folder"


@dataclass(frozen=True)
class HubWeights:
    """A `transformers` model: a local folder, or a hub id that is already in the local cache.

    The build itself never downloads: the fix is the command by which the user does.
    """

    model: str | None
    param: str = "model"
    example: str = ""
    kind: RequirementKind = "weights"

    def missing(self) -> str | None:
        if self.model is None:
            return f"no model is named (parameter {self.param!r})"
        if Path(self.model).expanduser().is_dir():
            return None
        from huggingface_hub import try_to_load_from_cache

        try:
            cached = try_to_load_from_cache(self.model, "config.json")
        except ValueError:
            return f"{self.model!r} is neither a local folder nor a hub id"
        return (
            None if isinstance(cached, str) else f"model {self.model!r} is not in the local cache"
        )

    def fix(self) -> str:
        if self.model is None:
            return f"set {self.param!r} to a local folder or a hub id, e.g. {self.example}"
        return f"hf download {self.model}"


@dataclass(frozen=True)
class SafetensorsModel(HubWeights):
    """A model folder or cached hub id whose weights are safetensors; pickled ones are refused."""

    config: str = "config.json"

    def missing(self) -> str | None:
        if self.model is None:
            return f"no model is named (parameter {self.param!r})"
        folder = find_model(self.model, self.config)
        if folder is None:
            local = Path(self.model).expanduser()
            if local.is_dir():
                return f"model folder {local} has no {self.config}"
            return f"model {self.model!r} is neither a local folder nor in the local cache"
        if not any(folder.glob("*.safetensors")):
            return f"model {self.model!r} has no safetensors weights, and pickled ones are not read"
        return None

    def fix(self) -> str:
        if self.model is not None and find_model(self.model, self.config) is not None:
            return (
                "load it with its own library in an environment that you trust, save safetensors "
                f"(transformers: save_pretrained), and set {self.param!r} to that folder"
            )
        return super().fix()


def find_model(model: str, config: str = "config.json") -> Path | None:
    """The folder of a model that is on this machine, else None. Never asks the network."""
    named = Path(model).expanduser()
    if named.is_dir():
        return named if (named / config).is_file() else None
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(model, config)
    except ValueError:  # not of the form of a hub id
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def model_folder(model: str | None, config: str = "config.json") -> Path:
    """As `find_model`.

    Raises:
        MissingRequirement: no model is named, or it is not on this machine.
    """
    folder = find_model(model, config) if model is not None else None
    if folder is None:
        needed = SafetensorsModel(model, config=config)
        raise MissingRequirement(needed.missing() or f"no model {model!r}", needed.fix())
    return folder


def lacking(requirements: tuple[Requirement, ...]) -> list[MissingRequirement]:
    """The requirements that are not met, each as an error with its fix."""
    found = ((r.missing(), r) for r in requirements)
    return [MissingRequirement(what, r.fix()) for what, r in found if what is not None]
