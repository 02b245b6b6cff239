"""How long `forensics --help` takes, beside a bare interpreter and one that imports torch."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from machine import machine, table

CASES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "forensics --help": [sys.executable, "-m", "forensics", "--help"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def main() -> None:
    seconds = {name: [] for name in CASES}
    for command in CASES.values():
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for _ in range(7):
        for name, command in CASES.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [{"start of": name, "seconds, warm median of 7": s} for name, s in medians.items()]
    if "--json" in sys.argv:
        print(json.dumps({"machine": machine(), "seconds": medians}))
    else:
        print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
