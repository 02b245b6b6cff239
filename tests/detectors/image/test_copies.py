"""Copy-move, sparse and dense: turned, scaled, small; and what only looks like a copy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forensics.detectors.image.classical.copy_move import CopyMove
from forensics.detectors.image.classical.dense_copy_move import DenseCopyMove
from forensics.detectors.image.classical.laying import correlation
from forensics.media.image import Picture

DETECTORS = {"copy-move": CopyMove, "copy-move-dense": DenseCopyMove}


def copied(pixels, turn=0.0, scale=1.0, radius=28, source=(50, 52), target=(165, 118)):
    """A disc laid elsewhere, turned and scaled; → the picture and both places."""
    matrix = cv2.getRotationMatrix2D(source, turn, scale)
    matrix[:, 2] += np.subtract(target, source)
    size = pixels.shape[1::-1]
    disc = np.zeros(pixels.shape[:2], np.uint8)
    cv2.circle(disc, source, radius, 1, -1)
    there = cv2.warpAffine(disc, matrix, size) > 0
    moved = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_CUBIC)
    return np.where(there[..., None], moved, pixels), there | (disc > 0)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(
    ("turn", "scale", "quality"), [(0, 1, 80), (25, 1, 92), (0, 1.2, 92)], ids=str
)
def test_both_places_of_a_copy_are_found(scene, saved, overlap, name, turn, scale, quality):
    base = scene(5, 176, 224)
    forged, mask = copied(base, turn, scale)
    detector = DETECTORS[name]()
    found, quiet = detector.examine(saved(forged, quality)), detector.examine(saved(base, quality))
    assert quiet.mask is not None and not quiet.mask.share()
    assert found.mask is not None and overlap(np.asarray(found.mask), mask) > 0.5
    assert found.score is not None and quiet.score is not None and found.score < quiet.score - 3
    (first, *_) = found.details["copies"]
    assert first["scale"] in (pytest.approx(scale, rel=0.06), pytest.approx(1 / scale, rel=0.06))
    assert abs(first["turn_degrees"]) == pytest.approx(turn, abs=3)


def test_several_copies_are_all_found(scene, saved, overlap):
    forged, one = copied(scene(6), 0, 1.0, 28, (60, 60), (150, 190))
    forged, two = copied(forged, 20, 1.0, 28, (250, 60), (270, 200))
    found = CopyMove().examine(saved(forged, 92))
    assert len(found.details["copies"]) >= 2
    assert found.mask is not None
    assert (
        overlap(np.asarray(found.mask) & one, one) > 0.4
        and overlap(np.asarray(found.mask) & two, two) > 0.4
    )


def test_the_dense_one_finds_a_small_smooth_copy(scene, overlap):
    base = cv2.GaussianBlur(scene(7, 176, 224), (0, 0), 1.2)
    forged, mask = copied(base, radius=20)
    found = DenseCopyMove().examine(Picture(forged))
    assert found.mask is not None and overlap(np.asarray(found.mask), mask) > 0.4


def facade(seed: int) -> np.ndarray:
    """Windows all alike in a wall, as a camera sees them: lit unevenly, with noise of its own."""
    rng = np.random.default_rng(seed)
    wall = np.full((200, 260), 150, np.float32)
    for top in range(16, 170, 44):
        for left in range(16, 230, 38):
            cv2.rectangle(wall, (left, top), (left + 20, top + 28), 60, -1)
            cv2.rectangle(wall, (left + 3, top + 3), (left + 17, top + 25), 95, -1)
            cv2.line(wall, (left + 10, top), (left + 10, top + 28), 60, 2)
            cv2.line(wall, (left - 3, top + 31), (left + 23, top + 31), 190, 2)
    wall = cv2.GaussianBlur(wall, (0, 0), 0.8)
    wall += np.linspace(-25, 25, 260)[None, :] + rng.normal(0, 3, wall.shape)
    return np.repeat(np.clip(wall, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("name", "seed"), [*(("copy-move", seed) for seed in (1, 2, 3)), ("copy-move-dense", 1)]
)
def test_windows_of_one_facade_are_no_copies(saved, name, seed):
    picture = saved(facade(seed), 92)
    found = DETECTORS[name]().examine(picture)
    assert found.mask is not None and not found.mask.share()
    assert found.details["copies"] == []


def test_a_copy_on_a_facade_is_told_from_its_windows(saved):
    """One window with its noise laid on another, four columns on."""
    base = facade(4)
    forged = base.copy()
    forged[50:140, 162:242] = base[50:140, 10:90]
    assert DenseCopyMove().examine(saved(forged, 95)).details["copies"]


@pytest.mark.parametrize("name", DETECTORS)
def test_a_long_straight_edge_is_no_copy(name):
    rng = np.random.default_rng(0)
    plane = np.full((240, 320), 80, np.float32)
    plane[:, 160:] = 160
    plane[100:110] += 40
    noisy = np.clip(cv2.GaussianBlur(plane, (0, 0), 1) + rng.normal(0, 1, plane.shape), 0, 255)
    picture = Picture(np.repeat(noisy.astype(np.uint8)[..., None], 3, axis=2))
    found = DETECTORS[name]().examine(picture)
    assert found.mask is None or not found.mask.share()


def test_correlation_knows_a_shift_of_light_and_nothing_in_flat_parts(scene):
    plane = scene(9)[..., 1].astype(np.float32)
    alike, textured = correlation(plane, plane * 0.5 + 40, 9)
    assert textured.mean() > 0.5
    assert alike[textured].min() > 0.99
    assert not correlation(np.full((32, 32), 7.0, np.float32), plane[:32, :32], 9)[1].any()


def test_a_large_picture_is_analysed_smaller_and_says_so(scene, monkeypatch):
    monkeypatch.setattr("forensics.detectors.image.classical.copy_move.MAX_PIXELS", 20_000)
    found = CopyMove().examine(Picture(scene(11)))
    assert found.heatmap is not None and found.heatmap.shape == (256, 320)
    assert found.details["analysed_scale"] == pytest.approx((20_000 / (256 * 320)) ** 0.5, 1e-3)
