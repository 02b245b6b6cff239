"""Pictures after the frozen vision encoder, kept while training asks about them again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forensics.networks.vlm.face_vlm import FaceVlm
from forensics.networks.vlm.families import Seen
from forensics.networks.vlm.talk import Talk


class SeenCache:
    """Args:
    most: bytes that are kept, on the CPU; what comes later is encoded again.
    """

    def __init__(self, vlm: FaceVlm, most: int):
        self.vlm, self.left = vlm, most
        self._kept: dict[int, tuple[np.ndarray, Seen]] = {}

    def see_all(self, talks: Sequence[Talk]) -> list[tuple[Seen, ...]]:
        """As `FaceVlm.see_all`. Pictures are told apart as objects."""
        wanted = {id(picture): picture for talk in talks for picture in talk.pictures}
        new = [picture for key, picture in wanted.items() if key not in self._kept]
        fresh = dict(zip(map(id, new), self.vlm.see(new), strict=True))
        for picture in new:
            self._keep(picture, fresh[id(picture)])
        device = self.vlm.device
        found = {
            key: fresh[key] if key in fresh else self._kept[key][1].to(device) for key in wanted
        }
        return [tuple(found[id(picture)] for picture in talk.pictures) for talk in talks]

    def _keep(self, picture: np.ndarray, seen: Seen) -> None:
        if seen.bytes > self.left:
            return
        self.left -= seen.bytes
        self._kept[id(picture)] = picture, seen.to("cpu")
