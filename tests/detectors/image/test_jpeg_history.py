"""What an earlier compression left: double JPEG, ghosts, error levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forensics.detectors.image.classical.common import block_dct
from forensics.detectors.image.classical.double_jpeg import COEFFICIENTS, DoubleJpeg
from forensics.detectors.image.classical.ela import Ela
from forensics.detectors.image.classical.jpeg_ghosts import JpegGhosts
from forensics.media.image import Picture

SEEDS = (40, 41, 42)


def test_the_block_transform_is_the_orthonormal_one():
    plane = np.full((16, 24), 128 + 10.0)
    assert block_dct(plane).shape == (2, 3, 8, 8)
    assert block_dct(plane)[0, 0, 0, 0] == pytest.approx(80, abs=1e-3)
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 255, (8, 8))
    power = ((noise - 128) ** 2).sum()
    assert (block_dct(noise) ** 2).sum() == pytest.approx(power, rel=1e-4)


class TestDoubleJpeg:
    def pair(self, scene, saved, box, seed, first=60, second=92):
        """Pasted into a picture of quality `first`, saved at `second`; and the same unforged."""
        base = saved(scene(seed), first).pixels
        mask = box(base.shape, 96, 104, 80, 96)
        forged = np.where(mask[..., None], scene(seed + 100), base)
        return saved(forged, second), saved(base, second), mask

    def test_what_was_compressed_once_is_found(self, scene, saved, box, overlap, pixel_auc):
        detector = DoubleJpeg()
        scores, aucs, overlaps = [], [], []
        for seed in SEEDS:
            forged, pristine, mask = self.pair(scene, saved, box, seed)
            found, quiet = detector.examine(forged), detector.examine(pristine)
            assert found.score is not None and quiet.score is not None
            assert quiet.mask is not None and quiet.mask.share() < 0.01
            assert found.mask is not None and found.heatmap is not None
            scores.append((found.score, quiet.score))
            aucs.append(pixel_auc(np.asarray(found.heatmap), mask))
            overlaps.append(overlap(np.asarray(found.mask), mask))
        assert max(forged for forged, _ in scores) < min(quiet for _, quiet in scores)
        assert np.mean(aucs) > 0.98 and np.mean(overlaps) > 0.7

    def test_the_first_steps_are_those_of_the_first_table(self, scene, saved):
        first, second = saved(scene(50), 60), saved(saved(scene(50), 60).pixels, 92)
        found = DoubleJpeg().examine(second).details["first_steps"]
        truth = {str(place): int(first.quantisation[0][place]) for place in COEFFICIENTS}
        right = sum(truth[place] == step for place, step in found.items())
        assert len(found) >= 8 and right >= 0.8 * len(found)

    def test_one_compression_gives_nothing_to_compare(self, scene, saved):
        found = DoubleJpeg().examine(saved(scene(51), 85))
        assert found.score is None
        assert found.not_applicable == "no trace of an earlier compression to compare with"

    def test_a_png_has_no_table(self, scene):
        found = DoubleJpeg().examine(Picture(scene(52), format="png"))
        assert found.not_applicable == "no quantisation table: not a JPEG"


class TestGhosts:
    def test_a_region_of_lower_quality_is_found(self, scene, saved, box, overlap, pixel_auc):
        detector = JpegGhosts()
        aucs, found_at, quiet_scores, scores = [], [], [], []
        for seed, quality in zip(SEEDS, (54, 60, 66), strict=True):
            base = scene(seed)
            mask = box(base.shape, 96, 104, 80, 96)
            forged = np.where(mask[..., None], saved(base, quality).pixels, base)
            found, quiet = detector.examine(saved(forged, 94)), detector.examine(saved(base, 94))
            assert found.heatmap is not None and quiet.mask is not None
            assert not quiet.mask.share()
            aucs.append(pixel_auc(np.asarray(found.heatmap), mask))
            found_at.append(abs(found.details["quality"] - quality))
            scores.append(found.score)
            quiet_scores.append(quiet.score)
        assert np.mean(aucs) > 0.95
        assert max(found_at) <= 2
        assert max(scores) < min(quiet_scores)

    def test_a_decoded_png_is_judged_too(self, scene, saved, box, pixel_auc):
        base = scene(60)
        mask = box(base.shape, 96, 104, 80, 96)
        forged = np.where(mask[..., None], saved(base, 56).pixels, base)
        found = JpegGhosts().examine(Picture(forged, format="png"))
        assert found.heatmap is not None and pixel_auc(np.asarray(found.heatmap), mask) > 0.95


class TestErrorLevels:
    def test_a_fresh_region_in_a_compressed_picture_is_hot(self, scene, saved, box, pixel_auc):
        base = saved(scene(70), 70).pixels
        mask = box(base.shape, 96, 104, 80, 96)
        forged = np.where(mask[..., None], scene(71), base)
        found = Ela().examine(Picture(forged))
        assert found.heatmap is not None and pixel_auc(np.asarray(found.heatmap), mask) > 0.9

    def test_it_takes_edges_for_edits_and_says_so(self, scene):
        pixels = np.full((192, 192, 3), 120, np.uint8)
        pixels[64:128, 64:128] = scene(72, 64, 64)
        found = Ela().examine(Picture(pixels))  # nothing is forged here
        assert found.mask is not None and np.asarray(found.mask)[64:128, 64:128].mean() > 0.1
        assert "baseline" in Ela.summary


def test_the_orientation_and_the_container_do_not_change_what_is_found(scene, saved):
    picture = saved(saved(scene(80), 60).pixels, 92)
    turned = replace(picture, orientation=6)
    for detector in (DoubleJpeg(), JpegGhosts(), Ela()):
        assert detector.examine(picture).score == detector.examine(turned).score
