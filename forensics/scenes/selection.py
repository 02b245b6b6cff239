"""Which frames of a camera are worth editing: sharp, well exposed, with something moving."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from forensics.scenes.camera import Camera
from forensics.scenes.change import find_change, reduced, same_view
from forensics.scenes.objects import LEAST_AREA
from forensics.scenes.regions import cleaned

_BLURRED = 0.6  # of the camera's median sharpness
_LEAST_SHARPNESS = 1.0  # grey levels a pixel: below it there is hardly an edge in the frame
_CLIPPED = 0.5  # share of pixels
_LEAST_RANGE = 30.0  # grey levels between the 5th and the 95th percentile
_BUSY = 0.02  # share of moving pixels from which more makes a frame no better


@dataclass(frozen=True)
class FrameScore:
    """How much a frame is worth.

    Attributes:
        index: in `Camera.frames`.
        score: 0..1, higher is better; 0 when not usable.
        sharpness: mean slope at a reduced size, grey levels a pixel.
        motion: share of pixels that differ from the camera's background; None where that is
            unknown (one frame, or a camera that moved).
        flaws: "blurred", "too dark", "too bright", "no contrast": any makes a frame unusable;
            "nothing moves" does not.
    """

    index: int
    score: float
    sharpness: float
    motion: float | None
    flaws: tuple[str, ...]

    @property
    def usable(self) -> bool:
        return self.score > 0


def score_frames(camera: Camera) -> list[FrameScore]:
    """A score for every frame, in the order of the camera.

    Blur is judged against the camera's other frames: how sharp a scene can be depends on its lens
    and on what is in it.
    """
    grey = [cv2.cvtColor(reduced(frame), cv2.COLOR_RGB2GRAY) for frame in camera.frames]
    sharp = [_sharpness(frame) for frame in grey]
    usual = float(np.median(sharp))
    return [
        _scored(index, grey[index], sharp[index], usual, _motion(camera.frames[index], camera))
        for index in range(len(grey))
    ]


def select_frames(camera: Camera, most: int) -> list[int]:
    """Indices of at most `most` usable frames, the best first; equal ones in order of time."""
    usable = [found for found in score_frames(camera) if found.usable]
    return [f.index for f in sorted(usable, key=lambda f: (-f.score, f.index))[:most]]


def _scored(
    index: int, grey: np.ndarray, sharpness: float, usual: float, motion: float | None
) -> FrameScore:
    flaws = _exposure_flaws(grey)
    if sharpness < max(_BLURRED * usual, _LEAST_SHARPNESS):
        flaws.append("blurred")
    score = 0.0 if flaws else min(sharpness / max(usual, 1e-6), 1.0)
    if motion is not None and motion < LEAST_AREA:
        flaws.append("nothing moves")
    score *= 0.25 + 0.75 * min((motion or 0.0) / _BUSY, 1.0)
    return FrameScore(index, round(score, 4), round(sharpness, 3), motion, tuple(flaws))


def _sharpness(grey: np.ndarray) -> float:
    calm = cv2.GaussianBlur(grey, (0, 0), 0.8).astype(np.float32)  # against noise
    return float(np.hypot(np.diff(calm, axis=1)[:-1], np.diff(calm, axis=0)[:, :-1]).mean())


def _exposure_flaws(grey: np.ndarray) -> list[str]:
    flaws = []
    if (grey < 12).mean() > _CLIPPED:
        flaws.append("too dark")
    if (grey > 245).mean() > _CLIPPED:
        flaws.append("too bright")
    if not flaws and np.subtract(*np.percentile(grey, (95, 5))) < _LEAST_RANGE:
        flaws.append("no contrast")
    return flaws


def _motion(frame: np.ndarray, camera: Camera) -> float | None:
    change = find_change(reduced(frame), same_view(frame, camera))
    return None if change is None else round(float(cleaned(change.mask).mean()), 5)
