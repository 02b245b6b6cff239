"""Runs `forensics build-dataset` in real processes, kills them, and compares what they leave."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from forensics.shards.reader import read_shard


def command(recipe, source, out, *more):
    return [
        *(sys.executable, "-m", "forensics", "build-dataset", str(recipe)),
        *("--source", str(source), "--out", str(out), *map(str, more)),
    ]


def build(recipe, source, out, environment, *more, code=0):
    done = subprocess.run(
        command(recipe, source, out, "--json", *more),
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def digests(out: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((out / "shards").iterdir())
    }


def items(out: Path):
    return [item for tar in sorted((out / "shards").glob("*.tar")) for item in read_shard(tar)]


def killed_build(recipe, source, out, environment, *more, kills: int, seed: int, victim) -> int:
    """Run and kill -9 at random moments until `kills` are done or the build gets through."""
    rng = random.Random(seed)
    done = 0
    while done < kills:
        process = subprocess.Popen(
            command(recipe, source, out, *more),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(timeout=rng.uniform(0.5, 2.8))
            break
        except subprocess.TimeoutExpired:
            chosen = victim(process.pid, rng)
            os.kill(chosen, signal.SIGKILL)
            done += 1
            if chosen != process.pid:
                # The build goes on with a new worker for a while before it is killed itself.
                time.sleep(rng.uniform(0.2, 1.5))
                process.kill()
        process.wait()
    return done


def parent(pid, rng):
    return pid


def anyone(pid, rng):
    """The build itself or one of its worker processes."""
    return rng.choice([pid, *children(pid)])


def children(pid) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(line) for line in listed.stdout.split()]


def check_killed(tmp_path, recipe, source, environment, *more, kills=20, victim=parent):
    reference, victimised = tmp_path / "whole", tmp_path / "killed"
    if not reference.exists():
        build(recipe, source, reference, environment, "--workers", 4)
    done = killed_build(
        *(recipe, source, victimised, environment, *more), kills=kills, seed=1, victim=victim
    )
    assert done == kills, "the build got through before it was killed often enough"
    build(recipe, source, victimised, environment, *more)
    assert digests(victimised) == digests(reference)
    assert (victimised / "info.json").read_bytes() == (reference / "info.json").read_bytes()
    assert not list(victimised.rglob("*.part"))
