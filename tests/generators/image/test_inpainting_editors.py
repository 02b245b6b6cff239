"""Inpainting by patches and by the project's own diffusion model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import tiny_inpainter

from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.generators.image.base import EDITORS, EditRequest
from forensics.generators.image.patch_inpaint import offsets
from forensics.generators.image.requests import CannotEdit
from forensics.scenes.edit_plan import EditPlan
from forensics.scenes.regions import box_of


def stripes(height: int = 90, width: int = 120) -> np.ndarray:
    """Vertical stripes of a period of 12 pixels, grey and brown."""
    _, x = np.mgrid[:height, :width]
    light = np.where(x % 12 < 5, 60, 190).astype(np.uint8)
    return np.stack([light, light, 255 - light], axis=2)


def request(pixels: np.ndarray, where=np.s_[30:62, 40:75], seed: int = 0) -> EditRequest:
    mask = np.zeros(pixels.shape[:2], bool)
    mask[where] = True
    damaged = pixels.copy()
    damaged[where] = [220, 30, 40]
    plan = EditPlan(
        edit="removal", target="block", instruction="x", box=box_of(mask), planner="test"
    )
    return EditRequest("k", seed, damaged, mask, plan)


def made(name: str, asked: EditRequest, **params):
    editor = EDITORS.get(name)(**params)
    assert not editor.check()
    editor.load()
    return editor.edit(asked)


@pytest.mark.parametrize("where", [np.s_[30:62, 40:75], np.s_[0:30, 50:80], np.s_[60:90, 95:120]])
def test_patches_continue_a_regular_texture(where):
    truth = stripes()
    result = made("patch-inpaint", request(truth, where), feather=(0, 0))
    off = np.abs(result.pixels.astype(int) - truth).max(axis=2)
    assert (off[result.mask] > 8).mean() < 0.02


def test_patches_of_a_large_hole_are_matched_small_and_copied_whole():
    truth = np.kron(stripes(), np.ones((3, 3, 1), np.uint8))
    grain = np.random.default_rng(0).integers(-6, 7, truth.shape)
    truth = np.clip(truth + grain, 0, 255).astype(np.uint8)
    asked = request(truth, np.s_[90:190, 120:230])
    result = made("patch-inpaint", asked, side=40, feather=(0, 0))
    assert result.details["scale"] < 0.5
    inner = np.zeros_like(asked.mask)
    inner[110:170, 140:210] = True
    colours = {tuple(p) for p in asked.pixels[~asked.mask]}
    assert all(tuple(p) in colours for p in result.pixels[inner])  # copied, not averaged
    sharp = [cv2.Laplacian(p[..., 0], cv2.CV_32F)[inner].std() for p in (result.pixels, truth)]
    assert sharp[0] > 0.8 * sharp[1]


def test_offsets_point_outside_of_the_hole():
    pixels, hole = stripes(40, 50), np.zeros((40, 50), bool)
    hole[0:18, 20:50] = True
    found = offsets(pixels, hole, 7)
    assert found is not None
    rows, columns, count = found
    assert count > 5 and not hole[rows[hole], columns[hole]].any()
    y, x = np.indices(hole.shape)
    assert (rows[~hole] == y[~hole]).all() and (columns[~hole] == x[~hole]).all()
    assert offsets(pixels, np.ones_like(hole), 7) is None


def test_no_whole_patch_around_is_an_error():
    with pytest.raises(CannotEdit, match="no whole patch"):
        made("patch-inpaint", request(stripes(30, 30), np.s_[3:-3, 3:-3]))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return tiny_inpainter.build(tmp_path_factory.mktemp("inpainter") / "w")


@pytest.mark.parametrize("seam", ["gradients", "plain"])
def test_the_own_inpainter_fills_a_window(seam, weights):
    asked = request(stripes(200, 260), np.s_[40:150, 60:190], seed=3)
    result = made("own-inpainter", asked, weights=weights, steps=(2, 2), seam=seam, longest=64)
    assert result.details["reduced"] == 64 and result.details["seam"] == seam
    assert (result.pixels != asked.pixels).any(axis=2)[asked.mask].mean() > 0.9
    assert np.array_equal(result.pixels[~result.mask], asked.pixels[~result.mask])


def test_gradients_leave_no_step_at_the_border(weights):
    grey = np.full((80, 80, 3), 200, np.uint8)
    asked = request(grey, np.s_[25:55, 25:55])
    plain = {"weights": weights, "steps": (2, 2), "noise": 0, "feather": (0, 0), "grow": (2, 2)}
    rims = {}
    for seam in ("gradients", "plain"):
        result = made("own-inpainter", asked, seam=seam, **plain)
        hole = result.mask.astype(np.uint8)
        rim = result.mask & ~cv2.erode(hole, np.ones((3, 3), np.uint8)).astype(bool)
        rims[seam] = float(result.pixels[rim].mean())
    assert abs(rims["gradients"] - 200) < abs(rims["plain"] - 200)


def test_weights_that_are_not_there_say_how_to_get_them(tmp_path, weights):
    editor = EDITORS.get("own-inpainter")(weights=str(tmp_path))
    (missing,) = editor.check()
    assert "forensics train inpainter" in missing.fix
    with pytest.raises(MissingRequirement):
        editor.load()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UsageError, match="not an inpainter"):
        editor.load()
    config = (Path(weights) / "config.json").read_bytes()
    (tmp_path / "config.json").write_bytes(config)
    with pytest.raises(CorpusError, match="does not match"):
        editor.load()
