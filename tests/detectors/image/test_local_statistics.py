"""Noise, resampling, colour filter array, micro-texture: each finds its trace and no other."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forensics.detectors.image.classical.cfa import Cfa, table_quality
from forensics.detectors.image.classical.noise_level import NoiseLevel
from forensics.detectors.image.classical.resampling import Resampling
from forensics.detectors.image.classical.splicebuster import Splicebuster, symmetric_codes
from forensics.media.image import Picture

SEEDS = (1, 2, 3)
SHAPE = (384, 448)


def demosaiced(pixels: np.ndarray) -> np.ndarray:
    """What a camera makes of a scene: green from every other pixel, the rest interpolated."""
    green = pixels[..., 1].astype(np.float32)
    kernel = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)
    measured = np.add.outer(np.arange(green.shape[0]), np.arange(green.shape[1])) % 2 == 0
    full = np.where(measured, green, cv2.filter2D(np.where(measured, green, 0), -1, kernel))
    made = pixels.copy()
    made[..., 1] = np.clip(np.rint(full), 0, 255)
    return made


class TestNoise:
    @pytest.mark.parametrize("own", [6.0, 0.8], ids=["noisier", "smoother"])
    def test_a_part_with_another_noise_is_found(self, scene, box, pixel_auc, own):
        aucs = []
        for seed in SEEDS:
            base = scene(seed, *SHAPE, noise=2.5)
            other = scene(seed, *SHAPE, noise=own)
            mask = box(base.shape, 96, 112, 128, 144)
            forged, quiet = (
                NoiseLevel().examine(Picture(p))
                for p in (np.where(mask[..., None], other, base), base)
            )
            assert quiet.mask is not None and not quiet.mask.share()
            assert forged.heatmap is not None
            assert forged.score is not None and quiet.score is not None
            assert forged.score < quiet.score
            aucs.append(pixel_auc(np.asarray(forged.heatmap), mask))
        assert np.mean(aucs) > 0.9

    def test_noise_that_grows_with_light_is_the_cameras_own(self):
        rng = np.random.default_rng(0)
        light = np.tile(np.linspace(40, 220, SHAPE[1]), (SHAPE[0], 1))
        noisy = light + rng.normal(0, 1, light.shape) * (1 + light / 60)
        pixels = np.repeat(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        found = NoiseLevel().examine(Picture(pixels))
        assert found.mask is not None and not found.mask.share()

    def test_without_noise_there_is_nothing_to_compare(self, scene):
        smooth = cv2.GaussianBlur(scene(4, *SHAPE), (0, 0), 6)
        found = NoiseLevel().examine(Picture(smooth))
        assert found.score is None
        assert found.not_applicable == "compression or processing left no noise to compare"


class TestResampling:
    @pytest.mark.parametrize("factor", [1.3, 1.7])
    def test_an_enlarged_part_is_found(self, scene, box, pixel_auc, factor):
        aucs = []
        for seed in SEEDS:
            base = scene(seed, *SHAPE, noise=3)
            grown = cv2.resize(base, None, fx=factor, fy=factor)[: SHAPE[0], : SHAPE[1]]
            mask = box(base.shape, 96, 112, 144, 160)
            found = Resampling().examine(Picture(np.where(mask[..., None], grown, base)))
            quiet = Resampling().examine(Picture(base))
            assert quiet.mask is not None and not quiet.mask.share()
            assert found.heatmap is not None and found.score is not None
            assert quiet.score is not None and found.score < quiet.score - 1
            aucs.append(pixel_auc(np.asarray(found.heatmap), mask))
        assert np.mean(aucs) > 0.9

    def test_a_picture_resized_as_a_whole_is_no_forgery_and_is_told(self, scene):
        base = scene(5, *SHAPE, noise=3)
        whole = cv2.resize(base, None, fx=1.4, fy=1.4)
        found, plain = Resampling().examine(Picture(whole)), Resampling().examine(Picture(base))
        assert found.mask is not None and not found.mask.share()
        told, usual = (f.details["whole_picture_peak"] for f in (found, plain))
        assert told > usual + 0.5

    def test_the_grid_of_a_jpeg_is_no_resampling(self, scene, saved):
        found = Resampling().examine(saved(scene(6, *SHAPE, noise=3), 80))
        assert found.mask is not None and not found.mask.share()


class TestColourFilterArray:
    def test_a_part_that_was_not_demosaiced_is_found(self, scene, box, overlap, pixel_auc):
        aucs = []
        for seed in SEEDS:
            camera = demosaiced(scene(seed, *SHAPE, noise=3))
            mask = box(camera.shape, 96, 112, 128, 144)
            forged = np.where(mask[..., None], scene(seed + 50, *SHAPE, noise=3), camera)
            found, quiet = Cfa().examine(Picture(forged)), Cfa().examine(Picture(camera))
            assert quiet.mask is not None and quiet.mask.share() < 0.01
            assert found.mask is not None and overlap(np.asarray(found.mask), mask) > 0.7
            assert found.score is not None and quiet.score is not None
            assert found.score < quiet.score
            assert found.heatmap is not None
            aucs.append(pixel_auc(np.asarray(found.heatmap), mask))
        assert np.mean(aucs) > 0.95

    def test_either_half_of_the_chessboard_may_be_measured(self, scene):
        camera = demosaiced(scene(4, *SHAPE, noise=3))
        for pixels in (camera, camera[:, 1:]):
            found = Cfa().examine(Picture(pixels))
            assert found.score is not None and found.score > 0
        first, second = (
            Cfa().examine(Picture(p)).details["green_first"] for p in (camera, camera[:, 1:])
        )
        assert first != second

    def test_it_does_not_judge_without_demosaicing(self, scene):
        found = Cfa().examine(Picture(scene(5, *SHAPE)))
        assert found.score is None
        assert found.not_applicable and "no demosaicing" in found.not_applicable

    @pytest.mark.parametrize("quality", [50, 75, 90, 94])
    def test_it_does_not_judge_a_compressed_jpeg(self, scene, saved, quality):
        picture = saved(demosaiced(scene(6, 128, 128)), quality)
        assert table_quality(picture) == pytest.approx(quality, abs=1)
        found = Cfa().examine(picture)
        assert found.not_applicable and "quality" in found.not_applicable


class TestMicroTexture:
    def test_codes_do_not_change_under_mirror_and_negative(self):
        codes = symmetric_codes()
        assert codes.shape == (81,) and len(set(codes)) == 25
        digits = [(a, b, c, d) for a in range(3) for b in range(3) for c in range(3)
                  for d in range(3)]  # fmt: skip
        number = {run: index for index, run in enumerate(digits)}
        for run, index in number.items():
            assert codes[index] == codes[number[run[::-1]]]
            assert codes[index] == codes[number[tuple(2 - d for d in run)]]  # pyright: ignore

    def test_a_part_with_another_history_is_hotter(self, scene, box, pixel_auc):
        aucs, scores, quiet_scores = [], [], []
        for seed in SEEDS:
            base = scene(seed, *SHAPE, noise=2.5)
            other = cv2.GaussianBlur(scene(seed + 50, *SHAPE, noise=2.5), (0, 0), 0.9)
            mask = box(base.shape, 96, 112, 128, 128)
            found = Splicebuster().examine(Picture(np.where(mask[..., None], other, base)))
            quiet = Splicebuster().examine(Picture(base))
            assert found.heatmap is not None
            aucs.append(pixel_auc(np.asarray(found.heatmap), mask))
            scores.append(found.score)
            quiet_scores.append(quiet.score)
        assert np.mean(aucs) > 0.8
        assert np.mean(scores) < np.mean(quiet_scores)

    def test_a_black_picture_is_not_judged(self):
        found = Splicebuster().examine(Picture(np.zeros((256, 256, 3), np.uint8)))
        assert found.not_applicable == "nearly all of the picture is black, white or flat"
