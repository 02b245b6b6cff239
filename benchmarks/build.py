"""The builder: overhead outside the engines' own calls, two workers against one, flat memory.

The source is synthetic speech-like sound made here, so that anybody can run it. Corpora are
interleaved and medians taken. `--quick` runs each case once on a smaller corpus.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile
from machine import machine, table

SYSTEMS = "espeak,world,griffinlim,lpc"


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


def build(source: Path, workers: int) -> dict[str, float]:
    """One build in its own process; seconds, and the largest memory of any worker."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            *(sys.executable, "-m", "forensics", "build-dataset", "audeter", "--json"),
            *("--source", str(source), "--out", f"{out}/c", "--workers", str(workers)),
            *("--systems", SYSTEMS),
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    small, rounds = (16, 1) if options.quick else (48, 3)
    with tempfile.TemporaryDirectory() as folder:
        one = make_source(Path(folder, "one"), small, 8)
        ten = make_source(Path(folder, "ten"), small * 10, 8)
        single, double = [], []
        for _ in range(rounds):
            single.append(build(one, 1))
            double.append(build(one, 2))
        large = build(ten, 2)
    overhead = statistics.median(1 - run["generator_s"] / run["wall_s"] for run in single)
    in_worker = statistics.median(1 - run["generator_s"] / run["worker_s"] for run in single)
    speedup = statistics.median(
        alone["wall_s"] / pair["wall_s"] for alone, pair in zip(single, double, strict=True)
    )
    first = single[0]
    rows: list[dict[str, object]] = [
        {"measure": "outside the engines, whole command, 1 worker", "value": overhead},
        {"measure": "outside the engines, inside the worker", "value": in_worker},
        {"measure": "speed-up of 2 workers over 1, whole command", "value": speedup},
        {
            "measure": "items per second, 1 worker",
            "value": first["items"] / first["wall_s"],
        },
        {
            "measure": f"peak MiB of a worker, {first['items']} items",
            "value": first["peak_mib"],
        },
        {"measure": f"peak MiB of a worker, {large['items']} items", "value": large["peak_mib"]},
    ]
    if options.json:
        print(json.dumps({"machine": machine(), "systems": SYSTEMS, "rows": rows}))
    else:
        print(f"{machine()}\nsystems: {SYSTEMS}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
