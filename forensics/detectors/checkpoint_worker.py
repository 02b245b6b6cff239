"""Turns one checkpoint into safetensors, in a process of its own: `checkpoint_worker.py IN OUT`.

Run by `importing` with Python's isolated mode, so it imports nothing of this package. Of a pickle
only tensors and plain values are unpickled (`weights_only=True`), of a Keras weights file (HDF5)
only the arrays that its layers name are read; all within limits on memory, time, open files and
output size. The last line of standard error says why a checkpoint was refused; the exit status is
then 3.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CPU_SECONDS = 120
OPEN_FILES = 64
HEADROOM = 1 << 30
WRAPPERS = ("state_dict", "model_state_dict", "model", "generator")
HDF5 = b"\x89HDF\r\n\x1a\n"
MOST_NAMES = 10_000


def main() -> int:
    source, target = map(Path, sys.argv[1:3])
    with source.open("rb") as file:
        convert = _keras if file.read(len(HDF5)) == HDF5 else _pickled
    try:
        convert(source, target)
    except Exception as error:
        print(_reason(error), file=sys.stderr)
        return 3
    return 0


def _pickled(source: Path, target: Path) -> None:
    import torch
    from safetensors.torch import save_file

    # Trainers in the line of MAE save their arguments beside the weights: attributes, no code.
    torch.serialization.add_safe_globals([argparse.Namespace])
    _limit(source.stat().st_size)  # not before the libraries are in memory
    loaded = torch.load(source, map_location="cpu", weights_only=True)
    save_file(_state_dict(loaded), target)


def _keras(source: Path, target: Path) -> None:
    import h5py  # noqa: F401
    from safetensors.numpy import save_file

    _limit(source.stat().st_size)
    save_file(dict(_keras_arrays(source)), target)


def _reason(error: Exception) -> str:
    """One line. torch's own advice on pickles, to load them unprotected, is not passed on."""
    if not isinstance(error, pickle.UnpicklingError):
        return f"{type(error).__name__}: {error}".replace("\n", " ")
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f"it would run {named[1]}" if named else "it is not a pickle of plain tensors"


def _limit(size: int) -> None:
    limits = {
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 2 * size + (1 << 20),
        resource.RLIMIT_DATA: _data_bytes() + 4 * size + HEADROOM,
    }
    for which, limit in limits.items():
        with contextlib.suppress(ValueError, OSError):  # what a platform does not know it refuses
            resource.setrlimit(which, (limit, limit))


def _data_bytes() -> int:
    """What this process holds already (Linux)."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmData")).split()[1])
    return 16 << 30


def _state_dict(loaded: Any) -> dict[str, Any]:
    """The plain name → tensor map, without a trainer's wrapping or `module.` prefixes."""
    import torch

    for wrapper in WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not loaded:
        raise TypeError("it does not hold a state dict")
    others = [name for name, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise TypeError(f"it holds more than tensors: {others[:5]}")
    return {
        str(name).removeprefix("module."): value.detach().clone().contiguous()
        for name, value in loaded.items()
    }


def _keras_arrays(source: Path) -> Iterator[tuple[str, Any]]:
    """`<place of the layer>/<its name>/<weight>` → array, of layers with weights, in their order.

    Nothing is followed out of the file: no links, no external or virtual storage. An array cannot
    be larger than the file, which these files do not compress.
    """
    import h5py
    import numpy as np

    left = source.stat().st_size
    with h5py.File(source, "r") as file:
        layers = _names(file, "layer_names")
        for place, layer in enumerate(layers):
            group = _child(file, layer, h5py.Group)
            for weight in _names(group, "weight_names"):
                found: Any = group
                *inner, last = weight.split("/")
                for part in inner:
                    found = _child(found, part, h5py.Group)
                found = _child(found, last, h5py.Dataset)
                if found.is_virtual or found.external or found.dtype != np.float32:
                    raise TypeError(f"{weight} is no plain array of float32")
                left -= found.size * found.dtype.itemsize
                if left < 0:
                    raise ValueError("its arrays are larger than the file")
                yield f"{place:03}/{layer}/{last.partition(':')[0]}", found[()]


def _names(group: Any, attribute: str) -> list[str]:
    """The names that an attribute of a group lists."""
    if attribute not in group.attrs:
        raise TypeError(f"it has no {attribute}: not a Keras weights file")
    if group.attrs.get_id(attribute).shape > (MOST_NAMES,):
        raise ValueError(f"its {attribute} are too many")
    return [
        one.decode() if isinstance(one, bytes) else str(one)
        for one in group.attrs[attribute].tolist()
    ]


def _child(group: Any, name: str, kind: type) -> Any:
    """What lies under a name in this very file."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise TypeError(f"{name} is missing, or lies elsewhere")
    found = group[name]
    if not isinstance(found, kind):
        raise TypeError(f"{name} is no {kind.__name__.lower()}")
    return found


if __name__ == "__main__":
    sys.exit(main())
