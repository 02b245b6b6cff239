"""From a mask to the regions that a verdict lists."""

from __future__ import annotations

import numpy as np

from forensics.detectors.image.components import Components, components
from forensics.detectors.image.planes import Plane
from forensics.media.image import Picture
from forensics.verdict.schema import Region

MAX_REGIONS = 16


def regions_of(
    picture: Picture, mask: Plane, heatmap: Plane | None = None, most: int = MAX_REGIONS
) -> tuple[Region, ...]:
    """The connected parts of a mask (pixels that touch, corners too), largest first, in the
    picture as viewers show it.

    Args:
        mask: bool, heatmap: float32 in [0, 1]; both in the stored orientation.
        most: smaller parts beyond that many are left out.
    """
    parts = components(mask)
    boxes = [picture.upright_box(tuple(box)) for box in parts.boxes.tolist()]
    order = sorted(range(len(boxes)), key=lambda i: (-parts.areas[i], boxes[i][1]))[:most]
    scores = None if heatmap is None else _scores(parts, heatmap, order)
    return tuple(
        Region(
            box=boxes[part],
            area=int(parts.areas[part]) / (mask.shape[0] * mask.shape[1]),
            score=None if scores is None else round(min(max(scores[place], 0.0), 1.0), 4),
        )
        for place, part in enumerate(order)
    )


def _scores(parts: Components, heatmap: Plane, order: list[int]) -> list[float]:
    """The mean heat of some parts."""
    if not order:
        return []
    totals = np.zeros(len(parts.areas) + 1)
    for top, numbers in parts.bands():
        heat = heatmap.rows(top, top + len(numbers))
        marked = numbers > 0
        totals += np.bincount(numbers[marked], heat[marked], minlength=len(totals))
    return [float(totals[part + 1] / parts.areas[part]) for part in order]
