"""The frames of one camera, decoded once for all edits of them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path

import numpy as np

from forensics.corpus.images.frame import prepared
from forensics.corpus.images.plan import ImagePlan, PlannedFrame
from forensics.errors import MediaError
from forensics.media.files import read_bytes
from forensics.scenes.camera import Camera

_MAX_BYTES = 256 << 20


class Cameras:
    """Decodes cameras when they are asked for and keeps the last few.

    Frames are read-only: an editor that writes into one fails, and no other item is changed.
    """

    def __init__(self, plan: ImagePlan, source_root: Path):
        self._plan, self._root = plan, source_root
        self._kept: OrderedDict[str, Camera] = OrderedDict()

    def of(self, planned: PlannedFrame) -> Camera | None:
        """The camera that took a frame, or None when it took no other one.

        Raises:
            MediaError: one of its frames is not what it was when it was planned.
        """
        members = self._plan.frames_of(planned.camera)
        if len(members) < 2:
            return None
        if planned.camera not in self._kept:
            self._make_room()
            self._kept[planned.camera] = Camera(tuple(self._read(one) for one in members))
        self._kept.move_to_end(planned.camera)
        return self._kept[planned.camera]

    def _make_room(self) -> None:
        while self._kept and self._bytes() > _MAX_BYTES:
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        return sum(frame.nbytes for camera in self._kept.values() for frame in camera.frames)

    def _read(self, planned: PlannedFrame) -> np.ndarray:
        source = planned.source
        data = read_bytes(self._root / source.path, source.span)
        if hashlib.sha256(data).hexdigest() != source.sha256:
            raise MediaError("not_readable", f"{source.path} changed since it was planned")
        pixels = prepared(data, self._plan.recipe.frames)
        pixels.setflags(write=False)
        return pixels
