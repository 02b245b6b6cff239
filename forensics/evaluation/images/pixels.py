"""A heatmap against a mask, as counts in 256 bins: small, and all figures come from them.

Positive is manipulated. A heatmap value is predicted manipulated at a threshold t when it is >= t.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass

import numpy as np

from forensics.detectors.image.planes import Plane
from forensics.errors import UsageError

BINS = 256
FIXED = 0.5

_ROWS = 1 << 20  # pixels that are counted at once
_STEPS, _TAIL = 100, 28


def _edges() -> np.ndarray:
    """255 inner edges: every 0.005, and below 0.005 (above 0.995) ever finer, down to 1e-6.

    Localisers that end in a sigmoid put most pixels there, and AUC lives on their order. 0.5 is an
    edge: figures at the fixed threshold are exact.
    """
    tail = np.geomspace(1e-6, 1 / (2 * _STEPS), _TAIL + 1)[:-1]
    middle = np.arange(1, 2 * _STEPS) / (2 * _STEPS)
    return np.concatenate([tail, middle, (1 - tail)[::-1]]).astype(np.float32)


EDGES = _edges()
_FIXED_BIN = int(np.searchsorted(EDGES, np.float32(FIXED), "right"))


@dataclass(frozen=True)
class PixelFigures:
    """One heatmap. NaN where a figure does not exist: without manipulated pixels only `area` does.

    Attributes:
        f1, iou: at the fixed threshold 0.5.
        f1_best: at the threshold that is best for this picture, which nobody knows beforehand.
        auc: probability that a manipulated pixel lies above an authentic one.
        area: share of the picture that is predicted at 0.5.
    """

    f1: float
    f1_best: float
    iou: float
    auc: float
    area: float


FIGURES = ("f1", "f1_best", "iou", "auc")


def counts_of(heatmap: Plane, mask: np.ndarray | None) -> np.ndarray:
    """int64 (2, 256): authentic and manipulated pixels by heatmap bin.

    Args:
        heatmap: values in [0, 1]; mask: bool (H, W), None for a picture without any.

    Raises:
        ValueError: sizes differ, or a value is not finite.
    """
    if mask is not None and mask.shape != heatmap.shape:
        raise ValueError(f"a heatmap of {heatmap.shape} for a mask of {mask.shape}")
    total = np.zeros(2 * BINS, np.int64)
    step = max(1, _ROWS // max(heatmap.shape[1], 1))
    for top, rows in heatmap.bands(step):
        if not np.isfinite(rows).all():
            raise ValueError("a heatmap with values that are not finite")
        bins = np.searchsorted(EDGES, rows.ravel(), "right")
        if mask is not None:
            bins = bins + BINS * mask[top : top + step].ravel()
        total += np.bincount(bins, minlength=2 * BINS)
    return total.reshape(2, BINS)


def figures_of(counts: np.ndarray) -> PixelFigures:
    """Figures of (2, 256) counts."""
    negatives, positives = (int(row.sum()) for row in counts)
    false, true = counts[:, _FIXED_BIN:].sum(axis=1).tolist()
    area = (false + true) / max(negatives + positives, 1)
    if positives == 0:
        return PixelFigures(np.nan, np.nan, np.nan, np.nan, area)
    predicted = counts[:, ::-1].cumsum(axis=1)  # at every edge, the highest first
    f1 = 2 * predicted[1] / (predicted.sum(axis=0) + positives)
    return PixelFigures(
        f1=2 * true / (true + false + positives),
        f1_best=float(f1.max()),
        iou=true / (false + positives),
        auc=auc_of(counts),
        area=area,
    )


def auc_of(counts: np.ndarray) -> float:
    """AUC of (2, 256) counts; pixels of one bin count as ties. NaN with one class alone."""
    return float(aucs_of(np.asarray(counts)[None])[0])


def aucs_of(counts: np.ndarray) -> np.ndarray:
    """(R, 2, 256) → float64 (R,); see `auc_of`."""
    negative, positive = (counts[:, row].astype(np.float64) for row in (0, 1))
    below = negative.cumsum(axis=1) - negative / 2
    with np.errstate(invalid="ignore"):
        return (positive * below).sum(axis=1) / (negative.sum(axis=1) * positive.sum(axis=1))


def packed(counts: np.ndarray) -> str:
    """Counts as text: base64 of deflated little-endian uint32, about half a kilobyte."""
    return base64.b64encode(zlib.compress(counts.astype("<u4").tobytes(), 9)).decode()


def unpacked(text: str) -> np.ndarray:
    """The counts that `packed` wrote.

    Raises:
        ValueError: something else.
    """
    size = 2 * BINS * 4
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"no counts: {error}") from error
    if len(data) != size or not inflate.eof:
        raise ValueError(f"no counts: {len(data)} bytes")
    return np.frombuffer(data, "<u4").reshape(2, BINS).astype(np.int64)


SIZES = ("< 1 %", "1-5 %", "5-15 %", "> 15 %")
_BOUNDS = (0.01, 0.05, 0.15)


def size_of(area: float) -> str:
    """The bin of a region's share of its picture.

    Raises:
        UsageError: not a share above 0.
    """
    if not 0 < area <= 1:
        raise UsageError(f"{area} is no share of a picture", "give one above 0")
    return SIZES[int(np.searchsorted(_BOUNDS, area, "right"))]
