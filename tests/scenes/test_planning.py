"""Masks, free spots, the rule planner, and what a corpus of plans looks like."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from helpers.scene_frames import SHAPE, background, box_mask, shot
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.scenes.camera import Camera
from forensics.scenes.edit_plan import EditPlan, EditType
from forensics.scenes.errors import SceneError
from forensics.scenes.masks import AREAS, SHAPES, around, drawn
from forensics.scenes.objects import SceneObject
from forensics.scenes.planning import plan_edit
from forensics.scenes.regions import box_of
from forensics.scenes.rule_planner import RulePlanner
from forensics.scenes.scene import Scene
from forensics.scenes.spots import FreeSpots, perspective

PLATE = background()
BOX = (150, 60, 172, 130)
EMPTY = [shot(PLATE, i) for i in range(4)]
FRAME = shot(PLATE, 9, BOX)
CAMERA = Camera((*EMPTY, FRAME))
ALL: tuple[EditType, ...] = (
    "removal", "targeted-replacement", "open-ended-replacement", "addition",
)  # fmt: skip


def thing(box, label="person") -> SceneObject:
    return SceneObject(box_mask(box), box, label, 1.0, "motion")


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.integers(0, 280),
    st.integers(0, 150),
    st.integers(3, 90),
    st.integers(3, 90),
    st.floats(1.1, 2.5),
    st.integers(0, 9),
)
def test_a_mask_covers_its_object_and_a_margin(shape, left, top, width, height, growth, seed):
    outline = box_mask((left, top, min(left + width, 320), min(top + height, 180)))
    mask = around(outline, shape, growth, np.random.default_rng(seed))
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (5, 5))
    assert mask[cv2.dilate(outline.astype(np.uint8), kernel) > 0].all()
    assert AREAS[0] <= mask.mean() <= max(AREAS[1], 3 * outline.mean())


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(SHAPES), st.integers(1, 100), st.integers(1, 100), st.integers(0, 9),
    st.booleans(),
)  # fmt: skip
def test_a_shape_stays_in_its_box_and_is_never_empty(shape, width, height, seed, lend):
    box = (30, 40, 30 + width, 40 + height)
    lent = box_mask(BOX) if lend else None
    mask = drawn(box, shape, SHAPE, np.random.default_rng(seed), lent)
    assert mask.any() and not (mask & ~box_mask(box)).any()
    if min(width, height) > 12:
        assert 0.4 < mask.sum() / (width * height) <= 1


def test_shapes_differ():
    rng = np.random.default_rng(0)
    masks = [drawn((10, 10, 90, 90), shape, SHAPE, rng) for shape in ("box", "ellipse", "blob")]
    again = drawn((10, 10, 90, 90), "blob", SHAPE, rng)
    shares = [m.sum() / 6400 for m in masks]
    assert shares[0] == 1 and shares[1] == pytest.approx(np.pi / 4, abs=0.02)
    assert not np.array_equal(masks[2], again)


def test_spots_are_free_flat_and_all_over_the_frame():
    pixels = np.full((*SHAPE, 3), 120, np.uint8)
    pixels[:, :100] = np.random.default_rng(0).integers(0, 255, (180, 100, 3))  # busy
    spots = FreeSpots(pixels, [thing((200, 60, 240, 150))])
    rng = np.random.default_rng(1)
    boxes = [spots.find(30, 20, rng) for _ in range(150)]
    assert all(boxes)
    centres = np.array([((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes if b])
    assert centres[:, 0].min() > 95
    assert not any(
        box_mask((200, 60, 240, 150))[b[1] : b[3], b[0] : b[2]].sum() > 30 for b in boxes if b
    )
    assert centres[:, 1].min() < 30 and centres[:, 1].max() > 150
    assert spots.find(400, 20, rng) is None
    low = [spots.find(30, 20, rng, rows=(0.5, 1.0)) for _ in range(20)]
    assert all(b and (b[1] + b[3]) / 2 > 85 for b in low)


def test_letterbox_bars_are_no_spot():
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    pixels[:, 100:220] = 120
    rng = np.random.default_rng(1)
    boxes = [FreeSpots(pixels, []).find(40, 30, rng) for _ in range(20)]
    assert all(b and b[0] >= 97 and b[2] <= 223 for b in boxes)


def test_perspective_is_read_off_people():
    seen = [thing((10, 40, 20, 60)), thing((100, 60, 120, 100)), thing((200, 80, 230, 140))]
    height_at = perspective(seen)
    assert height_at is not None
    assert height_at(np.array([60, 100, 140])) == pytest.approx([20, 40, 60], abs=1)
    assert perspective([thing((10, 40, 20, 60), "moving object")]) is None
    one = perspective(seen[:1])
    assert one is not None and one(np.array([60]))[0] == pytest.approx(20)
    assert one(np.array([120]))[0] > 30
    upside_down = perspective([thing((10, 0, 30, 60)), thing((10, 100, 20, 120))])
    assert upside_down is not None and (upside_down(np.arange(180)) >= 1).all()


def test_what_is_added_has_the_size_of_its_place():
    spots = FreeSpots(
        np.full((*SHAPE, 3), 120, np.uint8), [thing((10, 40, 20, 60)), thing((200, 80, 230, 140))]
    )
    rng = np.random.default_rng(0)
    near = [spots.find(20, 60, rng, metres=1.7) for _ in range(30)]
    far = [spots.find(8, 22, rng, metres=1.7) for _ in range(30)]
    assert np.mean([b[3] for b in near if b]) > np.mean([b[3] for b in far if b]) + 30


@pytest.mark.parametrize("edit", ALL)
def test_every_edit_type_is_planned(edit):
    plan, mask = plan_edit(FRAME, CAMERA, (edit,), 3, RulePlanner())
    assert plan.edit == edit and plan.planner == "rules" and plan.box == box_of(mask)
    assert mask.shape == SHAPE and mask.dtype == bool
    assert bool(plan.replacement) == (edit != "removal")
    assert plan.replacement in plan.instruction or edit == "open-ended-replacement"
    if edit == "addition":
        assert not (mask & box_mask(BOX)).sum() > 0.1 * mask.sum()
    else:
        assert plan.target == "person" and mask[box_mask(BOX)].mean() > 0.95


def test_a_seed_decides():
    one, two = (plan_edit(FRAME, CAMERA, ALL, 5, RulePlanner()) for _ in range(2))
    assert one[0] == two[0] and np.array_equal(one[1], two[1])
    others = [plan_edit(FRAME, CAMERA, ALL, seed, RulePlanner())[1] for seed in range(6)]
    assert len({mask.tobytes() for mask in others}) == 6


def test_allowed_edits_come_up_equally_often():
    scene = Scene(FRAME, (thing(BOX),), ALL)
    drawn_edits = [RulePlanner().plan(scene, np.random.default_rng(s)).edit for s in range(200)]
    assert all(30 < drawn_edits.count(edit) < 70 for edit in ALL)


def test_reasons_can_be_counted():
    blank = np.full((*SHAPE, 3), 90, np.uint8)
    black = np.zeros((*SHAPE, 3), np.uint8)
    cases = (("removal", blank, "no object to remove"),
             ("targeted-replacement", blank, "no object to replace"),
             ("addition", black, "no free spot to add to"))  # fmt: skip
    for edit, pixels, reason in cases:
        with pytest.raises(SceneError) as caught:
            plan_edit(pixels, None, (edit,), 0, RulePlanner())
        assert caught.value.reason == reason == str(caught.value)
        assert pickle.loads(pickle.dumps(caught.value)).reason == reason  # noqa: S301


def test_an_edit_without_matter_gives_way_to_another():
    blank = np.full((*SHAPE, 3), 90, np.uint8)
    plans = [plan_edit(blank, None, ALL, seed, RulePlanner())[0] for seed in range(4)]
    assert {p.edit for p in plans} == {"addition"}


class Fixed:
    """A planner that says one thing."""

    name = "fixed"

    def __init__(self, edit: EditType, box):
        self.said = EditPlan(
            edit=edit, target="car", replacement="" if edit == "removal" else "van",
            instruction="Do it.", box=box, planner="fixed",
        )  # fmt: skip

    def plan(self, scene: Scene, rng: np.random.Generator) -> EditPlan:
        return self.said


def test_a_box_where_nothing_was_found_is_edited_all_the_same():
    plan, mask = plan_edit(FRAME, CAMERA, ("removal",), 0, Fixed("removal", (20, 20, 60, 50)))
    assert 20 < (plan.box[0] + plan.box[2]) / 2 < 60 and mask[20:50, 20:60].any()


def test_a_planner_that_breaks_the_rules_is_an_error():
    with pytest.raises(SceneError) as caught:
        plan_edit(FRAME, CAMERA, ("addition",), 0, Fixed("removal", BOX))
    assert caught.value.reason == "planner: an edit that is not allowed"
    with pytest.raises(SceneError) as caught:
        plan_edit(FRAME, CAMERA, ("removal",), 0, Fixed("removal", (300, 10, 330, 40)))
    assert caught.value.reason == "planner: a box outside of the frame"


def test_masks_of_many_plans_have_no_favourite_place_and_all_sizes():
    """Additions on an even frame: no place is covered far more often than another, and sizes
    spread over the whole range."""
    frame = np.full((*SHAPE, 3), 120, np.uint8)
    frame += np.random.default_rng(0).integers(0, 6, frame.shape).astype(np.uint8)
    masks = [plan_edit(frame, None, ("addition",), seed, RulePlanner())[1] for seed in range(120)]
    cover = np.mean(masks, axis=0)
    for axis in (0, 1):
        thirds = [part.mean() for part in np.array_split(cover, 3, axis=axis)]
        assert min(thirds) > 0.45 * max(thirds)
    centre_guess = box_mask((80, 45, 240, 135))
    hit = np.mean([(m & centre_guess).sum() / m.sum() for m in masks])
    assert hit < 0.38  # it is a quarter of the frame
    areas = np.log([m.mean() for m in masks])
    quarters = np.histogram(areas, 4, (np.log(AREAS[0] * 0.6), np.log(AREAS[1] * 1.2)))[0]
    assert quarters.min() > 0.12 * len(masks)
