"""The localiser beside a plain forward of its own backbone, and memory over sizes of pictures.

    python benchmarks/localiser.py [--rounds 5]

Time is CPU time on one thread, medians over turns taken alternately, weights random: they change
no time. The localiser is what `detect` runs: decoding the JPEG, residual and DCT streams, tiles,
mask, heatmap, score. The plain forward is timm's classifier of the same name on the same pixels,
already decoded. Memory is the peak of a process that judges one picture with the shipped default.
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
from tempfile import TemporaryDirectory

import numpy as np
from machine import machine, table

BACKBONES = ("convnext_atto", "resnet18", "mobilenetv3_large_100")
SIZES = ((480, 640), (1536, 2048))
MEGAPIXELS = ((480, 640), (1536, 2048), (3000, 4000), (6120, 8160))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-memory", action="store_true", help="leave the large pictures out")
    parser.add_argument("--judge", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.judge:
        print(json.dumps(judged(Path(given.judge))))
        return
    print(f"{machine()}, one thread\n")
    # First, while this process is small: the peak of a child starts at its parent's size.
    rows = [] if given.no_memory else memory()
    print(table([row for name in (None, *BACKBONES) for row in compared(name, given.rounds)]))
    if rows:
        print(f"\n{table(rows)}")


def compared(backbone: str | None, rounds: int) -> list[dict[str, object]]:
    """The localiser on a backbone, or the one of fixed statistics beside the first backbone."""
    import timm
    import torch

    from forensics.detectors.image.planes import spread
    from forensics.media.image import encode_image, read_image
    from forensics.networks.localiser.network import FINE, Localiser, LocaliserConfig
    from forensics.networks.localiser.tiles import chances, localise

    torch.set_num_threads(1)
    if backbone is None:
        config = LocaliserConfig(streams=("traces",), dilations=(1, 2, 4, 1), overall=False)
    else:
        config = LocaliserConfig(backbone=backbone, streams=("rgb", "srm", "bayar", "dct"))
    network = Localiser(config).to(memory_format=torch.channels_last).eval()  # pyright: ignore
    network.quicken()  # as the detector does
    plain = timm.create_model(backbone or BACKBONES[0]).eval()
    plain = plain.to(memory_format=torch.channels_last)
    rows: list[dict[str, object]] = []
    for height, width in SIZES:
        data = encode_image(scene(height, width), "jpeg", 90, "4:2:0")
        pixels = torch.from_numpy(read_image(data).pixels).permute(2, 0, 1)[None].float() / 255

        def ours(data: bytes = data, height: int = height, width: int = width) -> None:
            picture = read_image(data)
            table = picture.quantisation[0] if picture.quantisation else None
            found = localise(network, picture.pixels, table, torch.device("cpu"))
            np.asarray(spread(chances(found.logits), FINE, (height, width)))

        @torch.inference_mode()
        def theirs(pixels: torch.Tensor = pixels) -> None:
            plain(pixels)

        ours_s, theirs_s = timed((ours, theirs), rounds)
        rows.append(
            {
                "localiser": backbone or "traces (no backbone)",
                "beside": backbone or BACKBONES[0],
                "pixels": f"{width} x {height}",
                "localiser, s": ours_s,
                "plain forward, s": theirs_s,
                "ratio": ours_s / theirs_s,
            }
        )
    return rows


def timed(runs: tuple[Callable[[], None], ...], rounds: int) -> list[float]:
    """Median CPU seconds of each, in turn; the first turn warms up."""
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(rounds + 1):
        for run, taken in zip(runs, times, strict=True):
            start = time.process_time()
            run()
            if turn:
                taken.append(time.process_time() - start)
    return [statistics.median(taken) for taken in times]


def memory() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    with TemporaryDirectory() as folder:
        for height, width in MEGAPIXELS:
            path = Path(folder, f"{width}.jpg")
            from forensics.media.image import encode_image

            path.write_bytes(encode_image(scene(height, width), "jpeg", 90, "4:2:0"))
            command = [sys.executable, __file__, "--judge", str(path)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            rows.append({"megapixels": height * width / 1e6, **found})
    return rows


def judged(path: Path) -> dict[str, object]:
    from forensics import detect

    start = time.process_time()
    verdict = detect(str(path))[0]
    return {
        "label": verdict.label,
        "CPU s": time.process_time() - start,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def scene(height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3): blocks of light and dark under grain."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (height // 64 + 1, width // 64 + 1)).astype(np.float32)
    light = coarse.repeat(64, 0).repeat(64, 1)[:height, :width]
    light += rng.standard_normal((height, width), dtype=np.float32) * 5
    grey = np.clip(light, 0, 255).astype(np.uint8)
    return np.stack([grey, np.clip(grey, 10, 245), grey], -1)


if __name__ == "__main__":
    main()
