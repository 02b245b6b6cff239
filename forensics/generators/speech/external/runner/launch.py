"""Seed every random generator, then run a module or script: `launch.py SEED (-m MODULE | FILE) …`.

Most engines' command lines take no seed. Run by the engine's own Python, so only the standard
library is sure to be there.
"""

from __future__ import annotations

import ctypes
import importlib.util
import random
import runpy
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def seed_everything(seed: int) -> None:
    """Python's, numpy's and torch's global generators, where they are installed."""
    random.seed(seed)
    if importlib.util.find_spec("numpy"):
        import numpy

        numpy.random.seed(seed % 2**32)
    if importlib.util.find_spec("torch"):
        import torch

        torch.manual_seed(seed)


def end_with_parent() -> None:
    """A worker that is killed must not leave an engine running; Linux can promise that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    end_with_parent()
    seed, *rest = sys.argv[1:]
    # In place of this file's folder, what Python itself would put first.
    sys.path[0] = "" if rest[0] == "-m" else str(Path(rest[0]).resolve().parent)
    seed_everything(int(seed))
    if rest[0] == "-m":
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = rest
        runpy.run_path(rest[0], run_name="__main__")


if __name__ == "__main__":
    main()
