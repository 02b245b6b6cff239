"""Runs the shard jobs of a plan: in local processes, or as Ray tasks with the same function."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from forensics.corpus.jobs import ShardReport
from forensics.corpus.supervise import SupervisedWorker
from forensics.errors import ForensicsError, MissingRequirement

RunnerName = Literal["local", "ray"]


@dataclass(frozen=True)
class Work:
    """Where a worker finds what it needs; all of it crosses machines as plain strings."""

    plan: str
    source_root: str
    out: str

    def worker(self) -> SupervisedWorker:
        return SupervisedWorker(self.plan, Path(self.source_root), self.out)


def run_local(work: Work, shards: list[str], workers: int) -> Iterator[ShardReport]:
    """Reports as they come. The first error stops the run after the shards under way are ended."""
    lent = threading.local()
    closing = threading.Event()
    hired: list[SupervisedWorker] = []

    def build(shard: str) -> ShardReport:
        if not hasattr(lent, "worker"):
            lent.worker = work.worker()
            hired.append(lent.worker)
        if closing.is_set():
            raise ForensicsError("the build was stopped")
        return lent.worker.build(shard)

    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="shards")
    try:
        pending: set[Future[ShardReport]] = {pool.submit(build, shard) for shard in shards}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        closing.set()
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in hired:
            worker.close()
        pool.shutdown(wait=True)


def run_ray(work: Work, shards: list[str], workers: int) -> Iterator[ShardReport]:
    """Reports as they come, from at most `workers` Ray tasks of one CPU at a time.

    A task whose Ray worker dies is run again by Ray; the shard's completion record makes that safe.
    A cluster that is already initialised or named by RAY_ADDRESS is used, else a local one starts.

    Raises:
        MissingRequirement: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingRequirement("Ray is not installed", "pip install 'forensics[ray]'") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    task: Any = ray.remote(max_retries=5, num_cpus=1)(_ray_build)
    waiting = list(reversed(shards))
    running: set[Any] = set()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.add(task.remote(work.plan, work.source_root, work.out, waiting.pop()))
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                running.discard(reference)
                yield ShardReport(**_ray_result(ray, reference))
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


_RAY_WORKERS: dict[Work, SupervisedWorker] = {}


def _ray_build(plan: str, source_root: str, out: str, shard: str) -> dict[str, Any]:
    """Runs in a Ray worker process, which keeps its child, and so its loaded engines."""
    work = Work(plan, source_root, out)
    worker = _RAY_WORKERS.setdefault(work, work.worker())
    return asdict(worker.build(shard))


def _ray_result(ray: Any, reference: Any) -> dict[str, Any]:
    """The task's report; an error of ours comes out as itself, not wrapped."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error


RUNNERS = {"local": run_local, "ray": run_ray}
