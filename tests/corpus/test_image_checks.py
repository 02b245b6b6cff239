"""Every check: an edit that it lets pass, and one that it refuses for the right reason."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.frames import HEIGHT, WIDTH, background

from forensics.corpus.pictures.checks import malformed, rejection
from forensics.corpus.pictures.settings import CheckLimits
from forensics.generators.image.base import Edited

LIMITS = CheckLimits()
BEFORE = background(0)
MASK = np.zeros((HEIGHT, WIDTH), bool)
MASK[40:70, 50:90] = True


def noisy(region: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same with noise of some grey levels: a change that fits in everywhere."""
    rng = np.random.default_rng(seed)
    return np.clip(region.astype(int) + rng.integers(-8, 9, region.shape), 0, 255).astype(np.uint8)


def edit(change, mask=MASK, mode="composite") -> Edited:
    after = BEFORE.copy()
    change(after)
    return Edited(after, mask, mode)


def redone(after: np.ndarray) -> None:
    after[MASK] = noisy(after[MASK])


def reason(edited: Edited, **limits) -> str | None:
    assert malformed(edited, BEFORE.shape) is None
    return rejection(BEFORE, edited, LIMITS.model_copy(update=limits))


def test_a_sound_edit_passes():
    assert reason(edit(redone)) is None


def test_one_grey_level_outside_of_the_mask_is_too_much():
    def spill(after):
        redone(after)
        after[5, 100, 1] += 1

    assert reason(edit(spill)) == "check: pixels outside of the mask changed"


def test_an_edit_must_change_enough():
    assert reason(edit(lambda after: None)) == "check: nothing changed"

    def one_spot(after):
        after[50:52, 60:62] = 255 - after[50:52, 60:62]

    assert reason(edit(one_spot)) == "check: nothing changed"


def test_the_region_has_limits():
    small = np.zeros_like(MASK)
    small[50, 60] = True

    def dot(after):
        after[50, 60] ^= 16

    assert reason(edit(dot, small), area=(0.0003, 0.4)) == "check: the region is too small"
    assert reason(edit(dot, np.zeros_like(MASK)), area=(0, 1)) == "check: the region is too small"

    def everywhere(after):
        after[:] = noisy(after)

    whole = np.ones_like(MASK)
    assert reason(edit(everywhere, whole)) == "check: the region is too large"
    assert reason(edit(everywhere, whole), area=(0, 1)) is None


@pytest.mark.parametrize("value", [0, 255])
def test_a_region_as_no_other_is_refused(value):
    before = np.clip(BEFORE, 100, 150)

    def fill(after):
        after[MASK] = value

    after = before.copy()
    fill(after)
    found = rejection(before, Edited(after, MASK, "composite"), LIMITS)
    assert found == "check: the exposure does not fit"
    fitting = before.copy()
    fitting[MASK] = noisy(fitting[MASK])
    assert rejection(before, Edited(fitting, MASK, "composite"), LIMITS) is None


def test_a_seam_is_refused_unless_things_are_as_steep_there():
    grey = np.full_like(BEFORE, 120)
    after = noisy(grey)
    flat = np.where(MASK[..., None], after, grey)
    stamped = flat.copy()
    stamped[MASK] = noisy(np.full_like(grey, 190), 1)[MASK]
    loose = LIMITS.model_copy(update={"exposure": 255.0, "seam": 2.0})
    assert rejection(grey, Edited(flat, MASK, "composite"), loose) is None
    assert rejection(grey, Edited(stamped, MASK, "composite"), loose) == "check: the seam shows"
    # An object with a hard outline stood there before: its place may have one again.
    stood = grey.copy()
    stood[MASK] = 30
    replaced = stood.copy()
    replaced[MASK] = noisy(np.full_like(grey, 190), 1)[MASK]
    assert rejection(stood, Edited(replaced, MASK, "composite"), loose) is None


def test_a_regenerated_frame_is_still_that_frame():
    def shifted(levels):
        def change(after):
            redone(after)
            after[:] = np.clip(after.astype(int) + levels, 0, 255).astype(np.uint8)

        return change

    assert reason(edit(shifted(3), mode="regenerated")) is None
    other = reason(edit(shifted(60), mode="regenerated"))
    assert other == "check: the rest of the frame is not what it was"


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        (None, "no edit"),
        (Edited(BEFORE[:-1], MASK[:-1], "composite"), "another size"),
        (Edited(BEFORE[..., 0], MASK, "composite"), "no RGB pixels"),
        (Edited([1, 2], MASK, "composite"), "no RGB pixels"),  # pyright: ignore[reportArgumentType]
        (Edited(np.full(BEFORE.shape, np.inf), MASK, "composite"), "NaN or infinite"),
        (Edited(BEFORE / 255, MASK, "composite"), "not 8-bit"),
        (Edited(BEFORE, MASK.astype(np.uint8), "composite"), "mask does not fit"),
        (Edited(BEFORE, MASK[:-1], "composite"), "mask does not fit"),
        (Edited(BEFORE, MASK, "painted"), "unknown mode"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_results_that_break_the_contract(result, complaint):
    found = malformed(result, BEFORE.shape)
    assert found is not None and found.startswith("check: ") and complaint in found
    assert malformed(Edited(BEFORE, MASK, "composite"), BEFORE.shape) is None
