"""The process that builds shards: `python -m forensics.corpus.worker FD`.

It talks JSON over one inherited socket (never pickle, never its own stdout, which engines may
write to): a job comes in, "calling"/"returned" events and one result go out. When the parent is
gone the socket closes and the process ends at once, so a killed build leaves nobody writing.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from forensics.corpus.jobs import ShardJob, Watch
from forensics.corpus.modality import read_plan
from forensics.corpus.shard_job import ShardBuilder
from forensics.errors import ForensicsError


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    channel = socket.socket(fileno=int(sys.argv[1]))
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(channel, jobs), daemon=True).start()
    builder: ShardBuilder | None = None
    while True:
        message = jobs.get()
        try:
            if "plan" in message:
                builder = _open_plan(message, channel)
                _send(channel, {"ready": True})
            elif builder is not None:
                report = builder.build(ShardJob(**message["job"]))
                _send(channel, {"report": asdict(report)})
        except ForensicsError as error:
            _send(channel, {"error": error.what, "fix": error.fix, "class": type(error).__name__})
        except Exception as error:
            import traceback

            _send(channel, {"bug": f"{type(error).__name__}: {error}\n{traceback.format_exc()}"})


def _open_plan(message: dict[str, Any], channel: socket.socket) -> ShardBuilder:
    plan = read_plan(message["plan"])
    watch = Watch(
        calling=lambda system, keys, seconds: _send(
            channel, {"calling": {"system": system, "keys": keys, "seconds": seconds}}
        ),
        returned=lambda: _send(channel, {"returned": True}),
    )
    return ShardBuilder(plan, Path(message["source_root"]), message["out"], watch)


def _listen(channel: socket.socket, jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    with channel.makefile("rb") as lines:
        for line in lines:
            jobs.put(json.loads(line))
    os._exit(1)


def _send(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
