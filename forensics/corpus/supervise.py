"""Runs shard jobs in a child process that can be ended when an engine hangs or crashes.

A generator is foreign code: it may loop for ever inside C or take the process down. The child says
which call it is in; past the deadline, or when it dies, it is replaced and the shard starts again
with that item excluded and listed as failed, so one bad item never costs a shard.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from forensics import errors
from forensics.corpus.jobs import ShardJob, ShardReport

# Deaths outside any generator call (out of memory, a kill from outside) before giving up.
_MAX_UNEXPLAINED = 3
_SINGLE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class _Died(Exception):
    """The child is gone; `call` is what it was doing."""

    def __init__(self, reason: str, call: dict[str, Any] | None):
        super().__init__(reason)
        self.reason, self.call = reason, call


class SupervisedWorker:
    """One child process at a time; a context manager.

    Args:
        plan: path or URL of `plan.json`.
        source_root: folder that the plan's paths are relative to.
        out: folder or URL of the corpus.
    """

    def __init__(self, plan: str, source_root: Path, out: str):
        self._opening = {"plan": plan, "source_root": str(source_root), "out": out}
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def __enter__(self) -> SupervisedWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def build(self, shard: str) -> ShardReport:
        """Build one shard, whatever its engines do.

        Raises:
            ForensicsError: what the child raised (a full disk, a wrong parameter), or a
                MachineError when the child keeps dying outside any engine.
        """
        job = ShardJob(shard)
        unexplained = 0
        while True:
            try:
                return self._attempt(job)
            except _Died as death:
                if death.call is None:
                    unexplained += 1
                    if unexplained >= _MAX_UNEXPLAINED:
                        raise errors.MachineError(
                            f"shard {shard}: the worker {death.reason}, {unexplained} times",
                            "check memory (fewer --workers) and the log above",
                        ) from None
                else:
                    _blame(job, death)

    def close(self) -> None:
        """End the child now, for good; may be called from another thread than `build`."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._lines.close()
            self._channel.close()
            self._process = None

    def _attempt(self, job: ShardJob) -> ShardReport:
        if self._process is None:
            self._start()
        if self._closed:
            self._end()
            raise errors.ForensicsError("the build was stopped")
        self._send({"job": {"shard": job.shard, "excluded": job.excluded, "alone": job.alone}})
        return ShardReport(**self._wait("report"))

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "forensics.corpus.worker", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno() if _has_fileno(sys.stderr) else subprocess.DEVNULL,
            env={**os.environ, **_SINGLE_THREAD, **_OFFLINE},
        )
        theirs.close()
        self._channel = ours
        self._lines = ours.makefile("rb")
        self._send(self._opening)
        self._wait("ready")

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._channel.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise self._death(None) from None

    def _wait(self, wanted: str) -> Any:
        """Read events until the wanted one; a deadline runs while an engine call is under way."""
        call: dict[str, Any] | None = None
        deadline: float | None = None
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._channel.settimeout(left)
            try:
                line = self._lines.readline()
            except TimeoutError:
                assert call is not None
                self._end()
                each = call["seconds"] / len(call["keys"])
                raise _Died(f"hung: no answer within {each:.0f} s", call) from None
            except OSError:
                line = b""
            if not line:
                raise self._death(call)
            event = json.loads(line)
            if wanted in event:
                self._channel.settimeout(None)
                return event[wanted]
            if "calling" in event:
                call = event["calling"]
                deadline = time.monotonic() + event["calling"]["seconds"]
            elif "returned" in event:
                call, deadline = None, None
            elif "error" in event:
                kind = getattr(errors, event["class"], errors.ForensicsError)
                kind = errors.ForensicsError if kind is errors.MediaError else kind
                raise kind(event["error"], event["fix"])
            elif "bug" in event:
                raise RuntimeError(event["bug"])

    def _death(self, call: dict[str, Any] | None) -> _Died:
        process = self._process
        assert process is not None
        try:
            code = process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._end()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return _Died(f"crashed its process ({name})", call)


def _blame(job: ShardJob, death: _Died) -> None:
    """An item is excluded when it hangs or crashes its process a second time, called alone.

    A batch is taken apart first. Once may be anybody's doing: memory ran out, somebody killed the
    process, the whole machine stood still; a corpus must not lack an item for that.
    """
    assert death.call is not None
    keys = death.call["keys"]
    if len(keys) == 1 and keys[0] in job.alone:
        job.excluded[keys[0]] = death.reason
    else:
        job.alone = sorted({*job.alone, *keys})


def _has_fileno(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
