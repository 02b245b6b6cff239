"""Copy-move, splicing, removal by plate and Poisson blending do what their details say."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from forensics.generators.image.base import EDITORS, EditRequest
from forensics.generators.image.blend import feathered, match_light, noise_level
from forensics.generators.image.membrane import solved
from forensics.generators.image.requests import CannotEdit
from forensics.generators.image.warp import Pose, free_centres, sampled, source_box
from forensics.scenes.camera import Camera
from forensics.scenes.edit_plan import EditPlan
from forensics.scenes.regions import box_of

H, W = 120, 160


def background(seed: int = 0) -> np.ndarray:
    """Float (H, W, 3): gradients and grain that no two places share."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    texture = cv2.GaussianBlur(rng.normal(0, 40, (H, W, 3)).astype(np.float32), (0, 0), 1.5)
    return 110 + 20 * np.sin(x / 31)[..., None] + 15 * np.cos(y / 23)[..., None] + texture


def camera(noise: float = 2.0, gain: float = 1.0) -> tuple[Camera, np.ndarray]:
    """Five frames before which a red block moves; the clean background."""
    rng, base = np.random.default_rng(1), background()
    frames = []
    for at in range(5):
        frame = base.copy()
        frame[40:80, 10 + 28 * at : 30 + 28 * at] = [220, 40, 30]
        frame += rng.normal(0, noise, base.shape)
        frames.append(np.clip(frame * (gain if at == 2 else 1), 0, 255).astype(np.uint8))
    return Camera(tuple(frames)), base


def request(edit: str = "removal", seed: int = 0, view: Camera | None = None) -> EditRequest:
    view = view or camera()[0]
    mask = np.zeros((H, W), bool)
    if edit == "addition":
        mask[75:115, 100:122] = True
    else:
        mask[38:82, 64:88] = True
    plan = EditPlan(
        edit=edit,
        target="block",
        replacement="" if edit == "removal" else "block",
        instruction="x",
        box=box_of(mask),
        planner="test",
    )
    return EditRequest("k", seed, view.frames[2], mask, plan, view)


def make(name: str, **params):
    editor = EDITORS.get(name)(**params)
    editor.load()
    return editor


def test_a_plain_copy_is_the_source_pixel_by_pixel():
    editor = make("copy-move", plain=1, hard=1, light=0)
    asked = request("open-ended-replacement")
    result = editor.edit(asked)
    left, top, right, bottom = result.details["source"]
    assert np.array_equal(result.pixels[38:82, 64:88], asked.pixels[top:bottom, left:right])


@pytest.mark.parametrize("edit", ["removal", "open-ended-replacement", "addition"])
def test_the_source_never_touches_the_target(edit):
    editor = make("copy-move")
    for seed in range(12):
        result = editor.edit(request(edit, seed))
        left, top, right, bottom = result.details["source"]
        assert 0 <= left < right <= W and 0 <= top < bottom <= H
        if result.details["cut"] == "mask":
            assert not result.mask[top:bottom, left:right].any()
        assert 0.8 <= result.details["scale"] <= 1.25
        assert abs(result.details["angle"]) <= 15


def test_an_addition_copies_the_object_along_its_outline():
    asked = request("addition", seed=2)
    result = make("copy-move", plain=1).edit(asked)
    assert result.details["cut"] == "outline" and result.mask.sum() < asked.mask.sum() * 1.6
    reddish = result.pixels[result.mask].astype(int)
    assert np.median(reddish[:, 0] - reddish[:, 2]) > 100


def test_a_mask_that_leaves_no_room_is_refused():
    asked = request()
    mask = np.zeros((H, W), bool)
    mask[5:-5, 5:-5] = True
    with pytest.raises(CannotEdit, match="no room"):
        make("copy-move").edit(replace(asked, mask=mask))


def test_a_removal_by_splice_shows_the_background_of_another_frame():
    view, base = camera()
    result = make("splice").edit(request(view=view))
    assert result.details["donor"] == "same-place" and result.details["frame"] != 2
    off = np.abs(result.pixels.astype(float) - base)[38:82, 64:88]
    assert off.mean() < 5 and off.mean() < np.abs(view.frames[2] - base)[38:82, 64:88].mean() / 8


def test_a_spliced_object_comes_from_another_frame():
    asked = request("addition", seed=1)
    result = make("splice").edit(asked)
    assert result.details["donor"] == "object" and result.details["frame"] != 2
    reddish = result.pixels[result.mask].astype(int)
    assert np.median(reddish[:, 0] - reddish[:, 2]) > 100


@pytest.mark.parametrize("name", ["splice", "plate-removal"])
def test_frames_that_are_all_the_same_say_so(name):
    frame = camera()[0].frames[2]
    view = Camera((frame,) * 4)
    with pytest.raises(CannotEdit):
        make(name).edit(request(view=view))


def test_the_plate_needs_three_frames():
    view, _ = camera()
    with pytest.raises(CannotEdit, match="three frames"):
        make("plate-removal").edit(replace(request(), camera=Camera(view.frames[1:3])))


def test_the_plate_takes_the_exposure_of_the_frame():
    view, base = camera(gain=0.7)
    matched, kept = (
        make("plate-removal", exposure=share, noise="plain").edit(request(view=view)).pixels
        for share in (1, 0)
    )
    wanted = (base * 0.7)[45:75, 68:84]
    near, far = (np.abs(p[45:75, 68:84] - wanted).mean() for p in (matched, kept))
    assert near < 6 and far > 25


def test_noise_is_matched_or_left_as_a_trace():
    smooth = np.full((H, W, 3), 120.0)
    rng = np.random.default_rng(0)
    frames = [smooth + rng.normal(0, 6, smooth.shape) for _ in range(9)]
    frames[2][40:80, 66:86] = [220, 40, 30]
    view = Camera(tuple(np.clip(f, 0, 255).astype(np.uint8) for f in frames))
    inner = np.zeros((H, W), bool)
    inner[45:75, 70:82] = True
    levels = {
        kind: noise_level(
            make("plate-removal", noise=kind).edit(request(view=view, seed=3)).pixels, inner
        )
        for kind in ("plain", "matched")
    }
    there = noise_level(view.frames[2], ~request().mask)
    assert levels["plain"] < 0.65 * there
    assert levels["plain"] * 1.2 < levels["matched"]


def test_noise_level_measures_white_noise():
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.normal(128, 5, (200, 200, 1)), 3, axis=2)
    pixels = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    assert noise_level(pixels, np.ones((200, 200), bool)) == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize("method", ["telea", "navier-stokes"])
def test_inpainting_covers_the_object(method):
    view, base = camera()
    result = make("opencv-inpaint", method=method).edit(request(view=view))
    assert result.details["method"] == method
    red = result.pixels[38:82, 64:88].astype(int)
    assert (red[..., 0] - red[..., 2]).mean() < 20
    assert np.abs(red - base[38:82, 64:88]).mean() < 25


@pytest.mark.parametrize("solver", ["exact", "opencv"])
@pytest.mark.parametrize("edit", ["removal", "open-ended-replacement", "addition"])
def test_poisson_keeps_the_rim_continuous(solver, edit):
    asked = request(edit, seed=4)
    result = make("poisson", solver=solver, blend="normal").edit(asked)
    assert result.details["solver"] == solver
    kernel = np.ones((3, 3), np.uint8)
    rim = result.mask & ~cv2.erode(result.mask.astype(np.uint8), kernel).astype(bool)
    off = np.abs(result.pixels.astype(int) - asked.pixels)[rim].mean()
    inside = np.abs(result.pixels.astype(int) - asked.pixels)[result.mask].mean()
    assert off < 0.6 * inside


@pytest.mark.parametrize("mixed", [False, True])
def test_the_equations_give_back_a_picture_from_its_own_gradients(mixed):
    picture = background()[:40, :50]
    hole = np.zeros((40, 50), bool)
    hole[5:33, 7:50] = True  # reaches the border
    broken = np.where(hole[..., None], 0, picture)
    guide = picture + np.array([13.0, -4, 50])  # a constant has no gradient
    found = solved(picture if mixed else broken, hole, guide, mixed)
    assert np.abs(found - picture).max() < 1e-6


def test_a_hole_without_guide_is_a_membrane():
    _, x = np.mgrid[:20, :30]
    plane = np.repeat(x[..., None].astype(float), 2, axis=2)
    hole = np.zeros((20, 30), bool)
    hole[4:15, 6:22] = True
    filled = solved(np.where(hole[..., None], 99, plane), hole)
    assert np.abs(filled - plane).max() < 1e-9


def test_a_warp_finds_its_source_box():
    image = np.zeros((90, 110, 3), np.uint8)
    pose, centre = Pose(1.1, 12, True, "linear"), (60.0, 40.0)
    box = (10, 20, 40, 60)
    left, top, right, bottom = source_box(pose, box, centre)
    image[top:bottom, left:right] = 255
    assert sampled(image, pose, box, centre).min() == 255
    image[top + 6 : bottom - 6, left + 6 : right - 6] = 0
    assert sampled(image, pose, box, centre).max() > 0


def test_free_centres_stay_inside_and_apart():
    taken = np.zeros((60, 80), bool)
    taken[20:40, 30:50] = True
    rng = np.random.default_rng(0)
    for pose in (Pose(), Pose(0.9, 14)):
        centres = free_centres(pose, (30, 20, 46, 36), taken, 200, rng)
        assert len(centres) > 20
        for x, y in centres:
            left, top, right, bottom = source_box(pose, (30, 20, 46, 36), (x, y))
            assert left >= 0 and top >= 0 and right <= 80 and bottom <= 60
            assert not taken[top:bottom, left:right].any()


def test_soft_borders_rise_inside_or_fall_outside():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    inside, outside = feathered(mask, 4), feathered(mask, 4, "outside")
    assert not inside[~mask].any() and inside[20, 20] == 1 and 0 < inside[11, 20] < 1
    assert (outside[mask] == 1).all() and 0 < outside[8, 20] < 1 and outside[3, 20] == 0
    edge = np.zeros((40, 40), bool)
    edge[:, :20] = True
    assert feathered(edge, 4)[0, 5] == 1  # the frame's border is no border of the edit


def test_light_is_that_of_the_surroundings():
    rng = np.random.default_rng(0)
    bright = rng.normal(150, 6, (400, 3))
    dark = bright - 40
    patch = np.full((8, 8, 3), 150.0)
    assert match_light(patch, bright, dark).mean() == pytest.approx(110, abs=4)
    assert np.array_equal(match_light(patch, bright[:3], dark), patch)
