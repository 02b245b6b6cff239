"""Error level analysis, the baseline that everybody has.

N. Krawetz, "A Picture's Worth… Digital Image Analysis and Forensics", Black Hat USA 2007. Written
from the talk. The picture is compressed once more; parts that change much have been compressed
less often, or hold more edges. It cannot tell the two apart, hence: a baseline, and no evidence.
"""

from __future__ import annotations

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import (
    BLOCK,
    box_mean,
    cannot,
    recompressed,
    strips,
    too_small,
)
from forensics.detectors.image.planes import spread
from forensics.media.image import Picture

QUALITY = 90
ROWS = 512  # a multiple of 8, so that strips are compressed like the whole
TOP_SHARE = 0.005
MASK_ABOVE = 0.5


@register_image_detector
class Ela(ImageDetector):
    name = "ela"
    version = "1"
    licence = "Apache-2.0"
    summary = "error level analysis; a baseline, follows edges as much as edits"
    paper = "Krawetz, Black Hat USA 2007"

    def examine(self, picture: Picture) -> Finding:
        reason = too_small(picture)
        if reason:
            return cannot(reason)
        cells = box_mean(error_levels(picture.pixels, QUALITY), 3)
        top = float(np.quantile(cells, 1 - TOP_SHARE))
        middle = float(np.median(cells))
        levels = np.clip((cells - middle) / max(top - middle, 1e-6), 0, 1)
        heatmap = spread(levels, BLOCK, picture.pixels.shape[:2])
        return Finding(
            score=-float(np.log((top + 0.1) / (middle + 0.1))),
            heatmap=heatmap,
            mask=heatmap.above(MASK_ABOVE),
            details={"quality": QUALITY, "median_error": middle, "top_error": top},
        )


def error_levels(pixels: np.ndarray, quality: int) -> np.ndarray:
    """uint8 (H, W, 3) → float32 (H // 8, W // 8): mean absolute change by one recompression."""
    rows = []
    height = pixels.shape[0] // BLOCK * BLOCK
    width = pixels.shape[1] // BLOCK * BLOCK
    for top, bottom in strips(0, height, ROWS):
        piece = pixels[top:bottom, :width]
        change = np.abs(recompressed(piece, quality).astype(np.int16) - piece).mean(axis=2)
        cells = change.reshape((bottom - top) // BLOCK, BLOCK, width // BLOCK, BLOCK)
        rows.append(cells.mean(axis=(1, 3), dtype=np.float32))
    return np.concatenate(rows)
