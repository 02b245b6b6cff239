"""Resampling: periodic correlations that scaling and rotating leave.

A. C. Popescu, H. Farid, "Exposing Digital Forgeries by Detecting Traces of Resampling", IEEE TSP
53(2), 2005; M. Kirchner, "Fast and reliable resampling detection by spectral analysis of fixed
linear predictor residue", ACM MM&Sec 2008. Written from the papers.

A fixed linear predictor's error, turned into a probability map, is periodic where pixels were
interpolated, which shows as peaks in its spectrum. JPEG's own peaks, at multiples of 1/8, are
left out. What all blocks of the picture share (the picture was resized as a whole) is no forgery:
each block is compared with the picture's median spectrum.
"""

from __future__ import annotations

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import box_mean, cannot, luma, too_small
from forensics.detectors.image.planes import spread
from forensics.media.image import Picture

BLOCK = 64
HOP = 16
PREDICTOR = np.array([[-0.25, 0.5, -0.25], [0.5, 0, 0.5], [-0.25, 0.5, -0.25]], np.float32)
WIDTH = 2.0  # of the p-map's bell, in grey levels
LOWEST = 5  # bins around zero frequency are the picture's own structure
JPEG_PERIOD = 8
MAX_BLOCKS = 13_000  # 50 megapixels without gaps
SIDE = 192
FULL_HEAT = 10.0
CALLED = 5.0


@register_image_detector
class Resampling(ImageDetector):
    name = "resampling"
    version = "1"
    licence = "Apache-2.0"
    summary = "parts that were scaled or rotated unlike the rest of the picture"
    paper = "Popescu & Farid, IEEE TSP 53(2), 2005; Kirchner, ACM MM&Sec 2008"

    def examine(self, picture: Picture) -> Finding:
        reason = too_small(picture, SIDE)
        if reason:
            return cannot(reason)
        grey = luma(picture.pixels)
        hop = hop_for(grey.shape)
        peaks, whole = block_peaks(grey, hop)
        if not np.isfinite(peaks).any():
            return cannot("no texture that resampling could show in")
        middle = float(np.median(peaks[np.isfinite(peaks)]))
        spread_of = float(np.median(np.abs(peaks[np.isfinite(peaks)] - middle))) / 0.6745
        excess = np.where(np.isfinite(peaks), (peaks - middle) / max(spread_of, 0.05), 0)
        local = box_mean(excess, 3)
        shape = picture.pixels.shape[:2]
        heat = spread(np.clip(local / FULL_HEAT, 0, 1), hop, shape, (BLOCK - hop) // 2)
        return Finding(
            score=-float(local.max()),
            heatmap=heat,
            mask=heat.above(CALLED / FULL_HEAT),
            details={"hop": hop, "whole_picture_peak": round(whole, 2)},
        )


def hop_for(shape: tuple[int, ...]) -> int:
    """Pixels between blocks: wider in large pictures, so that their number is bounded."""
    hop = HOP
    while (shape[0] // hop) * (shape[1] // hop) > MAX_BLOCKS:
        hop *= 2
    return hop


def block_peaks(grey: np.ndarray, hop: int) -> tuple[np.ndarray, float]:
    """uint8 (H, W) → log of the highest peak of each block's spectrum over what the picture shows
    at that frequency, float32 (rows, columns), NaN in flat blocks; and the highest peak of the
    median spectrum itself over its surroundings, which a resize of the whole picture raises."""
    bins = usable_bins()
    down, across = ((side - BLOCK) // hop + 1 for side in grey.shape)
    power = np.empty((down, across, int(bins.sum())), np.float32)
    is_flat = np.empty((down, across), bool)
    for place in range(down):
        row = _probability_map(grey, place * hop)
        blocks = np.lib.stride_tricks.sliding_window_view(row, BLOCK, axis=1)[:, ::hop]
        blocks = blocks.swapaxes(0, 1)
        is_flat[place] = blocks.var(axis=(1, 2)) < 1e-3
        found = np.abs(np.fft.rfft2((blocks - blocks.mean(axis=(1, 2), keepdims=True)) * WINDOW))
        power[place] = (found**2)[:, bins]
        power[place] /= np.median(power[place], axis=-1, keepdims=True) + 1e-6
    rows, columns = np.nonzero(~is_flat)
    if len(rows) == 0:
        return np.full(is_flat.shape, np.nan, np.float32), 0.0
    thinned = slice(None, None, max(1, len(rows) // 2000))
    typical = np.median(power[rows[thinned], columns[thinned]], axis=0) + 0.1
    highest = np.stack([(row / typical).max(axis=-1) for row in power])
    peaks = np.log(highest + 1e-6)
    whole = float(np.log(typical.max() / np.median(typical)))
    return np.where(is_flat, np.nan, peaks).astype(np.float32), whole


def usable_bins() -> np.ndarray:
    """bool (64, 33): frequencies of a half spectrum that neither content nor JPEG fills."""
    down = np.fft.fftfreq(BLOCK, 1 / BLOCK)[:, None]
    across = np.fft.rfftfreq(BLOCK, 1 / BLOCK)[None, :]
    step = BLOCK // JPEG_PERIOD

    def off_lattice(frequency: np.ndarray) -> np.ndarray:
        return np.abs(frequency - step * np.rint(frequency / step)) > 1

    low = np.hypot(down, across) <= LOWEST
    return (off_lattice(down) | off_lattice(across)) & ~low


def _probability_map(grey: np.ndarray, top: int) -> np.ndarray:
    """float32 (64, W): how likely each pixel of the rows from `top` is its neighbours' sum."""
    import cv2

    first, last = max(0, top - 1), min(grey.shape[0], top + BLOCK + 1)
    error = cv2.filter2D(
        grey[first:last].astype(np.float32), cv2.CV_32F, np.array(_CENTRE - PREDICTOR)
    )
    return np.exp(-((error[top - first : top - first + BLOCK] / WIDTH) ** 2))


_CENTRE = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
WINDOW = np.outer(np.hanning(BLOCK), np.hanning(BLOCK)).astype(np.float32)
