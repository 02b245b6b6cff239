"""How fast `forensics detect` is: the default detector beside AASIST, same clips, same threads.

    python benchmarks/detect_speed.py --aasist AASIST.pth --threads 1
    python benchmarks/detect_speed.py --aasist AASIST.pth --clips speech_dev --json figures.json

Every measurement is a process of its own, turn by turn. Clips per second cover everything from
the file to the verdict. AASIST are the published weights in our eager PyTorch implementation, which
is no slower than the published code. The long files are made here, of sound that repeats;
memory is read from /proc, so on Linux alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from machine import machine, table

from forensics.detectors.importing import import_checkpoint
from forensics.verdict.loading import DEFAULT_DETECTOR

RATE = 16_000
LONG_MINUTES = (15, 60, 180)
SCORING = """
import json, sys, time
start = time.perf_counter()
import forensics
detector = forensics.load_detector(sys.argv[1], threads=int(sys.argv[2]))
loaded = time.perf_counter() - start
clips = sys.argv[3:]
forensics.detect(clips[:2], detector)
start, cpu = time.perf_counter(), time.process_time()
verdicts = forensics.detect(clips, detector)
print(json.dumps({
    "load_s": loaded,
    "wall_s": time.perf_counter() - start,
    "cpu_s": time.process_time() - cpu,
    "judged": sum(v.label != "not_applicable" for v in verdicts),
    "seconds": sum(v.input.analysed_s or 0 for v in verdicts),
    "runtime": detector.runtime,
}))
"""
LONG = """
import json, sys, time
from pathlib import Path
import forensics
def peak_mib():  # ru_maxrss would count what the parent held when it started this process
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
detector = forensics.load_detector(sys.argv[1], threads=int(sys.argv[2]))
forensics.detect(sys.argv[3], detector)
base = peak_mib()
start, cpu = time.perf_counter(), time.process_time()
(verdict,) = forensics.detect(sys.argv[4], detector)
print(json.dumps({
    "wall_s": time.perf_counter() - start,
    "cpu_s": time.process_time() - cpu,
    "peak_mib": peak_mib(),
    "first_file_mib": base,
    "windows": len(verdict.segments),
}))
"""


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory(prefix="forensics-bench-") as scratch:
        folder = Path(scratch)
        clips = chosen(given.clips, given.count) if given.clips else made(folder, given.count)
        contenders = {"default": DEFAULT_DETECTOR}
        if given.aasist:
            import_checkpoint("aasist", given.aasist, folder / "aasist")
            contenders["aasist"] = str(folder / "aasist")
        figures: dict[str, Any] = {
            "machine": machine(),
            "threads": given.threads,
            "clips": len(clips),
            "scoring": scoring(contenders, clips, given.threads, given.rounds),
            "command_s": command(clips[0], given.rounds),
        }
        if not given.no_long:
            figures["long"] = long_files(folder, given.threads)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    show(figures)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--aasist", type=Path, help="the published AASIST.pth")
    parser.add_argument("--clips", type=Path, help="folder of recordings; default: made here")
    parser.add_argument("--count", type=int, default=40, help="clips a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-long", action="store_true", help="leave the long files out")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    return parser.parse_args()


def chosen(folder: Path, count: int) -> list[str]:
    """Clips spread evenly over a folder."""
    suffixes = {".wav", ".flac", ".mp3", ".ogg", ".opus"}
    files = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    return files[:: max(1, len(files) // count)][:count]


def made(folder: Path, count: int) -> list[str]:
    """Clips of 4 s, each one window."""
    paths = [folder / f"{number}.wav" for number in range(count)]
    for number, path in enumerate(paths):
        soundfile.write(path, sound(4.0, number), RATE, "PCM_16")
    return [str(path) for path in paths]


def sound(seconds: float, seed: int) -> np.ndarray:
    """Harmonics of a moving pitch, with pauses."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = rng.uniform(90, 250) * (1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.4, 1.2) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voiced = sum(np.sin(k * phase) / k for k in range(1, 20)) * 0.2
    pauses = np.clip(np.sin(2 * np.pi * 2.5 * t) + 0.4, 0, 1)
    return (voiced * pauses + 0.01 * rng.standard_normal(len(t))).astype(np.float32)


def scoring(
    contenders: dict[str, str], clips: list[str], threads: int, rounds: int
) -> dict[str, dict[str, Any]]:
    """Medians over interleaved rounds."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, detector in contenders.items():
            found[name].append(run(SCORING, detector, str(threads), *clips, threads=threads))
    return {name: summary(runs) for name, runs in found.items()}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    rates = sorted(run["judged"] / run["wall_s"] for run in runs)
    return {
        "clips_per_s": statistics.median(rates),
        "clips_per_s_range": [rates[0], rates[-1]],
        "times_real_time": statistics.median(run["seconds"] / run["wall_s"] for run in runs),
        "cpu_s_per_clip": statistics.median(run["cpu_s"] / run["judged"] for run in runs),
        "load_s": statistics.median(run["load_s"] for run in runs),
        "judged": runs[0]["judged"],
        "runtime": runs[0]["runtime"],
    }


def command(clip: str, rounds: int) -> float:
    """Wall time of `forensics detect one.wav`, the median of warm runs."""
    line = [sys.executable, "-m", "forensics", "detect", clip]
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run(line, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def long_files(folder: Path, threads: int) -> list[dict[str, Any]]:
    """Time and memory of the default detector on files of growing length."""
    first = long_file(folder / "first.wav", 1)
    rows = []
    for minutes in LONG_MINUTES:
        path = long_file(folder / "long.wav", minutes)
        found = run(LONG, DEFAULT_DETECTOR, str(threads), first, path, threads=threads)
        rows.append({"minutes": minutes, "size_mib": Path(path).stat().st_size / 2**20, **found})
    return rows


def long_file(path: Path, minutes: int) -> str:
    minute = sound(60.0, 0)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for _ in range(minutes):
            file.write(minute)
    return str(path)


def run(code: str, *arguments: str, threads: int) -> dict[str, Any]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
    }
    line = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(line, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


def show(figures: dict[str, Any]) -> None:
    scored = figures["scoring"]
    slowest = scored["aasist"]["clips_per_s"] if "aasist" in scored else None
    rows = [
        {
            "detector": name,
            "runs in": one["runtime"],
            "clips/s": one["clips_per_s"],
            "range": "{:.3g} to {:.3g}".format(*one["clips_per_s_range"]),
            "CPU s/clip": one["cpu_s_per_clip"],
            "x real time": one["times_real_time"],
            "load, s": one["load_s"],
            "AASIST = 1": one["clips_per_s"] / slowest if slowest else "-",
        }
        for name, one in scored.items()
    ]
    print(f"{figures['machine']}; {figures['clips']} clips, {figures['threads']} threads\n")
    print(table(rows))
    print(f"\nforensics detect one.wav: {figures['command_s']:.2f} s")
    if "long" in figures:
        print(f"\n{table([long_row(row) for row in figures['long']])}")


def long_row(row: dict[str, Any]) -> dict[str, object]:
    return {
        "minutes": row["minutes"],
        "file, MiB": row["size_mib"],
        "windows": row["windows"],
        "s": row["wall_s"],
        "CPU s an hour": row["cpu_s"] * 60 / row["minutes"],
        "peak, MiB": row["peak_mib"],
        "after 1 minute, MiB": row["first_file_mib"],
    }


if __name__ == "__main__":
    main()
