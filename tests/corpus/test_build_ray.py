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
from helpers.frames import write_frames

from forensics.demo.portrait import write_portraits

pytest.importorskip("ray", reason="needs Ray: pip install 'forensics[ray]'")


@pytest.fixture
def cluster(environment, tmp_path_factory):
    """Environment of a local cluster of two CPUs that outlives the builds using it."""
    folder = tmp_path_factory.mktemp("ray")
    ray = Path(sys.executable).parent / "ray"
    port = 20_000 + os.getpid() % 10_000
    options = f"--head --num-cpus 2 --port {port} --include-dashboard false --temp-dir {folder}"
    start = [ray, "start", "--block", *options.split()]
    head = subprocess.Popen(
        start, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    assert head.stdout is not None
    while "started" not in (line := head.stdout.readline()):
        assert line, "the cluster did not start"
    yield {**environment, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    os.killpg(head.pid, signal.SIGKILL)
    head.wait()


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


@pytest.mark.timeout(600)
def test_ray_gives_the_same_bytes_and_survives_a_killed_worker(
    tmp_path, make_source, make_recipe, cluster
):
    recipe, source = make_recipe("[t-slow, lpc]"), make_source(16, 4)
    build(recipe, source, tmp_path / "local", cluster)
    process = subprocess.Popen(
        command(recipe, source, "ray", "--runner", "ray", "--workers", "2"),
        env=cluster,
        cwd=tmp_path,  # a relative --out must reach workers that run elsewhere
    )
    while not list(tmp_path.glob("ray/shards/*.json")) or not workers_under_way():
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(workers_under_way()[0], signal.SIGKILL)
    assert process.wait(timeout=400) == 0
    assert digests(tmp_path / "ray") == digests(tmp_path / "local")


@pytest.mark.slow
def test_twenty_kills_of_a_ray_build(tmp_path, make_source, make_recipe, cluster):
    source, recipe = make_source(240, 12, seconds=1.3), make_recipe("[t-slow, lpc]", shard=1)
    more = ("--runner", "ray", "--workers", "2")
    check_killed(tmp_path, recipe, source, cluster, *more, victim=anyone)


@pytest.mark.slow
def test_ray_builds_images_too(tmp_path, make_image_recipe, cluster):
    source = write_frames(tmp_path / "frames", cameras=2, each=2)
    recipe = make_image_recipe("[e-plain, copy-move]", shard=1)
    build(recipe, source, tmp_path / "local", cluster)
    build(recipe, source, tmp_path / "ray", cluster, "--runner", "ray", "--workers", "2")
    assert digests(tmp_path / "ray") == digests(tmp_path / "local")


@pytest.mark.slow
def test_ray_builds_faces_too(tmp_path, make_face_recipe, cluster):
    source = write_portraits(tmp_path / "people", people=4, each=3)
    recipe = make_face_recipe("[f-paste, self-blend]", shard=1)
    build(recipe, source, tmp_path / "local", cluster)
    build(recipe, source, tmp_path / "ray", cluster, "--runner", "ray", "--workers", "2")
    assert digests(tmp_path / "ray") == digests(tmp_path / "local")
