"""Several fits at a time, each in a process of its own."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process

from forensics.training.detector.fit import FitPlan
from forensics.training.detector.fitted import Fitted, fitted
from forensics.training.detector.processes import Processes


def fit_all(plans: list[FitPlan], among: Processes, workers: int, loaders: int) -> list[Fitted]:
    """Do all fits that an earlier run did not finish.

    Args:
        workers: fits at a time. More than one: each in a process with one thread; not together
            with several processes for one fit.
    """
    if workers == 1 or among.count > 1 or len(plans) == 1:
        return [fitted(plan, among, loaders) for plan in plans]
    spawn = get_context("spawn")
    jobs = [(plan, among, loaders) for plan in plans]
    with ProcessPoolExecutor(min(workers, len(plans)), spawn, _prepare) as crew:
        list(crew.map(_done, jobs))
    # Read here: tensors sent from there would need shared memory, which may be small.
    return [fitted(plan, among, loaders) for plan in plans]


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


def _done(job: tuple[FitPlan, Processes, int]) -> None:
    fitted(*job)
