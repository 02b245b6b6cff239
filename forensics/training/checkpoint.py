"""The state of a training as one safetensors file: nested dicts and lists of tensors and numbers.

The tensors lie in the file as safetensors stores them; the header's metadata holds, as JSON, what
is around them. Nothing is unpickled, so that a checkpoint from elsewhere can run no code.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from forensics.errors import CorpusError, MachineError, MissingRequirement

_KEY = "state"


def save(path: Path, state: dict[Any, Any]) -> None:
    """Write a state whole or not at all; a kill at any moment leaves the old file or the new one.

    Args:
        path: the file; its folder must exist.
        state: dicts (keys str or int), lists and tuples of tensors (any device, any strides),
            bool, int, float, str and None, however deep: what `state_dict()` of networks and
            optimisers gives, `torch.get_rng_state()`, numpy's `bit_generator.state`.

    Raises:
        TypeError: the state holds something else.
        MachineError: the file cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    skeleton = json.dumps(_taken_apart(state, tensors))
    part = path.with_name(path.name + ".part")
    try:
        save_file(tensors, part, metadata={_KEY: skeleton})
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        raise MachineError(f"{path} cannot be written: {error}", "name another folder") from error


def load(path: Path) -> dict[Any, Any]:
    """What `save` was given, tensors on the CPU with the strides they had.

    Raises:
        MissingRequirement: there is no such file.
        CorpusError: it is cut, or no checkpoint.
    """
    if not path.is_file():
        raise MissingRequirement(f"there is no checkpoint {path}", "check the path")
    try:
        with safe_open(path, framework="pt") as file:
            skeleton = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _put_together(skeleton, tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CorpusError(
            f"{path} is no whole checkpoint: {error!r}", "remove it and train from the start"
        ) from error


def _taken_apart(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """JSON that says the same, each tensor replaced by its number and put into `tensors`."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        # A copy, because safetensors refuses tensors that share memory.
        tensors[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        dense = value.numel() == 1 + sum(
            (size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True)
        )
        kept = not value.is_contiguous() and dense
        return {"tensor": name, "stride": list(value.stride()) if kept else None}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_taken_apart(one, tensors) for one in value]}
    if isinstance(value, dict):
        if not all(type(key) in (str, int) for key in value):
            raise TypeError(f"a checkpoint's keys are str or int, not {list(value)[:5]}")
        return {"dict": [[key, _taken_apart(one, tensors)] for key, one in value.items()]}
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}: {value!r:.80}")


def _put_together(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        tensor = tensors[value["tensor"]]
        if value["stride"] is None:
            return tensor
        return torch.empty_strided(tensor.shape, value["stride"], dtype=tensor.dtype).copy_(tensor)
    if "dict" in value:
        return {key: _put_together(one, tensors) for key, one in value["dict"]}
    kind, parts = next(iter(value.items()))
    restored = [_put_together(one, tensors) for one in parts]
    return restored if kind == "list" else tuple(restored)


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
