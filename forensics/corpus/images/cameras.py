"""The frames of one camera, decoded once for all edits of them."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from forensics.corpus.images.frame import FrameReader
from forensics.corpus.images.plan import ImagePlan, PlannedFrame
from forensics.scenes.camera import Camera

_MAX_BYTES = 256 << 20


class Cameras:
    """Decodes cameras when they are asked for and keeps the last few.

    Frames are read-only: an editor that writes into one fails, and no other item is changed.
    """

    def __init__(self, plan: ImagePlan, reader: FrameReader):
        self._plan, self._reader = plan, reader
        self._kept: OrderedDict[str, Camera] = OrderedDict()

    def of(self, planned: PlannedFrame) -> Camera | None:
        """The camera that took a frame, or None when it took no other one.

        Raises:
            MediaError: one of its frames cannot be read, or is another one by now.
        """
        members = self._plan.frames_of(planned.camera)
        if len(members) < 2:
            return None
        if planned.camera not in self._kept:
            self._make_room()
            self._kept[planned.camera] = Camera(tuple(map(self._read, members)))
        self._kept.move_to_end(planned.camera)
        return self._kept[planned.camera]

    def _make_room(self) -> None:
        while self._kept and self._bytes() > _MAX_BYTES:
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        return sum(frame.nbytes for camera in self._kept.values() for frame in camera.frames)

    def _read(self, planned: PlannedFrame) -> np.ndarray:
        pixels = self._reader.read(planned.source)
        pixels.setflags(write=False)
        return pixels
