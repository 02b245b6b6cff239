"""What every registered image condition promises, and what each one does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.conditions.image.base import IMAGE_CONDITIONS, ImageCondition
from forensics.conditions.image.draw import (
    IMAGE_SWEEP,
    ImageConditionChoice,
    ImageConditionPolicy,
)
from forensics.errors import UsageError
from forensics.media.image import encode_image, read_image

REPO = Path(__file__).resolve().parents[2]
every_condition = pytest.mark.parametrize("name", IMAGE_CONDITIONS.names())
KEEPS_SIZE = {"blur", "jpeg", "light", "noise", "webp"}


def marked(height: int = 90, width: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture with a bright square, and the mask of that square."""
    rows, columns = np.mgrid[:height, :width]
    mask = (abs(rows - height * 0.4) < height / 5) & (abs(columns - width * 0.6) < height / 5)
    grey = np.where(mask, 225, 45 + 20 * np.sin(columns / 9)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2), mask


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / (first | second).sum()


def fixed(name: str, **params) -> ImageCondition:
    return IMAGE_CONDITIONS.get(name)(**params)


def test_the_documented_conditions_are_registered():
    assert set(IMAGE_CONDITIONS.names()) >= KEEPS_SIZE | {"crop", "rescale", "screenshot", "social"}


@every_condition
def test_the_mask_keeps_to_the_pixels_and_nothing_given_is_written_to(name):
    condition = fixed(name)
    pixels, mask = marked()
    kept_pixels, kept_mask = pixels.copy(), mask.copy()
    for seed in range(8):
        done, cut, drawn = condition.apply(pixels, mask, np.random.default_rng(seed))
        assert done.dtype == np.uint8 and cut is not None and cut.dtype == np.bool_
        assert done.shape == (*cut.shape, 3)
        if name in KEEPS_SIZE:
            assert done.shape == pixels.shape
        assert overlap(done[..., 1] > 140, cut) > 0.9, drawn
        json.dumps(drawn, allow_nan=False)
        assert not np.shares_memory(done, pixels)
        bare, none, redrawn = condition.apply(pixels, None, np.random.default_rng(seed))
        assert none is None and redrawn == drawn  # a mask that is kept moves nothing
        np.testing.assert_array_equal(bare, done)
    np.testing.assert_array_equal(pixels, kept_pixels)
    np.testing.assert_array_equal(mask, kept_mask)


@every_condition
def test_deterministic_under_the_seed_and_different_for_another(name):
    condition, (pixels, mask) = fixed(name), marked()
    first = condition.apply(pixels, mask, np.random.default_rng(1))
    again = condition.apply(pixels[:, ::-1][:, ::-1], mask, np.random.default_rng(1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[2] == again[2]
    others = [condition.apply(pixels, mask, np.random.default_rng(s)) for s in range(2, 12)]
    assert any(drawn != first[2] for _, _, drawn in others)


@every_condition
@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**63))
def test_any_size(name, height, width, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = rng.random((height, width)) < 0.3
    done, cut, _ = fixed(name).apply(pixels, mask, rng)
    assert done.shape == (*cut.shape, 3) and min(cut.shape) >= 1


@every_condition
def test_unknown_parameters_and_reversed_ranges_are_refused(name):
    kind = IMAGE_CONDITIONS.get(name)
    with pytest.raises(ValueError, match="no_such_parameter"):
        kind(no_such_parameter=1)
    for field, info in kind.model_fields.items():
        if info.annotation == tuple[float, float]:
            low, high = info.default
            with pytest.raises(ValueError, match="low <= high"):
                kind(**{field: (high + 1, low)})


def test_jpeg_and_webp_are_what_the_encoder_gives():
    pixels, _ = marked()
    jpeg = fixed("jpeg", quality=(60, 60), subsampling=("4:2:2",))
    done, _, drawn = jpeg.apply(pixels, None, np.random.default_rng(0))
    assert drawn == {"quality": 60, "subsampling": "4:2:2"}
    np.testing.assert_array_equal(
        done, read_image(encode_image(pixels, "jpeg", 60, "4:2:2")).pixels
    )
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    errors = []
    for quality in (95, 50):
        webp = fixed("webp", quality=(quality, quality))
        after = webp.apply(noisy, None, np.random.default_rng(0))[0]
        errors.append(np.abs(after.astype(int) - noisy).mean())
    assert 0 < errors[0] < errors[1]


@pytest.mark.parametrize("factor", (0.5, 1.5))
def test_rescale(factor):
    pixels, mask = marked()
    condition = fixed("rescale", factor=(factor, factor))
    done, cut, _ = condition.apply(pixels, mask, np.random.default_rng(0))
    assert cut.shape == (90 * factor, 120 * factor)
    assert cut.mean() == pytest.approx(mask.mean(), rel=0.07)
    assert done.mean() == pytest.approx(pixels.mean(), rel=0.02)


@settings(max_examples=60, deadline=None)
@given(row=st.integers(0, 29), column=st.integers(0, 39), seed=st.integers(0, 2**32))
def test_a_crop_never_loses_a_mask_of_one_pixel(row, column, seed):
    mask = np.zeros((30, 40), bool)
    mask[row, column] = True
    pixels = np.repeat((mask * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    crop = fixed("crop", share=(0.2, 0.5))
    done, cut, drawn = crop.apply(pixels, mask, np.random.default_rng(seed))
    left, top, width, height = drawn["box"]
    assert cut.sum() == 1 and cut.shape == (height, width)
    np.testing.assert_array_equal(done, pixels[top : top + height, left : left + width])
    np.testing.assert_array_equal(done[..., 0] > 0, cut)


def test_social_limits_the_longest_side_and_leaves_small_pictures_their_size():
    social = fixed("social", longest_side=(100,))
    pixels, mask = marked()
    done, cut, _ = social.apply(pixels, mask, np.random.default_rng(0))
    assert done.shape == (75, 100, 3) and cut.shape == (75, 100)
    small, small_mask = marked(60, 80)
    assert social.apply(small, small_mask, np.random.default_rng(0))[0].shape == (60, 80, 3)


def test_sharpening_raises_contrast_at_edges():
    pixels, mask = marked()
    changes = []
    for share in (0.0, 1.0):
        social = fixed("social", sharpen=(share, share), quality=(100, 100))
        done = social.apply(pixels, mask, np.random.default_rng(0))[0][..., 0].astype(int)
        changes.append(done.max() - done.min())
    assert changes[1] > changes[0] + 15


def test_noise_has_the_level_that_was_drawn():
    pixels = np.full((200, 200, 3), 128, np.uint8)
    for kind in ("gaussian", "shot"):
        noise = fixed("noise", kinds=(kind,), sigma=(6, 6))
        after = noise.apply(pixels, None, np.random.default_rng(0))[0].astype(float)
        assert after.std() == pytest.approx(6, rel=0.03)
    dark = np.full((200, 200, 3), 32, np.uint8)  # a quarter of the light: half the deviation
    after = noise.apply(dark, None, np.random.default_rng(0))[0].astype(float)
    assert after.std() == pytest.approx(3, rel=0.03)


def test_light_shifts_and_stretches():
    light = fixed("light", brightness=(0.1, 0.1), contrast=(0.5, 0.5))
    pixels = np.array([[[27, 127, 227]]], np.uint8)
    done = light.apply(pixels, None, np.random.default_rng(0))[0]
    np.testing.assert_allclose(done[0, 0], [102.75, 152.75, 202.75], atol=0.5)


def test_blur_lowers_contrast():
    pixels, _ = marked()
    noisy = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint8)
    done = fixed("blur", sigma=(1, 1)).apply(noisy, None, np.random.default_rng(0))[0]
    assert done.std() < 0.5 * noisy.std() and done.mean() == pytest.approx(noisy.mean(), abs=1)


@pytest.mark.parametrize("name", IMAGE_SWEEP)
def test_the_channels_of_a_sweep_draw_nothing(name):
    condition, (pixels, mask) = IMAGE_SWEEP[name].build(), marked()
    first, second = (condition.apply(pixels, mask, np.random.default_rng(s)) for s in (1, 2))
    np.testing.assert_array_equal(first[0], second[0])
    assert first[2] == second[2]


def test_the_sweep_is_the_documented_one():
    jpegs = {f"jpeg{q}" for q in (50, 60, 70, 80, 90, 95)}
    rescales = {f"rescale{f}" for f in ("0.5", "0.75", "1.25", "1.5")}
    assert set(IMAGE_SWEEP) == jpegs | rescales | {"screenshot", "social"}


def policy(**changes) -> ImageConditionPolicy:
    given = {
        "probability": 0.7,
        "max_stack": 2,
        "choose": [{"use": "crop"}, {"use": "rescale"}, {"use": "jpeg", "weight": 3}],
    }
    return ImageConditionPolicy.model_validate(given | changes)


def test_a_policy_draws_from_the_seed_alone_and_carries_the_mask():
    pixels, mask = marked()
    drawn = set()
    for seed in range(40):
        done, cut, applied = policy().apply(pixels, mask, seed)
        assert [a["use"] for a in applied] == [
            policy().choose[index].use for index in policy().draw(seed)
        ]
        assert done.shape == (*cut.shape, 3) and cut.any()
        assert overlap(done[..., 1] > 140, cut) > 0.85
        bare, none, same = policy().apply(pixels, None, seed)
        assert none is None and same == applied
        np.testing.assert_array_equal(bare, done)
        drawn.add(json.dumps(applied))
    assert len(drawn) > 20 and "[]" in drawn


def test_the_default_policy_changes_nothing():
    pixels, mask = marked()
    done, cut, applied = ImageConditionPolicy().apply(pixels, mask, 3)
    assert done is pixels and cut is mask and applied == ()


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"use": "jpg"}, "there is no image condition 'jpg'"),
        ({"use": "opus"}, "there is no image condition 'opus'"),
        ({"use": "jpeg", "params": {"q": 1}}, "its parameters are: quality, subsampling"),
        ({"use": "jpeg", "params": {"quality": [0, 50]}}, "leaves"),
        ({"use": "rescale", "params": {"interpolations": ["guess"]}}, "interpolations"),
    ],
)
def test_wrong_names_and_parameters_are_usage_errors_at_load(choice, says):
    with pytest.raises(UsageError) as caught:
        ImageConditionPolicy.model_validate({"probability": 0.5, "choose": [choice]})
    assert says in str(caught.value)
    with pytest.raises(UsageError):
        ImageConditionChoice.model_validate(choice).build()


def digests() -> dict[str, str]:
    pixels, mask = marked()
    found = {}
    for name in IMAGE_CONDITIONS.names():
        done, cut, drawn = fixed(name).apply(pixels, mask, np.random.default_rng(99))
        content = done.tobytes() + cut.tobytes() + json.dumps(drawn, sort_keys=True).encode()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def run_here(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPO,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_same_bytes_in_another_process():
    load = (
        "import importlib.util, json;"
        f"spec = importlib.util.spec_from_file_location('contract', {str(Path(__file__))!r});"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module);"
        "print(json.dumps(module.digests()))"
    )
    assert json.loads(run_here(load, PYTHONHASHSEED="17")) == digests()


def test_listing_image_conditions_imports_nothing_heavy():
    code = (
        "import sys; from forensics.conditions.image.base import IMAGE_CONDITIONS;"
        "IMAGE_CONDITIONS.names(); import forensics.conditions.image.draw;"
        "print([m for m in ('torch', 'cv2', 'PIL.Image', 'av') if m in sys.modules])"
    )
    assert run_here(code).strip() == "[]"
