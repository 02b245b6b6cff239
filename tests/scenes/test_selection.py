"""Which frames are worth editing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from helpers.scene_frames import background, shot

from forensics.scenes.camera import Camera
from forensics.scenes.selection import score_frames, select_frames

PLATE = background()
BOX = (150, 60, 172, 130)


def test_a_sharp_frame_with_something_moving_is_best():
    frames = [shot(PLATE, i) for i in range(4)]
    frames.insert(2, shot(PLATE, 9, BOX))
    frames.append(cv2.GaussianBlur(shot(PLATE, 10, BOX), (0, 0), 4))
    camera = Camera(tuple(frames))
    scores = score_frames(camera)
    assert select_frames(camera, 2)[0] == 2
    assert scores[2].flaws == () and scores[2].score == max(s.score for s in scores)
    assert scores[0].flaws == ("nothing moves",) and scores[0].usable
    assert "blurred" in scores[5].flaws and not scores[5].usable
    assert 5 not in select_frames(camera, 99) and len(select_frames(camera, 99)) == 5
    assert scores[2].motion == pytest.approx(22 * 70 / PLATE[..., 0].size, rel=0.2)


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (lambda f: f // 24, "too dark"),
        (lambda f: np.clip(f.astype(int) + 170, 0, 255).astype(np.uint8), "too bright"),
        (lambda f: (120 + f // 12).astype(np.uint8), "no contrast"),
    ],
)
def test_bad_exposure_is_named(change, flaw):
    (found,) = score_frames(Camera((change(shot(PLATE, 1)),)))
    assert flaw in found.flaws and not found.usable


def test_a_lone_frame_has_unknown_motion():
    (found,) = score_frames(Camera((shot(PLATE, 1),)))
    assert found.motion is None and found.usable and found.flaws == ()
