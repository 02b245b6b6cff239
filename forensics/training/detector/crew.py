"""Several fits at a time, each in a process of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from typing import TypeAlias, TypeVar

from forensics.training.detector.processes import Processes

P = TypeVar("P")
F = TypeVar("F")
Do: TypeAlias = Callable[[P, Processes, int], F]
"""(plan, processes, loaders) → what a fit gave, or an earlier run kept; at a module's top level."""


def fit_all(do: Do[P, F], plans: list[P], among: Processes, workers: int, loaders: int) -> list[F]:
    """Do all fits that an earlier run did not finish.

    Args:
        workers: fits at a time. More than one: each in a process with one thread; not together
            with several processes for one fit.
    """
    if workers == 1 or among.count > 1 or len(plans) == 1:
        return [do(plan, among, loaders) for plan in plans]
    spawn = get_context("spawn")
    jobs = [(do, plan, among, loaders) for plan in plans]
    with ProcessPoolExecutor(min(workers, len(plans)), spawn, _prepare) as crew:
        list(crew.map(_done, jobs))
    # Read here: tensors sent from there would need shared memory, which may be small.
    return [do(plan, among, loaders) for plan in plans]


def _prepare() -> None:
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A fit whose run was killed must not write behind the back of the run that goes on."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _done(job: tuple[Do[P, F], P, Processes, int]) -> None:
    do, plan, among, loaders = job
    do(plan, among, loaders)
