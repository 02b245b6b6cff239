"""Turns one checkpoint into safetensors, in a process of its own: `pickle_worker.py IN OUT`.

Run by `importing` with Python's isolated mode, so it imports nothing of this package. Only tensors
are unpickled (`weights_only=True`), within limits on memory, time, open files and output size.
The last line of standard error says why a checkpoint was refused; the exit status is then 3.
"""

from __future__ import annotations

import contextlib
import pickle
import re
import resource
import sys
from pathlib import Path
from typing import Any

CPU_SECONDS = 120
OPEN_FILES = 64
HEADROOM = 1 << 30
WRAPPERS = ("state_dict", "model_state_dict", "model")


def main() -> int:
    source, target = map(Path, sys.argv[1:3])
    import torch
    from safetensors.torch import save_file

    _limit(source.stat().st_size)
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
        save_file(_state_dict(loaded), target)
    except Exception as error:
        print(_reason(error), file=sys.stderr)
        return 3
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
