"""Maps that are drawn in bands, parts of masks found in bands: what the whole would give."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from forensics.detectors.image import components as module
from forensics.detectors.image.base import IMAGE_DETECTORS
from forensics.detectors.image.classical import (
    cfa,
    double_jpeg,
    ela,
    jpeg_ghosts,
    splicebuster,
    zero,
)
from forensics.detectors.image.components import components
from forensics.detectors.image.planes import Plane, enlarged, spread
from forensics.media.image import Picture
from forensics.verdict.regions import regions_of


def test_cells_are_spread_as_a_resize_does(scene):
    cells = np.random.default_rng(0).random((23, 31)).astype(np.float32)
    whole = cv2.resize(cells, (31 * 8, 23 * 8), interpolation=cv2.INTER_LINEAR)
    drawn = spread(cells, 8, (180, 245))
    assert np.abs(np.asarray(drawn) - whole[:180, :245]).max() < 1e-6
    assert np.array_equal(np.asarray(drawn)[70:75], drawn.rows(70, 75))


@pytest.mark.parametrize("shape", [(30, 40), (31, 97), (200, 333)])
def test_values_are_enlarged_as_a_resize_does(shape):
    values = np.random.default_rng(1).random((30, 40)).astype(np.float32)
    drawn = enlarged(values, shape)
    assert np.abs(np.asarray(drawn) - cv2.resize(values, shape[::-1])).max() < 1e-6
    rows = [drawn.rows(top, top + 1) for top in range(shape[0])]
    assert np.array_equal(np.concatenate(rows), np.asarray(drawn))


def test_a_packed_mask_is_the_mask():
    mask = np.random.default_rng(2).random((37, 61)) < 0.3
    plane = Plane.packed(mask)
    assert np.array_equal(np.asarray(plane), mask) and plane.rows(3, 5).dtype == np.bool_
    assert plane.share() == mask.mean()
    heat = Plane.of(mask * np.float32(0.7))
    assert heat.above(0.7).share() == 0 and np.array_equal(np.asarray(heat.above(0.5)), mask)


@pytest.mark.parametrize("density", [0.0, 0.2, 0.38, 0.5, 1.0])
def test_parts_across_bands_are_those_of_the_whole(density, monkeypatch):
    monkeypatch.setattr(module, "BAND", 5)
    rng = np.random.default_rng(3)
    mask, second = rng.random((53, 47)) < density, rng.random((53, 47)) < 0.4
    found = components(Plane.of(mask), Plane.of(second))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    assert len(found.areas) == count - 1
    wanted = {}
    for number in range(1, count):
        x, y, width, height, area = stats[number].tolist()
        inside = int((second & (labels == number)).sum())
        wanted[x, y, x + width, y + height, area, inside] = labels == number
    assert len(wanted) == count - 1 or density > 0.3  # specks apart, all are told apart
    for number, (box, area, inside) in enumerate(
        zip(found.boxes.tolist(), found.areas.tolist(), found.counted.tolist(), strict=True)
    ):
        assert (*box, area, inside) in wanted
        part = found.part(number, (0, 0, 47, 53))
        assert part.sum() == area and len(np.unique(labels[part])) == 1
        left, top, right, bottom = box
        assert np.array_equal(part[top:bottom, left:right], found.part(number, tuple(box)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_lie_where_viewers_see_them(orientation):
    mask = np.zeros((60, 90), bool)
    mask[5:20, 10:30] = mask[40:44, 70:90] = True
    heat = np.where(mask, np.float32(0.8), np.float32(0.1))
    heat[5:20, 10:20] = 0.6
    picture = Picture(np.zeros((60, 90, 3), np.uint8), orientation=orientation)
    large, small = regions_of(picture, Plane.of(mask), Plane.of(heat))
    upright = picture.upright(mask)
    for region, area, score in ((large, 300, 0.7), (small, 80, 0.8)):
        left, top, right, bottom = region.box
        assert upright[top:bottom, left:right].all()
        assert (right - left) * (bottom - top) == area == round(region.area * mask.size)
        assert region.score == pytest.approx(score, abs=1e-4)
    assert regions_of(picture, Plane.of(mask), most=1) == (
        large.model_copy(update={"score": None}),
    )


STRIPS = [(cfa, "ROWS", 24), (ela, "ROWS", 16), (jpeg_ghosts, "ROWS", 8)]
STRIPS += [(splicebuster, "STRIP_STEPS", 1), (zero, "STRIP_PIXELS", 1), (module, "BAND", 7)]


def test_a_method_finds_the_same_in_narrow_strips(scene, saved, monkeypatch):
    pixels = saved(scene(5, 232, 264), 60).pixels.copy()
    pixels[64:136, 80:160] = saved(scene(6, 232, 264), 60).pixels[61:133, 75:155]
    picture = Picture(pixels)
    names = ("zero", "jpeg-ghosts", "splicebuster", "ela", "cfa")
    detectors = [IMAGE_DETECTORS.get(name).from_folder(None) for name in names]
    before = [detector.examine(picture) for detector in detectors]
    for where, name, value in STRIPS:
        monkeypatch.setattr(where, name, value)
    assert before[0].details["foreign"] or before[0].details["missing"]  # regions, across bands
    for detector, one in zip(detectors, before, strict=True):
        other = detector.examine(picture)
        assert (one.score, one.details) == (other.score, other.details), detector.name
        for plane, again in ((one.heatmap, other.heatmap), (one.mask, other.mask)):
            if plane is not None:
                assert np.array_equal(np.asarray(plane), np.asarray(again)), detector.name


def test_blocks_that_a_histogram_is_made_of_are_every_nth_of_all(scene, monkeypatch):
    grey = scene(7, 200, 264)[..., 0]
    for rows, thinned in product((64, 512), (10**9, 100)):
        monkeypatch.setattr(double_jpeg, "ROWS", rows)
        monkeypatch.setattr(double_jpeg, "MODEL_BLOCKS", 10**9)
        _, every = double_jpeg.coefficients(grey)
        monkeypatch.setattr(double_jpeg, "MODEL_BLOCKS", thinned)
        _, some = double_jpeg.coefficients(grey)
        step = max(1, every.shape[1] // thinned)
        assert np.array_equal(some, every[:, ::step])


GROWTH = """
import sys
import numpy as np
from forensics.detectors.image.base import IMAGE_DETECTORS
from forensics.media.image import Picture
from forensics.verdict.image_entries import shown_regions

def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

noise = np.random.default_rng(0).integers(60, 200, (512, 512, 3), np.uint8)
detector = IMAGE_DETECTORS.get(sys.argv[1]).from_folder(None)

def judged(down):
    picture = Picture(np.tile(noise, (down, 2, 1)))
    found = detector.examine(picture)
    if found.mask is not None:
        found.mask.share()
        shown_regions(found, picture)
    return picture.pixels.nbytes / 1024

small = judged(4)
before = peak()
large = judged(16)
print((peak() - before) / (large - small))
"""


@pytest.mark.parametrize(("name", "most"), [("zero", 2.3), ("jpeg-ghosts", 2.0)])
def test_memory_grows_little_more_than_the_picture(name, most):
    """From 2 to 8 megapixels, in bytes of the picture: 1 is the picture itself."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    command = [sys.executable, "-c", GROWTH, name]
    grown = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < most, grown
