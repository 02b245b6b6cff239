"""The builder: overhead outside the engines' own calls, two workers against one, flat memory.

The source is synthetic speech-like sound made here, so that anybody can run it; the recipe is
audeter with small shards, because a corpus of a few shards cannot keep two workers busy to the end.
Builds are interleaved and medians taken. `--part` runs one of speed, memory and images alone.

Images are frames of fixed cameras made here, or those of `--frames`; the recipe is image-default
with the editors that need no weights. These take milliseconds, so what is outside weighs most.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import yaml
from machine import machine, table

from forensics.resources import share

SYSTEMS = "espeak,world,griffinlim,lpc"
EDITORS = "copy-move,splice,poisson,plate-removal,inpaint"


def make_source(folder: Path, count: int, speakers: int, seconds: float = 6.0) -> Path:
    """A folder of buzz and hiss with syllables, one subfolder a speaker."""
    rng = np.random.default_rng(0)
    for i in range(count):
        t = np.arange(round(seconds * 16_000)) / 16_000
        phase = 2 * np.pi * np.cumsum(rng.uniform(90, 220) * (1 + 0.2 * np.sin(4 * t))) / 16_000
        buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
        sound = 0.1 * np.abs(np.sin(8 * t)) * (buzz + 0.2 * rng.standard_normal(len(t)))
        place = folder / f"speaker{i % speakers:02d}"
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"clip{i:04d}.wav", sound, 16_000)
    return folder


def make_recipe(folder: Path) -> Path:
    """audeter with 4 utterances a shard, beside its sentences."""
    shipped = share("pipelines")
    recipe = yaml.safe_load((shipped / "audeter.yaml").read_text())
    shutil.copy(shipped / recipe["sentences"], folder)
    path = folder / "audeter.yaml"
    path.write_text(yaml.safe_dump(recipe | {"utterances_per_shard": 4}))
    return path


def make_frames(folder: Path, cameras: int, each: int) -> Path:
    """Frames of 640 x 480 with a textured background and boxes that move, a subfolder a camera."""
    from PIL import Image

    for camera in range(cameras):
        rng = np.random.default_rng(camera)
        coarse = Image.fromarray(rng.integers(30, 220, (24, 32, 3)).astype(np.uint8))
        background = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)).astype(int)
        background += rng.integers(-12, 13, background.shape)
        place = folder / f"camera{camera:02d}"
        place.mkdir(parents=True, exist_ok=True)
        for number in range(each):
            pixels = background + rng.integers(-3, 4, background.shape)
            for top, left in rng.integers(0, (400, 560), (3, 2)):
                pixels[top : top + 64, left : left + 36] = rng.integers(0, 256, 3)
            frame = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            frame.save(place / f"{number:03d}.jpg", quality=92)
    return folder


def build(
    recipe: Path | str, source: Path, workers: int, systems: str = SYSTEMS
) -> dict[str, float]:
    """One build in its own process; seconds, and the largest memory of any worker."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            *(sys.executable, "-m", "forensics", "build-dataset", str(recipe), "--json"),
            *("--source", str(source), "--out", f"{out}/c", "--workers", str(workers)),
            *("--systems", systems),
        ]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        peak = _watch_memory(process)
        text, _ = process.communicate()
        wall = time.perf_counter() - started
        result = json.loads(text)
        return {
            "wall_s": wall,
            "items": result["items"],
            "generator_s": sum(result["generator_s"].values()),
            "planner_s": result["generator_s"].get("planner", 0.0),
            "worker_s": result["worker_s"],
            "peak_mib": peak[0],
        }


def _watch_memory(process: subprocess.Popen[bytes]) -> list[float]:
    """Highest resident size of any single worker process, sampled from /proc, in MiB."""
    peak = [0.0]

    def watch() -> None:
        while process.poll() is None:
            for status in Path("/proc").glob("[0-9]*/status"):
                try:
                    fields = dict(
                        line.split(":", 1)
                        for line in status.read_text().splitlines()
                        if ":" in line
                    )
                    if int(fields["PPid"]) == process.pid:
                        peak[0] = max(peak[0], int(fields.get("VmHWM", "0 kB").split()[0]) / 1024)
                except (OSError, KeyError, ValueError):
                    continue
            time.sleep(0.2)

    threading.Thread(target=watch, daemon=True).start()
    return peak


def speed(folder: Path, recipe: Path) -> list[dict[str, object]]:
    source = make_source(folder / "speed", 48, 8)
    single, double = [], []
    for _ in range(3):
        single.append(build(recipe, source, 1))
        double.append(build(recipe, source, 2))
    whole = statistics.median(1 - run["generator_s"] / run["wall_s"] for run in single)
    inside = statistics.median(1 - run["generator_s"] / run["worker_s"] for run in single)
    speedup = statistics.median(
        alone["wall_s"] / pair["wall_s"] for alone, pair in zip(single, double, strict=True)
    )
    rate = statistics.median(run["items"] / run["wall_s"] for run in single)
    return [
        {"measure": "outside the engines, whole command, 1 worker", "value": whole},
        {"measure": "outside the engines, inside the worker", "value": inside},
        {"measure": "speed-up of 2 workers over 1, whole command", "value": speedup},
        {"measure": "items per second, 1 worker", "value": rate},
    ]


def memory(folder: Path, recipe: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for count in (48, 480):
        run = build(recipe, make_source(folder / f"memory{count}", count, 8), 2)
        name = f"peak MiB of a worker, {run['items']} items"
        rows.append({"measure": name, "value": run["peak_mib"]})
    return rows


def images(folder: Path, frames: Path | None) -> list[dict[str, object]]:
    source = frames or make_frames(folder / "frames", 8, 8)
    runs = [build("image-default", source, 1, EDITORS) for _ in range(3)]

    def share(seconds: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(1 - seconds(run) / run["worker_s"] for run in runs)

    rate = statistics.median(run["items"] / run["wall_s"] for run in runs)
    return [
        {"measure": "outside planner and editors, in the worker", "value": share(_engines)},
        {"measure": "outside editors, in the worker", "value": share(_editors)},
        {"measure": "images per second, whole command, 1 worker", "value": rate},
    ]


def _engines(run: dict[str, float]) -> float:
    return run["generator_s"]


def _editors(run: dict[str, float]) -> float:
    return run["generator_s"] - run["planner_s"]


PARTS = ("speed", "memory", "images")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--frames", type=Path, help="a source of real frames for `images`")
    options = parser.parse_args()
    parts = options.part or PARTS
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe = make_recipe(folder)
        if "speed" in parts:
            rows += speed(folder, recipe)
        if "memory" in parts:
            rows += memory(folder, recipe)
        if "images" in parts:
            rows += images(folder, options.frames)
    systems = {"speech": SYSTEMS, "images": EDITORS}
    if options.json:
        print(json.dumps({"machine": machine(), "systems": systems, "rows": rows}))
    else:
        print(f"{machine()}\nsystems: {systems}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
