"""What is found in made frames, and in real ones."""

from __future__ import annotations

import csv
from collections import defaultdict

import cv2
import numpy as np
import pytest
from helpers.scene_frames import SHAPE, background, box_mask, iou, shot

from forensics.scenes.camera import Camera
from forensics.scenes.objects import find_objects, moving_objects, salient_objects

PLATE = background()
PERSON, CAR = (150, 60, 172, 130), (220, 100, 290, 140)


def camera_of(*frames) -> Camera:
    return Camera(tuple(frames))


def test_moving_things_are_outlined_and_named_by_shape():
    empty = [shot(PLATE, i) for i in range(4)]
    frame = shot(PLATE, 9, PERSON, CAR)
    found = moving_objects(frame, camera_of(*empty, frame))
    assert {o.label for o in found} == {"person", "vehicle"} and len(found) == 2
    for thing in found:
        wanted = PERSON if thing.label == "person" else CAR
        assert iou(thing.mask, box_mask(wanted)) > 0.75
        assert thing.origin == "motion" and 0 < thing.score <= 1
        assert thing.mask[thing.box[1] : thing.box[3], thing.box[0] : thing.box[2]].any()


def test_other_light_is_no_object():
    empty = [shot(PLATE, i) for i in range(4)]
    for light in (0.8, 1.2):
        frame = shot(PLATE, 9, light=light)
        assert moving_objects(frame, camera_of(*empty, frame)) == ()


def test_an_object_is_found_under_other_light():
    empty = [shot(PLATE, i) for i in range(4)]
    frame = shot(PLATE, 9, PERSON, light=0.8)
    (found,) = moving_objects(frame, camera_of(*empty, frame))
    assert iou(found.mask, box_mask(PERSON)) > 0.7


def test_a_shadow_is_no_object():
    empty = [shot(PLATE, i) for i in range(4)]
    frame = shot(PLATE, 9, PERSON)
    shadow = cv2.GaussianBlur(box_mask((40, 120, 110, 150)).astype(np.float32), (0, 0), 2)
    shaded = (frame * (1 - 0.35 * shadow[..., None])).astype(np.uint8)
    found = moving_objects(shaded, camera_of(*empty, shaded))
    covered = np.any([o.mask for o in found], axis=0)
    assert iou(covered & box_mask(PERSON), box_mask(PERSON)) > 0.75
    assert (covered & box_mask((40, 120, 110, 150))).sum() < 0.3 * 70 * 30


def test_of_two_frames_the_one_with_the_object_has_it():
    empty, frame = shot(PLATE, 1), shot(PLATE, 2, PERSON)
    camera = camera_of(empty, frame)
    (found,) = moving_objects(frame, camera)
    assert iou(found.mask, box_mask(PERSON)) > 0.7
    assert moving_objects(empty, camera) == ()


def test_two_objects_in_two_frames_each_belong_to_their_own():
    one, two = shot(PLATE, 1, CAR, colour=(230, 220, 40)), shot(PLATE, 2, PERSON)
    camera = camera_of(one, two)
    assert [o.label for o in moving_objects(one, camera)] == ["vehicle"]
    assert [o.label for o in moving_objects(two, camera)] == ["person"]


def test_another_view_is_no_motion():
    frame, elsewhere = shot(PLATE, 1), shot(background(7), 2)
    assert moving_objects(frame, camera_of(frame, elsewhere)) == ()
    assert all(o.origin == "saliency" for o in find_objects(frame, camera_of(frame, elsewhere)))


def test_frames_of_another_size_are_not_compared():
    frame = shot(PLATE, 1, PERSON)
    assert moving_objects(frame, camera_of(frame, shot(PLATE, 2)[:90])) == ()


def test_a_changing_clock_is_no_object():
    def with_clock(seed: int, text: str) -> np.ndarray:
        return cv2.putText(shot(PLATE, seed), text, (200, 14), 0, 0.45, (255, 255, 255), 1)

    frames = [with_clock(i, f"12:0{i}:{17 * i % 60:02d}") for i in range(5)]
    assert moving_objects(frames[2], camera_of(*frames)) == ()


def test_one_frame_gives_what_stands_out():
    frame = shot(np.full((*SHAPE, 3), 120, np.uint8), 1, PERSON)
    found = find_objects(frame)
    assert found[0].origin == "saliency" and found[0].label == "object"
    assert iou(found[0].mask, box_mask(PERSON)) > 0.6


def test_a_blank_frame_holds_nothing():
    assert find_objects(np.full((*SHAPE, 3), 90, np.uint8)) == ()
    assert find_objects(np.zeros((1, 1, 3), np.uint8)) == ()


def test_the_same_frame_gives_the_same_objects():
    frame = shot(PLATE, 2, PERSON, CAR)
    for find in (salient_objects, lambda f: moving_objects(f, camera_of(f, shot(PLATE, 1)))):
        one, two = find(frame), find(frame)
        assert [o.box for o in one] == [o.box for o in two]
        assert all(np.array_equal(a.mask, b.mask) for a, b in zip(one, two, strict=True))


def test_walkers_of_a_real_camera_are_found(shared_data):
    folder = shared_data("frames")
    scenes = defaultdict(list)
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            scenes[row["scene"]].append(folder / row["path"])
    if "vtest_pets" not in scenes:
        pytest.skip("needs the scene vtest_pets of the frames")
    paths = scenes["vtest_pets"][:8]
    frames = tuple(cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB) for p in paths)
    people = [o.label == "person" for f in frames for o in moving_objects(f, Camera(frames))]
    assert len(people) >= 2 * len(frames) and np.mean(people) > 0.5
