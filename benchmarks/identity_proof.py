"""Proves identity tokens and the detection adapter at small scale, and writes what was measured.

    python benchmarks/identity_proof.py                       # make identity-proof
    python benchmarks/identity_proof.py --seeds 1 --people 2  # a quick look

A tiny LLaVA is built and taught on drawn people, then frozen; new people are enrolled by their
tokens alone. Seeds run side by side, each on one thread: about 50 minutes of CPU time each.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from machine import machine

from forensics.demo.identity import proof
from forensics.demo.identity.report import page


def proved(seed: int, size: proof.Size) -> tuple[proof.Proved, float]:
    """What a seed gave, and the seconds of CPU time that it took."""
    torch.set_num_threads(1)
    started = time.process_time()  # the process may have had a seed before
    with tempfile.TemporaryDirectory() as folder:
        result = proof.proved(Path(folder), size, seed)
    return result, time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--people", type=int, default=proof.Size().people, help="enrolled a seed")
    parser.add_argument("--out", type=Path, help="write the page here, e.g. docs/identity-proof.md")
    asked = parser.parse_args()
    size = replace(proof.Size(), people=asked.people)
    # Seeds below 6 were looked at while lessons and settings of enrolment were chosen.
    seeds = range(6, 6 + asked.seeds)
    with ProcessPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as pool:
        found = list(pool.map(proved, seeds, [size] * len(seeds)))
    results, seconds = zip(*found, strict=True)
    text = page(results, size, machine(), sum(seconds))
    print(text)
    if asked.out is not None:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
