"""A weights folder: `config.json` and `model.safetensors`, tied together by a SHA-256.

Beside them there may be `model.onnx`, the same network as a graph; the config pins it too.

Pickle never enters here: published `.pth` files come in through `forensics import-weights`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from forensics.detectors.calibration import Calibration, Threshold
from forensics.errors import CorpusError, MachineError, MissingRequirement, UsageError

if TYPE_CHECKING:
    import torch

CONFIG, WEIGHTS, ONNX = "config.json", "model.safetensors", "model.onnx"
PICKLES = frozenset({".pth", ".pt", ".bin", ".pkl", ".ckpt"})


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Measurement(_Frozen):
    """One figure, and how to get it again.

    Attributes:
        on: the data set and split.
        metric: e.g. "eer" or "within-page eer"; rates are in [0, 1].
        interval: 95 % interval, low and high.
        command: what was run.
    """

    on: str
    metric: str
    value: float
    interval: tuple[float, float] | None = None
    command: str


class BundleCard(_Frozen):
    """What is known of the weights besides their hash.

    Attributes:
        detector, detector_version: whose weights these are, as registered.
        architecture: what the network is built from.
        sampling_rate: Hz; window_samples: length of what is scored at once; 1 for pictures, which
            have neither.
        calibration: raw score → LLR. None: the scores mean nothing in absolute terms, and a
            verdict can only be `uncertain`, with the reason `uncalibrated`.
        thresholds: cuts on calibrated scores, the default one first.
        trained_on: data sets, in words.
        limits: what the detector is known not to do, in words; goes with every verdict.
    """

    detector: str
    detector_version: str
    architecture: dict[str, JsonValue]
    sampling_rate: int = Field(default=1, gt=0)
    window_samples: int = Field(default=1, gt=0)
    calibration: Calibration | None = None
    thresholds: tuple[Threshold, ...] = ()
    measured: tuple[Measurement, ...] = ()
    trained_on: str
    limits: str = ""
    licence: str

    @model_validator(mode="after")
    def _thresholds_need_calibration(self) -> BundleCard:
        if self.thresholds and self.calibration is None:
            raise ValueError("thresholds cut calibrated scores, but there is no calibration")
        return self


class BundleConfig(BundleCard):
    """The content of `config.json`.

    Attributes:
        onnx_sha256: of `model.onnx`, the network with these weights; None: there is none.
        onnx_max_difference: how far its outputs lay from those of torch when it was written.
    """

    format: Literal[1] = 1
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    onnx_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    onnx_max_difference: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _graphs_were_compared(self) -> BundleConfig:
        if (self.onnx_sha256 is None) != (self.onnx_max_difference is None):
            raise ValueError("a graph is pinned with its distance from torch, or not at all")
        return self


@dataclass(frozen=True)
class Bundle:
    """A folder whose weights were found to match the hash in its config."""

    folder: Path
    config: BundleConfig

    @property
    def weights_sha256(self) -> str:
        return self.config.weights_sha256

    @property
    def has_onnx(self) -> bool:
        return self.config.onnx_sha256 is not None

    @property
    def calibration(self) -> Calibration | None:
        return self.config.calibration

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        return self.config.thresholds

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read the config and check the weights' SHA-256, before anything parses them.

        Raises:
            MissingRequirement: there is no weights folder; for pickled weights the fix is the
                command that converts them.
            UsageError: the config cannot be read as one.
            CorpusError: the weights, or the graph if one is pinned, do not match their hash.
        """
        _check_present(folder)
        try:
            config = BundleConfig.model_validate_json((folder / CONFIG).read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "file"
            raise UsageError(
                f"{folder / CONFIG}: {where}: {first['msg']}", "get the weights again"
            ) from error
        with (folder / WEIGHTS).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        _check_pinned(folder / WEIGHTS, found, config.weights_sha256)
        bundle = cls(folder, config)
        if bundle.has_onnx:
            bundle.onnx()
        return bundle

    @classmethod
    def save(cls, folder: Path, card: BundleCard, tensors: Mapping[str, torch.Tensor]) -> Bundle:
        """Write a new weights folder; the same tensors give the same bytes.

        Raises:
            UsageError: the folder already holds a bundle.
            MachineError: it cannot be written.
        """
        from safetensors.torch import save

        if (folder / CONFIG).exists() or (folder / WEIGHTS).exists():
            raise UsageError(f"{folder} already holds weights", "name another folder")
        data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
        pinned = {**card.model_dump(), "weights_sha256": hashlib.sha256(data).hexdigest()}
        config = BundleConfig(**pinned)
        _write(folder / WEIGHTS, data)
        return cls(folder, config)._with_config_written()

    def with_changes(self, **changes: Any) -> Bundle:
        """Rewrite the config with other fields, e.g. a calibration; the weights stay.

        Raises:
            UsageError: the fields do not fit the schema.
            MachineError: the folder cannot be written.
        """
        try:
            config = BundleConfig(**{**self.config.model_dump(), **changes})
        except ValidationError as error:
            raise UsageError(f"the new config is not valid: {error}") from error
        return Bundle(self.folder, config)._with_config_written()

    def check_made_for(self, detector: str, version: str, sampling_rate: int) -> None:
        """Raises UsageError when these are not weights for that detector."""
        config = self.config
        made_for = (config.detector, config.detector_version, config.sampling_rate)
        if made_for != (detector, version, sampling_rate):
            raise UsageError(
                f"{self.folder} holds weights of {made_for[0]} {made_for[1]} at {made_for[2]} Hz, "
                f"not of {detector} {version} at {sampling_rate} Hz",
                f"name --detector {made_for[0]}, or other weights",
            )

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights on the CPU."""
        from safetensors.torch import load_file

        return load_file(self.folder / WEIGHTS)

    def onnx(self) -> bytes:
        """The pinned graph, its hash checked on the very bytes that are returned.

        Raises:
            CorpusError: it is not there or not the pinned one.
        """
        path = self.folder / ONNX
        try:
            graph = path.read_bytes()
        except OSError as error:
            raise CorpusError(f"{path} is pinned but not there", "get the weights again") from error
        _check_pinned(path, hashlib.sha256(graph).hexdigest(), self.config.onnx_sha256 or "")
        return graph

    def with_onnx(self, graph: bytes, max_difference: float) -> Bundle:
        """Write the network as a graph beside the weights, in place of an earlier one.

        Args:
            max_difference: how far its outputs were found to lie from those of torch.

        Raises:
            MachineError: the folder cannot be written.
        """
        without = {"onnx_sha256": None, "onnx_max_difference": None}
        self.with_changes(**without)  # an end between the writes leaves a folder that loads
        _write(self.folder / ONNX, graph)
        sha256 = hashlib.sha256(graph).hexdigest()
        return self.with_changes(onnx_sha256=sha256, onnx_max_difference=max_difference)

    def _with_config_written(self) -> Bundle:
        _write(self.folder / CONFIG, self.config.model_dump_json(indent=2).encode() + b"\n")
        return self


def _check_pinned(path: Path, found: str, pinned: str) -> None:
    if found != pinned:
        raise CorpusError(
            f"{path} has SHA-256 {found[:12]}…, its config pins {pinned[:12]}…",
            "get the weights again",
        )


def _check_present(folder: Path) -> None:
    if folder.suffix in PICKLES and folder.is_file():
        raise _pickled(folder)
    if not folder.is_dir():
        raise MissingRequirement(
            f"there is no weights folder {folder}",
            "check the path; a published .pth comes in through forensics import-weights",
        )
    absent = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if not absent:
        return
    pickled = sorted(path for path in folder.iterdir() if path.suffix in PICKLES)
    if pickled:
        raise _pickled(pickled[0])
    raise MissingRequirement(
        f"{folder} is not a weights folder: no {', '.join(absent)}",
        "name the folder that forensics import-weights or training wrote",
    )


def _pickled(path: Path) -> MissingRequirement:
    return MissingRequirement(
        f"{path} is a pickle, which can run code when it is opened, and is not loaded",
        f"forensics import-weights aasist {path} --out {path.stem}",
    )


def _write(path: Path, data: bytes) -> None:
    """Write whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error}", "name another folder") from error
