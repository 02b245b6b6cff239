"""What every registered image detector keeps, whoever wrote it.

One without weights gets tested without further ado; one that needs weights is tested when `READY`
says how to make a folder with random ones: a new one adds its line there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import random_bundle

from forensics.detectors.image import base
from forensics.detectors.image.base import IMAGE_DETECTORS, Finding, ImageDetector
from forensics.detectors.image.planes import Plane
from forensics.errors import MissingRequirement
from forensics.media.image import Picture, encode_image, read_image
from forensics.networks.face_classifier import FaceClassifier, FaceClassifierConfig
from forensics.networks.localiser.network import Localiser, LocaliserConfig
from forensics.networks.meso4 import Meso4
from forensics.networks.regeneration import Regeneration, RegenerationConfig

SHIPPED = Path(base.__file__).parent / "weights" / "default"


def _random(name: str, build: Callable[[], torch.nn.Module]) -> Callable[[Path], object]:
    def fill(folder: Path) -> object:
        torch.manual_seed(0)
        return random_bundle.save_for_pictures(name, build(), folder)

    return fill


# Detector → what fills an empty folder with weights for it: small random ones where it can be.
READY: dict[str, Callable[[Path], object]] = {
    "face-classifier": _random("face-classifier", lambda: FaceClassifier(FaceClassifierConfig())),
    "image-fusion": lambda folder: shutil.copytree(SHIPPED, folder, dirs_exist_ok=True),
    "localiser": _random("localiser", lambda: Localiser(LocaliserConfig(channels=8))),
    "meso4": _random("meso4", Meso4),
    "regeneration": _random("regeneration", lambda: Regeneration(RegenerationConfig(hidden=4))),
}

NAMES = IMAGE_DETECTORS.names()
WITHOUT_WEIGHTS = [name for name in NAMES if not IMAGE_DETECTORS.get(name).needs_weights]
ODD_SHAPES = [(1, 1), (1, 300), (300, 1), (7, 9), (63, 64), (64, 64), (65, 131), (97, 131)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """`ready(name)` → that detector, or a skip that says what is missing."""
    made: dict[str, ImageDetector] = {}

    def make(name: str) -> ImageDetector:
        if name not in made:
            cls, folder = IMAGE_DETECTORS.get(name), None
            if cls.needs_weights:
                if name not in READY:
                    pytest.skip(f"{name} needs weights, and READY does not say how to make them")
                folder = tmp_path_factory.mktemp(name)
                READY[name](folder)
            made[name] = cls.from_folder(folder)
        return made[name]

    return make


@pytest.fixture(scope="module")
def jpeg(scene) -> Picture:
    """Twice compressed, with a pasted box and a copied one: something for everybody."""
    pixels = read_image(encode_image(scene(90, 208, 240), "jpeg", 65)).pixels.copy()
    pixels[100:160, 20:90] = scene(91, 60, 70)
    pixels[20:80, 140:210] = pixels[30:90, 20:90]
    return read_image(encode_image(pixels, "jpeg", 93))


def check(found: Finding, picture: Picture) -> None:
    shape = picture.pixels.shape[:2]
    json.dumps(found.details, allow_nan=False)
    assert (found.score is None) == (found.not_applicable is not None)
    if found.score is None:
        assert found.heatmap is None and found.mask is None
        assert found.not_applicable and "\n" not in found.not_applicable
        return
    assert isinstance(found.score, float) and np.isfinite(found.score)
    if found.heatmap is not None:
        heat = drawn(found.heatmap)
        assert found.heatmap.shape == heat.shape == shape and heat.dtype == np.float32
        assert np.isfinite(heat).all() and heat.min() >= 0 and heat.max() <= 1
    if found.mask is not None:
        mask = drawn(found.mask)
        assert found.mask.shape == mask.shape == shape and mask.dtype == np.bool_


def drawn(plane: Plane) -> np.ndarray:
    """The whole; in bands of seven rows, and from the middle on, it is the same."""
    whole, middle = np.asarray(plane), plane.shape[0] // 2
    assert np.array_equal(whole, np.concatenate([band for _, band in plane.bands(7)]))
    assert np.array_equal(whole[middle:], plane.rows(middle, plane.shape[0]))
    return whole


@pytest.mark.parametrize("name", NAMES)
def test_it_says_who_it_is(name):
    cls = IMAGE_DETECTORS.get(name)
    assert cls.name == name and cls.version and cls.summary and cls.paper and cls.licence
    assert cls.modality == "image"


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(WITHOUT_WEIGHTS)))
def test_without_its_weights_it_says_what_is_missing(name):
    with pytest.raises(MissingRequirement):
        IMAGE_DETECTORS.get(name).from_folder(None)


@pytest.mark.parametrize("name", NAMES)
def test_a_finding_is_well_formed_repeatable_and_leaves_the_picture_alone(ready, jpeg, name):
    detector = ready(name)
    picture = replace(jpeg, pixels=jpeg.pixels.copy())
    picture.pixels.setflags(write=False)
    found, again = detector.examine(picture), detector.examine(picture)
    check(found, picture)
    assert np.array_equal(picture.pixels, jpeg.pixels)
    assert (found.score, found.not_applicable) == (again.score, again.not_applicable)
    assert found.details == again.details
    for one, two in ((found.heatmap, again.heatmap), (found.mask, again.mask)):
        assert (one is None and two is None) or np.array_equal(one, two)  # pyright: ignore


@pytest.mark.parametrize("name", NAMES)
def test_maps_lie_as_the_pixels_are_stored_whatever_viewers_turn(ready, jpeg, name):
    detector = ready(name)
    found = detector.examine(replace(jpeg, orientation=6))
    plain = detector.examine(jpeg)
    check(found, jpeg)
    assert found.score == plain.score
    if found.heatmap is not None:
        assert np.array_equal(found.heatmap, plain.heatmap)


@pytest.mark.parametrize("shape", ODD_SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("error")
def test_odd_pictures_are_judged_or_declined_never_an_error(ready, name, shape):
    detector = ready(name)
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    ramp = np.broadcast_to((np.arange(shape[1]) % 256).astype(np.uint8)[:, None], (*shape, 3))
    grey = np.repeat(noise[..., :1], 3, axis=2)
    for pixels in (np.zeros_like(noise), np.full_like(noise, 255), noise, grey, ramp.copy()):
        plain = Picture(pixels)
        check(detector.examine(plain), plain)
        coarse = replace(plain, format="jpeg", quantisation=(np.full((8, 8), 99),))
        check(detector.examine(coarse), coarse)


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_one_pixel_is_too_small_for_every_method_without_weights(name):
    found = IMAGE_DETECTORS.get(name).from_folder(None).examine(Picture(np.zeros((1, 1, 3), "u1")))
    assert found.score is None and found.not_applicable
