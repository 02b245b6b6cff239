"""From a mask to the regions that a verdict lists."""

from __future__ import annotations

import numpy as np

from forensics.verdict.schema import Region

MAX_REGIONS = 16


def regions_of(
    mask: np.ndarray, heatmap: np.ndarray | None = None, most: int = MAX_REGIONS
) -> tuple[Region, ...]:
    """The connected parts of a mask (pixels that touch, corners too), largest first.

    Args:
        mask: bool (H, W); heatmap: float32 (H, W) in [0, 1].
        most: smaller parts beyond that many are left out.
    """
    if not mask.any():
        return ()
    import cv2

    _, labels, found, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    stats = found[1:]  # the first is the ground
    order = sorted(
        range(len(stats)),
        key=lambda i: (-stats[i, cv2.CC_STAT_AREA], stats[i, cv2.CC_STAT_TOP]),
    )
    regions = []
    for place in order[:most]:
        left, top, width, height, pixels = (int(value) for value in stats[place])
        window = slice(top, top + height), slice(left, left + width)
        score = None
        if heatmap is not None:
            score = float(heatmap[window][labels[window] == place + 1].mean(dtype=np.float64))
        regions.append(
            Region(
                box=(left, top, left + width, top + height),
                area=pixels / mask.size,
                score=None if score is None else round(min(max(score, 0.0), 1.0), 4),
            )
        )
    return tuple(regions)
