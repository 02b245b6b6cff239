"""Finding a diffusers pipeline on this machine, and refusing one that would run foreign code."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forensics.errors import MissingRequirement
from forensics.generators.speech.neural import digest
from forensics.requirements import RequirementKind, find_model

INDEX = "model_index.json"
_PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}


@dataclass(frozen=True)
class PipelineWeights:
    """A pipeline folder, or a hub id in the local cache; safetensors, no code of its own.

    Attributes:
        hub: what is not here may be downloaded when the editor is loaded.
    """

    weights: str | None
    revision: str | None = None
    variant: str | None = None
    hub: bool = False
    example: str = ""
    kind: RequirementKind = "weights"

    def missing(self) -> str | None:
        if self.weights is None:
            return "no pipeline is named (parameter 'weights')"
        folder = find_pipeline(self.weights, self.revision)
        if folder is not None:
            return refusal(folder)
        if Path(self.weights).expanduser().is_dir():
            return f"pipeline folder {self.weights} has no {INDEX}"
        if self.hub:
            return None
        return f"pipeline {self.weights!r} is neither a local folder nor in the local cache"

    def fix(self) -> str:
        if self.weights is None:
            return f"set 'weights' to a pipeline folder or a hub id, e.g. {self.example}"
        if find_pipeline(self.weights, self.revision) is not None:
            return (
                "get the pipeline as safetensors, or load it in an environment that you trust, "
                "save_pretrained it, and set 'weights' to that folder"
            )
        if Path(self.weights).expanduser().is_dir():
            return "set 'weights' to the folder that save_pretrained wrote"
        at = f" --revision {self.revision}" if self.revision else ""
        return f"hf download {self.weights}{at}"

    def folder(self) -> Path:
        """The pipeline's folder, checked; downloaded before, where the user allowed that.

        Raises:
            MissingRequirement: it is not here, or it is refused.
        """
        found = find_pipeline(self.weights, self.revision) if self.weights else None
        if found is None and self.hub and self.weights:
            found = _downloaded(self.weights, self.revision, self.variant)
        what = self.missing() if found is None else refusal(found)
        if found is None or what is not None:
            raise MissingRequirement(what or f"no pipeline {self.weights!r}", self.fix())
        return found


def find_pipeline(weights: str, revision: str | None) -> Path | None:
    """The folder of a pipeline that is on this machine, else None. Never asks the network."""
    if revision is None or Path(weights).expanduser().is_dir():
        return find_model(weights, INDEX)
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(weights, INDEX, revision=revision)
    except ValueError:  # not of the form of a hub id
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def identity(folder: Path) -> str:
    """What the pipeline's output depends on: the commit in the hub's cache, else a SHA-256."""
    return folder.name if folder.parent.name == "snapshots" else digest(folder)


def read_index(folder: Path) -> dict[str, Any]:
    """model_index.json.

    Raises:
        ValueError: it is not JSON, or no object.
    """
    found = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{INDEX} is no object")
    return found


def refusal(folder: Path) -> str | None:
    """Why a pipeline folder is not loaded, in one line; None when it is fit."""
    try:
        index = read_index(folder)
    except (OSError, ValueError) as error:
        return f"{folder / INDEX} cannot be read: {error}"
    if not isinstance(index.get("_class_name"), str):
        return f"{folder} wants a pipeline class of its own, and foreign code is not run"
    for name, entry in index.items():
        what = None
        if isinstance(entry, list) and entry != [None, None]:
            what = _component(folder / name, entry)
        if what is not None:
            return f"{folder}: {name} {what}"
    return None


def _component(folder: Path, entry: list[Any]) -> str | None:
    """What is wrong with one part of a pipeline."""
    if len(entry) != 2 or not all(isinstance(part, str) for part in entry):
        return "is not described by a library and a class"
    library = entry[0]
    if not library.isidentifier() or not _known(library) or (folder / f"{library}.py").exists():
        return f"is code of its own ({library}), which is not run"
    if not folder.is_dir():
        return "is missing"
    files = [path for path in folder.iterdir() if path.is_file()]
    pickled = any(path.suffix in _PICKLED for path in files)
    if pickled and not any(path.suffix == ".safetensors" for path in files):
        return "has pickled weights only, and those are not read"
    return None


def _known(library: str) -> bool:
    """Whether it is diffusers, transformers, or one of diffusers' own pipeline packages."""
    if library in ("diffusers", "transformers"):
        return True
    spec = importlib.util.find_spec("diffusers")
    roots = spec.submodule_search_locations if spec is not None else None
    return any((Path(root) / "pipelines" / library).is_dir() for root in roots or [])


def _downloaded(weights: str, revision: str | None, variant: str | None) -> Path:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    try:
        return Path(
            DiffusionPipeline.download(
                weights,
                revision=revision,
                variant=variant,
                use_safetensors=True,
                trust_remote_code=False,
            )
        )
    except (OSError, ValueError) as error:
        raise MissingRequirement(
            f"pipeline {weights!r} cannot be downloaded: {error}".splitlines()[0],
            f"hf download {weights} --revision {revision}",
        ) from error
