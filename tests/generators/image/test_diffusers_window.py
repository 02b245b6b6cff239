"""The window that a model sees: where it lies, at what size, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.generators.image.diffusers_window import Grid, Window
from forensics.generators.image.requests import CannotEdit

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
GRID = Grid(multiple=16, cell=16, native=128)


@st.composite
def masks(draw):
    height, width = draw(st.integers(1, 120)), draw(st.integers(1, 120))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask = np.zeros((height, width), bool)
    mask[top : draw(st.integers(top + 1, height)), left : draw(st.integers(left + 1, width))] = True
    return mask


@BUSY
@given(masks(), st.floats(0, 3), st.sampled_from([None, 64, 200]))
def test_a_window_holds_the_mask_within_the_frame_in_whole_multiples(mask, context, size):
    window = Window.around(mask, context, GRID, size)
    left, top, right, bottom = window.box
    assert 0 <= left < right <= mask.shape[1] and 0 <= top < bottom <= mask.shape[0]
    outside = mask.copy()
    outside[top:bottom, left:right] = False
    assert not outside.any()
    assert all(side % 16 == 0 and side >= 64 for side in window.size)


@BUSY
@given(masks(), st.floats(0, 1))
def test_the_models_mask_covers_the_mask_in_whole_cells(mask, context):
    window = Window.around(mask, context, GRID, 64)
    seen = window.mask(mask, GRID.cell)
    width, height = window.size
    assert seen.shape == (height, width) and seen.any()
    cells = seen.reshape(height // 16, 16, width // 16, 16)
    assert np.array_equal(cells.any(axis=(1, 3)), cells.all(axis=(1, 3)))
    left, top, right, bottom = window.box
    rows, columns = np.nonzero(mask[top:bottom, left:right])
    for within in (0.001, 0.5, 0.999):  # of a pixel: all of it lies in the model's mask
        down = ((rows + within) * height / (bottom - top)).astype(int)
        across = ((columns + within) * width / (right - left)).astype(int)
        assert seen[down, across].all()


def test_what_is_far_from_the_mask_is_not_painted():
    mask = np.zeros((128, 128), bool)
    mask[60, 60] = True
    seen = Window.whole(mask, GRID, 128).mask(mask, GRID.cell)
    assert seen.sum() == 16 * 16 and seen[60, 60]


def test_a_thin_mask_gets_a_window_no_thinner_than_a_quarter():
    mask = np.zeros((400, 600), bool)
    mask[200:202, 100:500] = True
    left, top, right, bottom = Window.around(mask, 0, GRID, None).box
    assert (right - left) / (bottom - top) <= 4.2


def test_about_as_many_pixels_as_the_model_was_trained_on():
    mask = np.zeros((720, 1280), bool)
    mask[300:420, 500:740] = True
    wide, high = Window.whole(mask, Grid(16, 16, 1024), None).size
    assert abs(wide * high / 1024**2 - 1) < 0.03 and abs(wide / high / (16 / 9) - 1) < 0.02


def test_there_and_back_is_nearly_nothing():
    y, x = np.mgrid[:200, :300]
    frame = np.stack([100 + 50 * np.sin(x / 20), 90 + 40 * np.cos(y / 30), x / 2], -1)
    frame = frame.astype(np.uint8)
    mask = np.zeros((200, 300), bool)
    mask[80:120, 100:160] = True
    window = Window.around(mask, 0.5, GRID, 256)
    back = window.back(window.pixels(frame), frame)
    assert np.abs(back.astype(int) - frame).max() <= 3
    left, top, right, bottom = window.box
    outside = np.ones((200, 300), bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(back[outside], frame[outside])


def test_what_comes_back_larger_is_taken_and_another_aspect_is_not():
    frame, mask = np.zeros((64, 128, 3), np.uint8), np.ones((64, 128), bool)
    window = Window.whole(mask, GRID, 128)
    width, height = window.size
    made = np.full((height * 3, width * 3, 3), 200, np.uint8)
    assert (window.back(made, frame) == 200).all()
    with pytest.raises(CannotEdit, match="aspect"):
        window.back(made[: height * 2], frame)
