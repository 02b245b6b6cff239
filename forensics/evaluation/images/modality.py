"""Whether an evaluation is about speech or pictures: by its detectors, else by its material."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from forensics.detectors.base import SpeechDetector
from forensics.detectors.image.base import ImageDetector
from forensics.errors import UsageError
from forensics.evaluation.material import PathLike
from forensics.shards import storage
from forensics.shards.reader import read_sidecar

Modality = Literal["speech", "image"]

_PICTURES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_PATHS = ("path", "file", "filename", "image")


def modality_of(
    detectors: Sequence[Any],
    weights: PathLike | None,
    shards: PathLike | None,
    protocol: PathLike | None,
) -> Modality:
    """Of the detectors, where some are named, else of the material.

    Raises:
        UsageError: detectors of both; what finding one raises.
    """
    if not detectors:
        return _of_shards(os.fspath(shards)) if shards is not None else _of_list(protocol)
    found: set[Modality] = {_of_detector(one, weights) for one in detectors}
    if len(found) > 1:
        raise UsageError(
            "some detectors judge speech and some pictures", "measure them in two evaluations"
        )
    return found.pop()


def _of_detector(named: Any, weights: PathLike | None) -> Modality:
    if isinstance(named, ImageDetector):
        return "image"
    if isinstance(named, SpeechDetector):
        return "speech"
    from forensics.detectors.base import DETECTORS
    from forensics.detectors.image.base import IMAGE_DETECTORS
    from forensics.verdict.loading import (
        DEFAULT_DETECTOR,
        DEFAULT_IMAGE_DETECTOR,
        ImageSpec,
        resolve_detector,
    )

    name = str(named)
    if name == DEFAULT_IMAGE_DETECTOR or name in IMAGE_DETECTORS.names():
        return "image"
    if name == DEFAULT_DETECTOR or name in DETECTORS.names():
        return "speech"
    spec = resolve_detector(named, None if weights is None else Path(weights))
    return "image" if isinstance(spec, ImageSpec) else "speech"


def _of_shards(corpus: str) -> Modality:
    """Of the first item. What is wrong with a corpus is told by whoever opens it."""
    folder = storage.join(corpus, "shards")
    listed = storage.names(folder)
    for name in sorted(one.removesuffix(".tar") for one in listed if one.endswith(".tar")):
        if f"{name}.json" not in listed:
            continue
        for meta in read_sidecar(folder, name).items.values():
            return "image" if meta.modality == "image" else "speech"
    return "speech"


def _of_list(protocol: PathLike | None) -> Modality:
    """Pictures: `Tp/` or `images/` in a folder, a JSON list, a CSV whose first file is one."""
    if protocol is None:
        return "speech"
    path = Path(protocol)
    if path.is_dir():
        return "image" if any((path / name).is_dir() for name in ("Tp", "images")) else "speech"
    if path.suffix.lower() == ".json":
        return "image"
    if path.suffix.lower() != ".csv" or not path.is_file():
        return "speech"
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        row = next(csv.DictReader(file), {})
    named = [row.get(name) or "" for name in _PATHS]
    return "image" if any(Path(one).suffix.lower() in _PICTURES for one in named) else "speech"
