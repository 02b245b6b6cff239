"""Loads any `transformers` model from this machine: no network, no pickle, no code of a model's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from forensics.errors import MissingRequirement, UsageError
from forensics.requirements import SafetensorsModel, model_folder

LOCAL_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Placed(BaseModel):
    """Where and how a model runs.

    Attributes:
        device: a torch device, "cpu" or "cuda".
        dtype: of the weights; "auto" is float32 on a CPU and the checkpoint's own elsewhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    device: str = "cpu"
    dtype: Dtype = "auto"


def load_pretrained(
    auto_class: str, model: str, placed: Placed, quantised: Any = None
) -> tuple[Any, Any]:
    """A model in eval mode and its processor.

    Args:
        auto_class: a name in `transformers`, e.g. "AutoModelForImageTextToText".
        model: a local folder, or a hub id that is in the local cache.
        placed: where it runs.
        quantised: a `transformers` quantisation config; None leaves the weights as they are.

    Raises:
        MissingRequirement: the model is not here, or has no safetensors.
        UsageError: it is of another sort, or lacks weights.
    """
    import torch
    import transformers
    from transformers.utils import logging

    needed = SafetensorsModel(model)
    if (missing := needed.missing()) is not None:
        raise MissingRequirement(missing, needed.fix())
    folder = str(model_folder(model))
    cpu = torch.device(placed.device).type == "cpu"
    dtype = "float32" if placed.dtype == "auto" and cpu else placed.dtype
    more: dict[str, Any] = {"dtype": dtype}
    if quantised is not None:  # such models are placed while they are read and cannot be moved
        more |= {"quantization_config": quantised, "device_map": {"": placed.device}}
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        processor = transformers.AutoProcessor.from_pretrained(folder, **LOCAL_ONLY)
        network, report = getattr(transformers, auto_class).from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **more, **LOCAL_ONLY
        )
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(
            f"{model} cannot be loaded as {auto_class}: {error}",
            "name a whole model of that sort, with its processor",
        ) from error
    finally:
        if shown:
            logging.enable_progress_bar()
    if report["missing_keys"]:
        names = ", ".join(sorted(report["missing_keys"])[:5])
        raise UsageError(f"{model} lacks weights: {names}", "name the folder of a whole model")
    network = network.eval()
    return network if quantised is not None else network.to(placed.device), processor


def weights_digest(model: str) -> str:
    """SHA-256 (16 hex digits) over a model folder's configs, templates and weights.

    Raises:
        MissingRequirement: the model is not on this machine.
    """
    folder = model_folder(model)
    total = hashlib.sha256()
    for path in sorted(_files(folder)):
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def _files(folder: Path) -> list[Path]:
    patterns = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")
    return [path for pattern in patterns for path in folder.glob(pattern)]
