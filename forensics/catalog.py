"""What this installation offers and lacks: the data behind `forensics list` and `doctor`."""

from __future__ import annotations

import importlib
import os
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from forensics import resources

Sort = Literal["generators", "detectors", "conditions", "pipelines", "datasets"]

# (module, distribution, needed by everything, how to get it)
_PACKAGES = (
    ("torch", "torch", True, "pip install 'torch>=2.14,<2.15'"),
    ("torchaudio", "torchaudio", True, "pip install 'torchaudio>=2.11,<2.12'"),
    ("torchvision", "torchvision", True, "pip install 'torchvision>=0.29'"),
    ("timm", "timm", True, "pip install timm"),
    ("transformers", "transformers", True, "pip install transformers"),
    ("diffusers", "diffusers", True, "pip install diffusers"),
    ("librosa", "librosa", True, "pip install librosa"),
    ("PIL", "pillow", True, "pip install pillow"),
    ("cv2", "opencv-python-headless", True, "pip install opencv-python-headless"),
    ("webdataset", "webdataset", True, "pip install webdataset"),
    ("onnxruntime", "onnxruntime", True, "pip install onnxruntime"),
    ("soundfile", "soundfile", True, "pip install soundfile"),
    ("espeakng_loader", "espeakng-loader", True, "pip install espeakng-loader"),
    ("pyworld", "pyworld", False, "pip install 'forensics[world]' (needs a C++ compiler)"),
    ("vocos", "vocos", False, "pip install 'forensics[vocos]'"),
    ("ai_edge_litert", "ai-edge-litert", False, "pip install 'forensics[lyra]'"),
    ("piper", "piper-tts", False, "pip install 'forensics[piper]'"),
    ("av", "av", False, "pip install 'forensics[av]'"),
    ("onnxscript", "onnxscript", False, "pip install 'forensics[onnx]'"),
    ("ray", "ray", False, "pip install 'forensics[ray]'"),
    ("h5py", "h5py", False, "pip install 'forensics[keras]'"),
)


def rows(what: Sort) -> list[dict[str, Any]]:
    """One dict an entry with at least `name` and `summary`."""
    if what in ("generators", "detectors"):
        return generator_rows() if what == "generators" else detector_rows()
    if what == "conditions":
        return condition_rows()
    if what == "pipelines":
        from forensics.corpus.recipe import load_recipe

        recipes = [(name, load_recipe(name)[0]) for name in resources.names("pipelines")]
        return [{"name": name, "kind": r.modality, "summary": r.summary} for name, r in recipes]
    from forensics.corpus.card import load_card

    cards = [load_card(name) for name in resources.names("datasets")]
    return [
        {"name": c.name, "kind": c.modality, "summary": c.title, "licence": c.licence}
        for c in cards
    ]


def condition_rows() -> list[dict[str, Any]]:
    """Registered conditions, those of speech first."""
    from forensics.conditions.base import CONDITIONS
    from forensics.conditions.image.base import IMAGE_CONDITIONS

    return [
        {"name": name, "kind": modality, "summary": registry.get(name).summary}
        for modality, registry in (("speech", CONDITIONS), ("image", IMAGE_CONDITIONS))
        for name in registry.names()
    ]


def generator_rows() -> list[dict[str, Any]]:
    """Registered generators of speech, editors of pictures and forgers of faces, with their state:
    ready, needs weights, package or program."""
    from forensics.generators.base import GENERATORS
    from forensics.generators.face.base import FORGERS
    from forensics.generators.image.base import EDITORS

    found = []
    for registry in (GENERATORS, EDITORS, FORGERS):
        for name in registry.names():
            cls = registry.get(name)
            generator = cls()
            lacking = generator.check()
            kinds = sorted({r.kind for r in generator.requirements() if r.missing()})
            found.append(
                {
                    "name": name,
                    "modality": cls.modality,
                    "kind": cls.kind,
                    "state": "ready" if not lacking else "needs " + "+".join(kinds),
                    "summary": cls.summary,
                    "licence": cls.licence,
                    "missing": [lack.what for lack in lacking],
                    "fixes": [lack.fix for lack in lacking],
                }
            )
    return found


def detector_rows() -> list[dict[str, Any]]:
    """What `--detector` takes: ready when weights ship with the package, or none are needed."""
    from forensics.errors import MissingRequirement
    from forensics.verdict.loading import detector_class, detector_names, resolve_detector

    found = []
    for name in detector_names():
        fixes: list[str] = []
        try:
            cls = resolve_detector(name).cls
        except MissingRequirement as error:
            cls, fixes = detector_class(name), [error.fix or error.what]
        found.append(
            {
                "name": name,
                "kind": cls.modality,
                "state": "needs weights" if fixes else "ready",
                "summary": cls.summary,
                "licence": cls.licence,
                "fixes": fixes,
            }
        )
    return found


def examine() -> dict[str, Any]:
    """Imports every package for real, so that a broken one is told from a missing one."""
    packages = [_examine(*entry) for entry in _PACKAGES]
    return {
        "packages": packages,
        "cpu_cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "gpu": _gpu(),
        "generators": generator_rows(),
        "detectors": detector_rows(),
    }


def _examine(module: str, distribution: str, core: bool, fix: str) -> dict[str, Any]:
    row = {"name": distribution, "core": core, "works": False, "found": "", "fix": fix}
    try:
        row["found"] = version(distribution)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
        row["works"] = True
    except PackageNotFoundError:
        pass
    except Exception as error:  # a package that is installed but cannot be imported
        why = (str(error).splitlines() or [type(error).__name__])[0]
        row["found"] = f"{row['found']} is installed but fails: {why}"
    return row


def _gpu() -> str:
    try:
        import torch
    except Exception:  # a torch whose libraries do not load raises OSError
        return "unknown (torch cannot be imported)"
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
