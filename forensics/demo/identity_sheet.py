"""A contact sheet of faces: whom a picture claims to show, what it is made of, the picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from forensics.detectors.image.base import ImageDetector
    from forensics.shards.format import Item

HEADS = ("a photo of who is claimed", "the photo it is made of", "the item", "mask", "found")
# The order of the rows; other roles follow.
_FIRST = ("real", "lookalike", "swap")


def rows_of(
    items: Iterable[Item], rows: int, detector: ImageDetector | None
) -> list[tuple[str, list[np.ndarray | None]]]:
    """Labelled rows, one column short of `HEADS` without a detector: of every role and system in
    turn, each time of another person where there is one."""
    from forensics.demo.contact_sheet import shown
    from forensics.media.image import read_image

    portraits: dict[str, Item] = {}
    scenes: dict[str, Item] = {}
    offered: dict[tuple[int, str, str], list[Item]] = {}
    for item in items:
        told = item.meta.params
        if told["role"] == "real":
            scenes[item.meta.source_id] = item
            if told["use"] == "enrol" or told["shows"] not in portraits:
                portraits[told["shows"]] = item
        if told["use"] != "enrol":
            rank = _FIRST.index(told["role"]) if told["role"] in _FIRST else len(_FIRST)
            offered.setdefault((rank, told["role"], item.meta.system), []).append(item)

    def picture(item: Item | None) -> np.ndarray | None:
        return None if item is None else read_image(item.media).pixels

    found = []
    for item in _in_turn(offered, rows):
        told = item.meta.params
        scene = None if told["role"] == "real" else scenes.get(item.meta.source_id)
        cells = [picture(portraits.get(told["claimed"])), picture(scene), *shown(item, detector)]
        found.append((_label(item), cells))
    return found


def _in_turn(offered: dict[tuple[int, str, str], list[Item]], rows: int) -> list[Item]:
    chosen: dict[tuple[int, str, str], list[Item]] = {sort: [] for sort in sorted(offered)}
    seen: set[tuple[str, str]] = set()
    for _ in range(rows):
        sorts = [sort for sort in chosen if offered[sort]]
        if not sorts:
            break
        sort = min(sorts, key=lambda one: len(chosen[one]))
        fresh = (item for item in offered[sort] if (sort[1], item.meta.group) not in seen)
        item = next(fresh, offered[sort][0])
        offered[sort].remove(item)
        seen.add((sort[1], item.meta.group))
        chosen[sort].append(item)
    return [item for items in chosen.values() for item in items]


def _label(item: Item) -> str:
    told = item.meta.params
    lines = [
        told["role"] if item.meta.label == "bonafide" else f"{told['role']}: {item.meta.system}",
        f"claims {told['claimed']}",
        f"shows {told['shows'] or 'nobody'}",
    ]
    return "\n".join(lines)
