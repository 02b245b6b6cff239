"""The Ray runner on a real local cluster, its workers killed for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.builds import anyone, build, check_killed, command, digests

pytest.importorskip("ray", reason="needs Ray: pip install 'forensics[ray]'")


@pytest.fixture
def cluster(environment, tmp_path_factory):
    """Environment of a local cluster of two CPUs that outlives the builds using it."""
    folder = tmp_path_factory.mktemp("ray")
    ray = Path(sys.executable).parent / "ray"
    port = 20_000 + os.getpid() % 10_000
    options = f"--head --num-cpus 2 --port {port} --include-dashboard false --temp-dir {folder}"
    subprocess.run(
        [ray, "start", *options.split()], check=True, capture_output=True, env=environment
    )
    yield {**environment, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    subprocess.run([ray, "stop", "--force"], check=True, capture_output=True)


def workers_under_way() -> list[int]:
    """Ray worker processes that are building a shard now."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if cmdline.read_bytes().startswith(b"ray::_ray_build"):
                found.append(int(cmdline.parent.name))
        except OSError:
            continue
    return found


def test_ray_gives_the_same_bytes_and_survives_a_killed_worker(
    tmp_path, make_source, make_recipe, cluster
):
    recipe, source = make_recipe("[t-slow, lpc]"), make_source(24, 6)
    build(recipe, source, tmp_path / "local", cluster)
    process = subprocess.Popen(
        command(recipe, source, tmp_path / "ray", "--runner", "ray", "--workers", "2"), env=cluster
    )
    while not list(tmp_path.glob("ray/shards/*.json")):
        assert process.poll() is None
        time.sleep(0.05)
    for pid in workers_under_way()[:1]:
        os.kill(pid, signal.SIGKILL)
        killed = pid
    assert killed
    assert process.wait(timeout=200) == 0
    assert digests(tmp_path / "ray") == digests(tmp_path / "local")


@pytest.mark.slow
def test_twenty_kills_of_a_ray_build(tmp_path, make_source, make_recipe, cluster):
    source, recipe = make_source(160, 12, seconds=1.3), make_recipe("[t-slow, lpc]", shard=1)
    more = ("--runner", "ray", "--workers", "2")
    check_killed(tmp_path, recipe, source, cluster, *more, victim=anyone)
