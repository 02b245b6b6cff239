"""The classical image detectors: how fast, how much memory, and what they find on frames.

    python benchmarks/classical.py                                 # speed and memory
    python benchmarks/classical.py --frames FOLDER --every 6       # and what they find

Speed is CPU time on one thread, medians over turns, pictures made here. With `--frames` each
trace is laid into real frames (one per folder) and looked for by every method; a heatmap that is
always the same, brightest in the centre, stands beside them.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from machine import machine, table

from forensics.detectors.image.base import IMAGE_DETECTORS
from forensics.media.image import Picture, encode_image, read_image

METHODS = (
    "zero", "double-jpeg", "jpeg-ghosts", "ela", "copy-move", "copy-move-dense", "noise-level",
    "resampling", "cfa", "splicebuster",
)  # fmt: skip
SIZES = ((512, 512), (720, 1280))
LARGE = (5792, 8640)  # 50 megapixels
Forger = Callable[[np.ndarray, np.random.Generator], tuple[Picture, Picture, np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=Path, help="folder with a folder of frames per camera")
    parser.add_argument("--every", type=int, default=6, help="take every n-th camera")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-large", action="store_true", help="leave the 50 megapixels out")
    parser.add_argument("--large-one", choices=METHODS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    if given.large_one:
        print(json.dumps(large(given.large_one)))
        return
    print(f"{machine()}, OpenCV {cv2.__version__}, one thread\n")
    print(table(speed(given.rounds, not given.no_large)))
    if given.frames:
        print(f"\n{table(found_in(frames(given.frames, given.every)))}")


def speed(rounds: int, with_large: bool) -> list[dict[str, object]]:
    """Milliseconds of CPU a picture, and one run on 50 megapixels in a process of its own."""
    taken: dict[str, dict[tuple[int, int], list[float]]] = {}
    for size in SIZES:
        pictures = {name: judged_by(name, *size) for name in METHODS}
        for _ in range(rounds + 1):
            for name in METHODS:
                start = time.process_time()
                IMAGE_DETECTORS.get(name).from_folder(None).examine(pictures[name])
                spent = 1000 * (time.process_time() - start)
                taken.setdefault(name, {}).setdefault(size, []).append(spent)
    rows = []
    for name in METHODS:
        medians = [statistics.median(taken[name][size][1:]) for size in SIZES]
        row: dict[str, object] = {"method": name}
        for size, median in zip(SIZES, medians, strict=True):
            row[f"{size[1]} x {size[0]}, ms"] = round(median)
        if with_large:
            line = [sys.executable, __file__, "--large-one", name]
            done = subprocess.run(line, check=True, capture_output=True, text=True)
            row.update(json.loads(done.stdout))
        rows.append(row)
    return rows


def large(name: str) -> dict[str, object]:
    """CPU seconds for 50 megapixels, and what peak memory grew by after making the picture."""
    picture = judged_by(name, *LARGE)
    detector = IMAGE_DETECTORS.get(name).from_folder(None)
    detector.examine(judged_by(name, 256, 256))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    found = detector.examine(picture)
    spent = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert found.score is not None, found.not_applicable
    return {"50 MP, s": round(spent, 1), "peak memory grew by, MiB": round(grown / 1024)}


def judged_by(name: str, height: int, width: int) -> Picture:
    """A picture that the method does not decline: light, texture and noise, saved twice as JPEG;
    for `cfa` uncompressed, with a green channel interpolated as cameras do. One piece, repeated
    where the picture is large."""
    rng = np.random.default_rng(0)
    piece = np.zeros((1024, 1024, 3), np.float32)
    for scale in (64, 16, 4):
        small = rng.standard_normal((1024 // scale, 1024 // scale, 3)).astype(np.float32)
        piece += cv2.resize(small, (1024, 1024), interpolation=cv2.INTER_CUBIC) * scale**0.5 * 4
    piece = np.clip(piece + 120 + rng.normal(0, 5, piece.shape), 0, 255)
    if name == "cfa":
        measured = np.add.outer(np.arange(1024), np.arange(1024)) % 2 == 0
        green = np.where(measured, piece[..., 1], 0)
        cross = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]])
        piece[..., 1] += np.where(measured, 0, cv2.filter2D(green, -1, cross) - piece[..., 1])
    times = (-(-height // 1024), -(-width // 1024), 1)
    pixels = np.tile(np.rint(piece).astype(np.uint8), times)[:height, :width]
    return Picture(pixels) if name == "cfa" else saved(saved(pixels, 70).pixels, 92)


def saved(pixels: np.ndarray, quality: int) -> Picture:
    return read_image(encode_image(pixels, "jpeg", quality, "4:4:4"))


def frames(folder: Path, every: int) -> list[np.ndarray]:
    """The first frame of every n-th camera, if it is at least 240 pixels high."""
    suffixes = {".jpg", ".jpeg", ".png"}
    cameras = sorted({p.parent for p in folder.rglob("*") if p.suffix.lower() in suffixes})
    firsts = [
        min(p for p in camera.iterdir() if p.suffix.lower() in suffixes)
        for camera in cameras[::every]
    ]
    pictures = [read_image(path).pixels for path in firsts]
    return [pixels for pixels in pictures if min(pixels.shape[:2]) >= 240]


def place(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    tall, wide = (int(side * rng.uniform(0.2, 0.4)) for side in (height, width))
    top, left = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
    mask = np.zeros((height, width), bool)
    mask[top : top + tall, left : left + wide] = True
    return mask


def pasted(pixels: np.ndarray, other: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], other, pixels)


def shifted_grid(pixels: np.ndarray, rng: np.random.Generator):
    base, mask = saved(pixels, int(rng.integers(60, 92))).pixels, place(pixels, rng)
    other = np.roll(base, tuple(8 * rng.integers(1, 9, 2) + rng.integers(1, 8, 2)), (0, 1))
    return Picture(pasted(base, other, mask)), Picture(base), mask


def once_in_twice(pixels: np.ndarray, rng: np.random.Generator):
    base, mask = saved(pixels, int(rng.integers(55, 80))).pixels, place(pixels, rng)
    second = int(rng.integers(86, 96))
    other = np.roll(pixels, (37, 53), (0, 1))
    return saved(pasted(base, other, mask), second), saved(base, second), mask


def low_in_high(pixels: np.ndarray, rng: np.random.Generator):
    other, mask = saved(pixels, int(rng.integers(45, 72))).pixels, place(pixels, rng)
    second = int(rng.integers(90, 97))
    return saved(pasted(pixels, other, mask), second), saved(pixels, second), mask


def more_noise(pixels: np.ndarray, rng: np.random.Generator):
    mask = place(pixels, rng)
    other = np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)
    return saved(pasted(pixels, other, mask), 92), saved(pixels, 92), mask


def enlarged(pixels: np.ndarray, rng: np.random.Generator):
    factor, mask = float(rng.uniform(1.1, 1.9)), place(pixels, rng)
    other = cv2.resize(pixels, None, fx=factor, fy=factor)[: mask.shape[0], : mask.shape[1]]
    return Picture(pasted(pixels, other, mask)), Picture(pixels), mask


def copied(pixels: np.ndarray, rng: np.random.Generator):
    height, width = pixels.shape[:2]
    tall, wide = height // 5, width // 5
    rows, columns = rng.permutation(4)[:2], rng.permutation(4)[:2]
    tops, lefts = rows * height // 4, columns * width // 4
    one, two = (np.s_[t : t + tall, x : x + wide] for t, x in zip(tops, lefts, strict=True))
    forged, mask = pixels.copy(), np.zeros((height, width), bool)
    forged[two] = pixels[one]
    mask[one] = mask[two] = True
    return saved(forged, 88), saved(pixels, 88), mask


TRACES: dict[str, Forger] = {
    "shifted grid": shifted_grid,
    "once in twice": once_in_twice,
    "low in high": low_in_high,
    "more noise": more_noise,
    "enlarged": enlarged,
    "copied": copied,
}


def found_in(pictures: list[np.ndarray]) -> list[dict[str, object]]:
    """Per method and trace "pixel AUC / image AUC", and how often it marks a pristine frame.

    What a method declines to judge counts as chance in the pixel AUC, and as its median score in
    the image AUC.
    """
    pixel: dict[tuple[str, str], list[float]] = {}
    scores: dict[tuple[str, str], list[tuple[float, float]]] = {}
    marked: dict[str, list[bool]] = {}
    for number, pixels in enumerate(pictures):
        for trace, forge in TRACES.items():
            forged, pristine, mask = forge(pixels, np.random.default_rng(number))
            pixel.setdefault(("always the centre", trace), []).append(auc(centre(mask), mask))
            for name in METHODS:
                detector = IMAGE_DETECTORS.get(name).from_folder(None)
                bad, good = detector.examine(forged), detector.examine(pristine)
                heat = np.zeros(mask.shape) if bad.heatmap is None else np.asarray(bad.heatmap)
                pixel.setdefault((name, trace), []).append(auc(heat, mask))
                pair = tuple(np.nan if f.score is None else f.score for f in (bad, good))
                scores.setdefault((name, trace), []).append(pair)  # pyright: ignore
                if good.mask is not None:
                    marked.setdefault(name, []).append(good.mask.share() > 0)
    rows = []
    for name in (*METHODS, "always the centre"):
        row: dict[str, object] = {f"{len(pictures)} frames": name}
        for trace in TRACES:
            mean = f"{np.mean(pixel[name, trace]):.2f}"
            row[trace] = f"{mean} / {image_auc(scores[name, trace]):.2f}" if (
                name, trace) in scores else mean  # fmt: skip
        called = marked.get(name)
        row["pristine marked"] = f"{np.mean(called):.0%} of {len(called)}" if called else "-"
        rows.append(row)
    return rows


def centre(mask: np.ndarray) -> np.ndarray:
    rows, columns = (np.abs(np.linspace(-1, 1, side)) for side in mask.shape)
    return -np.hypot(rows[:, None], columns[None, :])


def auc(heat: np.ndarray, mask: np.ndarray) -> float:
    _, index, counts = np.unique(heat, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[index.reshape(heat.shape)]
    hot = int(mask.sum())
    return float((ranks[mask].sum() - hot * (hot + 1) / 2) / (hot * (mask.size - hot)))


def image_auc(pairs: list[tuple[float, float]]) -> float:
    values = np.array(pairs).T.reshape(-1)
    if np.isnan(values).all():
        return 0.5
    values = np.where(np.isnan(values), np.nanmedian(values), values)
    return auc(-values[None, :], np.repeat([True, False], len(pairs))[None, :])


if __name__ == "__main__":
    main()
