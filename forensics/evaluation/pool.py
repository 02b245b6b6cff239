"""Chunks of work over processes, in whatever order they are done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

from forensics.errors import MachineError

J = TypeVar("J")
R = TypeVar("R")


def in_processes(
    chunks: Iterator[J],
    workers: int,
    score: Callable[[J], R],
    start: Callable[..., None],
    *arguments: Any,
) -> Iterator[R]:
    """`score` of every chunk; never more in memory than two chunks a worker.

    Args:
        score, start: functions of a module; `start` runs once in each worker, with `arguments`.

    Raises:
        MachineError: a worker died.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_started,
        initargs=(threads, start, arguments),
    )
    running: set[Future[R]] = set()
    try:
        running |= {pool.submit(score, chunk) for chunk in islice(chunks, 2 * workers)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(score, chunk) for chunk in islice(chunks, len(done))}
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise MachineError(
            "a worker died, most likely because memory ran out",
            "use fewer workers; with --out, the same command goes on where it was",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _started(threads: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    start(*arguments)
