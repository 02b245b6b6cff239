"""Aligned double compression: where the first quantisation's trace is missing.

T. Bianchi, A. Piva, "Image Forgery Localization via Block-Grained Analysis of JPEG Artifacts",
IEEE TIFS 7(3), 2012, after Z. Lin et al., "Fast, automatic and fine-grained tampered JPEG image
detection via DCT coefficient analysis", Pattern Recognition 42, 2009. Written from the papers.

A picture saved twice has combs in its DCT histograms. What was pasted in between (from anywhere
off the grid) has none. Coefficients come from the pixels and the file's own table; the histogram
before quantisation comes from the same picture shifted by half a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import (
    BLOCK,
    block_dct,
    box_mean,
    cannot,
    luma,
    strips,
    too_small,
    without_specks,
)
from forensics.detectors.image.planes import spread
from forensics.media.image import Picture

# (row, column) in a block: the lowest frequencies in zigzag order.
COEFFICIENTS = (
    (0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2),
    (2, 1), (3, 0), (4, 0), (3, 1), (2, 2), (1, 3), (0, 4),
)  # fmt: skip
FIRST_STEPS = np.arange(1, 65)
ROWS = 512
MODEL_BLOCKS = 20_000
# Decoded pixels are integers: what returns to the second DCT differs from k * step by this much.
ROUNDING = 0.4
ROUNDING_AT = np.array([-1.28, -0.52, 0.0, 0.52, 1.28]) * ROUNDING
EM_STEPS = 25
# Nats a block by which two compressions must explain a histogram better than one.
LEAST_GAIN = 0.02
LEAST_COEFFICIENTS = 3
# Values that the model does not foresee, whatever was done to the block; this bounds what one
# coefficient of one block can say.
UNFORESEEN = 0.1
CLIPPED_SHARE = 0.1  # of a block's pixels at 0 or 255: its coefficients are not the file's
CALLED = 0.8
WINDOW = 5
MIN_CELLS = 9
MIN_SIDE = 128


@dataclass(frozen=True)
class Comb:
    """The model of one coefficient: log ratio of double over single for each quantised value.

    Attributes:
        lowest: the value of the first entry.
        gain: nats a block by which it beats a single compression.
        double: share of blocks with the comb.
    """

    first_step: int
    lowest: int
    log_ratio: np.ndarray
    gain: float
    double: float


@register_image_detector
class DoubleJpeg(ImageDetector):
    name = "double-jpeg"
    version = "1"
    licence = "Apache-2.0"
    summary = "blocks that lack the first of two aligned JPEG compressions"
    paper = "Bianchi & Piva, IEEE TIFS 7(3), 2012; Lin et al., Pattern Recognition 42, 2009"

    def examine(self, picture: Picture) -> Finding:
        if not picture.quantisation:
            return cannot("no quantisation table: not a JPEG")
        reason = too_small(picture, MIN_SIDE)
        if reason:
            return cannot(reason)
        table = np.asarray(picture.quantisation[0], dtype=np.float64)
        values, shifted = coefficients(luma(picture.pixels))
        steps = [float(table[place]) for place in COEFFICIENTS]
        combs = [comb(values[k], shifted[k], step) for k, step in enumerate(steps)]
        clear = [k for k, found in enumerate(combs) if found.gain > LEAST_GAIN]
        details: dict[str, object] = {
            "first_steps": {str(COEFFICIENTS[k]): combs[k].first_step for k in clear},
            "second_steps": {str(COEFFICIENTS[k]): int(steps[k]) for k in clear},
        }
        if len(clear) < LEAST_COEFFICIENTS:
            return cannot("no trace of an earlier compression to compare with", **details)
        double = float(np.clip(np.median([combs[k].double for k in clear]), 0.05, 0.95))
        ratio = np.zeros(values.shape[1:], np.float32)
        for k in clear:
            ratio += _looked_up(combs[k], values[k], steps[k])
        ratio[clipped_blocks(picture.pixels)] = 0
        local = box_mean(ratio, 3)
        prior = np.log(double / (1 - double))
        probability = 1 / (1 + np.exp(np.clip(9 * local + prior, -50, 50) / 3))
        mask = without_specks(probability > CALLED, MIN_CELLS)
        shape = picture.pixels.shape[:2]
        details["double_share"] = round(double, 3)
        return Finding(
            score=float(box_mean(ratio, WINDOW).min()),
            heatmap=spread(probability, BLOCK, shape),
            mask=spread(mask, BLOCK, shape).above(0.5),
            details=details,
        )


def coefficients(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (H, W) → DCT coefficients of the grid at (0, 0), float32 (15, rows, columns), and of
    some blocks of the grid half a block away, float32 (15, n)."""
    half = BLOCK // 2
    down, across = (side // BLOCK for side in grey.shape)
    aligned = np.empty((len(COEFFICIENTS), down, across), np.float32)
    pieces = list(strips(0, down * BLOCK, ROWS))
    blocks = sum((bottom - top) // BLOCK - 1 for top, bottom in pieces)
    step = _thinning(blocks * ((grey.shape[1] - half) // BLOCK))
    shifted, passed = [], 0
    places = tuple(np.array(COEFFICIENTS).T)
    for top, bottom in pieces:
        found = block_dct(grey[top:bottom])[..., *places]
        aligned[:, top // BLOCK : bottom // BLOCK] = np.moveaxis(found, -1, 0)
        if bottom - top > BLOCK:
            other = block_dct(grey[top + half : bottom - half, half:])[..., *places]
            other = other.reshape(-1, len(COEFFICIENTS))
            shifted.append(other[-passed % step :: step])
            passed += len(other)
    return aligned, np.concatenate(shifted).T


def clipped_blocks(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) → bool (H // 8, W // 8): blocks that lost values at black or white."""
    height, width = (side // BLOCK * BLOCK for side in pixels.shape[:2])
    found = np.empty((height // BLOCK, width // BLOCK), bool)
    for top, bottom in strips(0, height, ROWS):
        piece = pixels[top:bottom, :width]
        lost = ((piece == 0) | (piece == 255)).any(axis=2)
        cells = lost.reshape((bottom - top) // BLOCK, BLOCK, width // BLOCK, BLOCK)
        found[top // BLOCK : bottom // BLOCK] = cells.mean(axis=(1, 3)) > CLIPPED_SHARE
    return found


def comb(values: np.ndarray, free: np.ndarray, step: float) -> Comb:
    """The first quantisation step that explains a coefficient's histogram best."""
    flat = values.ravel()
    seen = np.rint(flat[:: _thinning(flat.size)] / step).astype(np.int64)
    reach = int(np.rint(np.abs(free).max(initial=0) / step)) + 1
    lowest = min(int(seen.min()), -reach) - 1
    size = max(int(seen.max()), reach) + 2 - lowest
    counts = np.bincount(seen - lowest, minlength=size).astype(np.float64)

    def spectrum(unquantised: np.ndarray) -> np.ndarray:
        """Histogram after the second quantisation, each bin with a little of its neighbours'."""
        bins = np.rint(unquantised / step).astype(np.int64) - lowest
        raw = np.bincount(np.clip(bins, 0, size - 1), minlength=size).astype(np.float64)
        raw += 0.5 / size * max(1.0, len(unquantised) / 1000)
        return raw / raw.sum()

    single = spectrum(np.add.outer(ROUNDING_AT, free).ravel())
    doubles = np.stack(
        [
            spectrum(np.add.outer(ROUNDING_AT, np.rint(free / first) * first).ravel())
            for first in FIRST_STEPS
        ]
    )
    share, likelihood = _mixtures(counts, doubles, single)
    gains = (likelihood - counts @ np.log(single)) / counts.sum()
    best = int(gains.argmax())
    one, two = single + UNFORESEEN * doubles[best], doubles[best] + UNFORESEEN * single
    ratio = np.log(two / one)
    return Comb(int(FIRST_STEPS[best]), lowest, ratio, float(gains[best]), float(share[best]))


def _mixtures(
    counts: np.ndarray, doubles: np.ndarray, single: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each first step the share of blocks with a comb (EM), and the log likelihood."""
    share = np.full(len(doubles), 0.8)
    for _ in range(EM_STEPS):
        with_comb = share[:, None] * doubles
        mixed = with_comb + (1 - share[:, None]) * single
        share = (with_comb / mixed) @ counts / counts.sum()
    mixed = share[:, None] * doubles + (1 - share[:, None]) * single
    return share, np.log(mixed) @ counts


def _thinning(blocks: int) -> int:
    """Of so many blocks every how-manieth a histogram is made of."""
    return max(1, blocks // MODEL_BLOCKS)


def _looked_up(found: Comb, values: np.ndarray, step: float) -> np.ndarray:
    index = np.rint(values / step).astype(np.int64) - found.lowest
    return found.log_ratio[np.clip(index, 0, len(found.log_ratio) - 1)].astype(np.float32)
