"""What detectors of forged faces share: they judge each face in a window of its own.

The most suspect face decides, and its window is part of what is said. A picture without a face is
not judged.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forensics.detectors.face.window import Window
from forensics.detectors.image.base import Finding, ImageDetector
from forensics.detectors.image.planes import Plane
from forensics.media.image import Picture

if TYPE_CHECKING:
    from forensics.faces.base import Face
    from forensics.faces.tools import FaceTools

MOST_FACES = 5
LEAST_FACE = 24  # pixels along the longer side of a face's box


@dataclass(frozen=True)
class FaceScore:
    """What is said of one window.

    Attributes:
        score: raw, higher = bona fide.
        heatmap: float32 (h, w) in [0, 1] over the window, 1 = manipulated, or None.
    """

    score: float
    heatmap: np.ndarray | None = None


class JudgesFaces(ImageDetector):
    """Judges faces that it finds, or that somebody else has found.

    Attributes:
        faces: what finds them.
    """

    faces: FaceTools

    def examine(self, picture: Picture) -> Finding:
        return self.examine_faces(picture, self.faces.locate(picture.upright(picture.pixels)))

    @abstractmethod
    def examine_faces(self, picture: Picture, found: Sequence[Face]) -> Finding:
        """Judge faces, largest first, in the picture as viewers show it; the most suspect decides.

        The details of the finding hold `box`, the part of the picture that decided, and `faces`:
        of each that was judged its `face` and the `box` around it.
        """


class FaceDetector(JudgesFaces):
    """Judges the largest few faces, each in a square window.

    Attributes:
        side: of the crops that it judges, pixels.
        margin: length of a window over the longer side of its face's box.
    """

    side: int
    margin: float

    @abstractmethod
    def judge(self, crops: np.ndarray) -> list[FaceScore]:
        """uint8 (N, side, side, 3) RGB → what is said of each, by itself."""

    def examine_faces(self, picture: Picture, found: Sequence[Face]) -> Finding:
        pixels = picture.upright(picture.pixels)
        if not found:
            return Finding(None, "no face was found")
        large = [face for face in found if _length(face.box) >= LEAST_FACE][:MOST_FACES]
        if not large:
            return Finding(
                None, f"its largest face is {_length(found[0].box)} pixels, less than {LEAST_FACE}"
            )
        windows = [Window.around(face.box, self.margin) for face in large]
        scores = self.judge(np.stack([window.cut(pixels, self.side) for window in windows]))
        worst = min(range(len(scores)), key=lambda place: scores[place].score)
        height, width = pixels.shape[:2]
        boxes = [list(window.inside(height, width)) for window in windows]
        drawn = self._heatmap(windows, scores, (height, width))
        heatmap = None if drawn is None else Plane.of(as_stored(picture, drawn))
        return Finding(
            scores[worst].score,
            heatmap=heatmap,
            mask=None if heatmap is None else heatmap.above(0.5),
            details={
                "box": boxes[worst],
                "face": list(large[worst].box),
                "faces": [
                    {"box": box, "face": list(face.box), "score": round(one.score, 4)}
                    for face, box, one in zip(large, boxes, scores, strict=True)
                ],
                "faces_found": len(found),
            },
        )

    @staticmethod
    def _heatmap(
        windows: list[Window], scores: list[FaceScore], size: tuple[int, int]
    ) -> np.ndarray | None:
        if any(one.heatmap is None for one in scores):
            return None
        whole = np.zeros(size, np.float32)
        for window, one in zip(windows, scores, strict=True):
            assert one.heatmap is not None
            window.paste(one.heatmap, whole)
        return whole


def as_stored(picture: Picture, array: np.ndarray) -> np.ndarray:
    """(H, W, …) as viewers show it → in the orientation of the file; undoes `Picture.upright`."""
    if picture.orientation in (3, 4, 7, 8):
        array = array[::-1]
    if picture.orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if picture.orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    return np.ascontiguousarray(array)


def _length(box: tuple[int, int, int, int]) -> int:
    return max(box[2] - box[0], box[3] - box[1])
