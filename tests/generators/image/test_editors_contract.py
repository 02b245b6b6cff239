"""What every registered editor keeps, whoever wrote it.

An editor that is ready as it is gets tested without further ado. One that needs weights is tested
when `READY_PARAMS` says how to make it ready: a new one adds its line there, and its name to
`DRAWS_NOTHING` where that holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from forensics.errors import ForensicsError
from forensics.generators.image.base import (
    EDITORS,
    Edited,
    EditMode,
    EditRequest,
    ImageKind,
)
from forensics.scenes.camera import Camera
from forensics.scenes.edit_plan import EditPlan, EditType
from forensics.scenes.regions import box_of


@dataclass(frozen=True)
class Materials:
    """`shared("weights")`: that folder of the shared data, or a skip. `folder`: empty, to fill."""

    shared: Callable[[str], Path]
    folder: Path


def _tiny_pipeline(family: str) -> Callable[[Materials], dict[str, Any]]:
    """A diffusers pipeline with random weights, of `helpers.tiny_diffusers`."""

    def make(materials: Materials) -> dict[str, Any]:
        from helpers import tiny_diffusers

        named = tiny_diffusers.build(family, materials.folder / "pipeline")
        return {**named, "steps": 1, "size": 64}

    return make


def _taef2(materials: Materials) -> dict[str, Any]:
    from helpers import tiny_autoencoders

    return {"weights": tiny_autoencoders.taef2(materials.folder / "taef2")}


def _inpainter(materials: Materials) -> dict[str, Any]:
    from helpers import tiny_inpainter

    return {"weights": tiny_inpainter.build(materials.folder / "inpainter"), "steps": (2, 2)}


READY_PARAMS: dict[str, Callable[[Materials], dict[str, Any]]] = {
    "latent": _taef2,
    "own-inpainter": _inpainter,
    "regenerate": _taef2,
    "diffusers-inpaint": _tiny_pipeline("sd"),
    "diffusers-instruct": _tiny_pipeline("pix2pix"),
}
"""Editor → its parameters, from weights that lie here or that are built on the spot."""

DRAWS_NOTHING: set[str] = set()
"""Editors whose result depends on the request alone: every seed gives the same."""

NAMES = EDITORS.names()
SIZES = ((96, 128), (61, 83))  # the second odd in both


def scene(height: int, width: int, count: int = 5, seed: int = 0) -> Camera:
    """A textured background, before which a striped block moves from left to right."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = np.stack([90 + 50 * np.sin(x / 9 + c) + 40 * np.cos(y / 7 - c) for c in range(3)], -1)
    base += rng.normal(0, 6, base.shape)
    frames = []
    for at in np.linspace(0.12, 0.8, count):
        frame = base + rng.normal(0, 2, base.shape)
        left, top = round(at * width), round(0.35 * height)
        right, bottom = left + max(width // 8, 1), top + max(height // 3, 1)
        frame[top:bottom, left:right] = [230, 40, 30]
        frame[top:bottom:3, left:right] = [20, 30, 200]
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return Camera(tuple(frames))


def request_for(name: str, edit: EditType, height: int, width: int, seed: int = 5) -> EditRequest:
    """The moving block for a removal or replacement, free ground for an addition."""
    camera = scene(height, width)
    pixels = camera.frames[2]
    mask = np.zeros((height, width), bool)
    if edit == "addition":
        mask[
            round(0.55 * height) : round(0.9 * height), round(0.1 * width) : round(0.3 * width)
        ] = 1
    else:
        left, top = round(0.46 * width), round(0.35 * height)
        mask[top - 2 : top + height // 3 + 2, left - 2 : left + width // 8 + 2] = True
    plan = EditPlan(
        edit=edit,
        target="road" if edit == "addition" else "moving object",
        replacement="" if edit == "removal" else "box",
        instruction="Change what is marked.",
        box=box_of(mask),
        planner="test",
    )
    return EditRequest(f"{name}-{edit}", seed, pixels, mask, plan, camera)


@pytest.fixture(scope="session")
def loaded(shared_data, tmp_path_factory):
    """`loaded("copy-move")` → the editor, loaded; or a skip that says what is missing."""
    known: dict[str, Any] = {}

    def make(name: str):
        if name not in known:
            params = READY_PARAMS.get(name, lambda _: {})
            editor = EDITORS.get(name)(
                **params(Materials(shared_data, tmp_path_factory.mktemp(name)))
            )
            if lacking := editor.check():
                pytest.skip("; ".join(str(error) for error in lacking))
            editor.load()
            known[name] = editor
        return known[name]

    return make


@pytest.fixture(scope="session")
def edited(loaded):
    """`edited(name, edit, size)` → request and result, made once."""
    known: dict[Any, tuple[EditRequest, Edited]] = {}

    def make(name: str, edit: EditType, size: tuple[int, int]) -> tuple[EditRequest, Edited]:
        if (name, edit, size) not in known:
            request = request_for(name, edit, *size)
            known[name, edit, size] = request, loaded(name).edit(request)
        return known[name, edit, size]

    return make


CASES = [(name, edit) for name in NAMES for edit in EDITORS.get(name).edits]


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name):
    cls = EDITORS.get(name)
    assert cls.kind in get_args(ImageKind)
    assert cls.edits and set(cls.edits) <= set(get_args(EditType))
    assert cls.summary and "\n" not in cls.summary and not cls.summary.endswith(".")
    assert cls.licence and cls.version
    assert all(error.fix for error in cls().check())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "edit"), CASES)
def test_the_result_is_a_frame_with_its_mask(name, edit, size, edited):
    request, result = edited(name, edit, size)
    assert result.pixels.shape == request.pixels.shape and result.pixels.dtype == np.uint8
    assert result.mask.shape == size and result.mask.dtype == np.bool_
    assert result.mask.any() and not result.mask.all()
    assert result.mode in get_args(EditMode)
    changed = (result.pixels != request.pixels).any(axis=2)
    assert changed[result.mask].mean() > 0.02
    if result.mode == "composite":
        assert not changed[~result.mask].any()
    assert json.loads(json.dumps(result.details, allow_nan=False)) == result.details


@pytest.mark.parametrize(("name", "edit"), CASES)
def test_the_mask_lies_where_the_edit_was_wanted(name, edit, edited):
    request, result = edited(name, edit, SIZES[0])
    both = (result.mask & request.mask).sum()
    assert both >= 0.25 * min(result.mask.sum(), request.mask.sum())


@pytest.mark.parametrize(("name", "edit"), CASES)
def test_the_same_request_gives_the_same_result(name, edit, edited, loaded):
    request, result = edited(name, edit, SIZES[0])
    kept = request.pixels.copy(), request.mask.copy(), [f.copy() for f in request.camera.frames]
    again = loaded(name).edit(request)
    assert np.array_equal(again.pixels, result.pixels)
    assert np.array_equal(again.mask, result.mask)
    assert again.details == result.details and again.mode == result.mode
    assert np.array_equal(kept[0], request.pixels) and np.array_equal(kept[1], request.mask)
    assert all(map(np.array_equal, kept[2], request.camera.frames))


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_matters(name, edited, loaded):
    edit = EDITORS.get(name).edits[0]
    request, result = edited(name, edit, SIZES[0])
    others = [loaded(name).edit(replace(request, seed=seed)).pixels for seed in (6, 7, 8)]
    same = all(np.array_equal(other, result.pixels) for other in others)
    assert same == (name in DRAWS_NOTHING)


@pytest.mark.parametrize("name", NAMES)
def test_read_only_arrays_are_enough(name, edited, loaded):
    edit = EDITORS.get(name).edits[0]
    request, result = edited(name, edit, SIZES[0])
    frames = tuple(f.copy() for f in request.camera.frames)
    pixels, mask = request.pixels.copy(), request.mask.copy()
    for array in (pixels, mask, *frames):
        array.setflags(write=False)
    locked = replace(request, pixels=pixels, mask=mask, camera=Camera(frames))
    assert np.array_equal(loaded(name).edit(locked).pixels, result.pixels)


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_that_it_does_not_have_is_refused(name, loaded):
    cls = EDITORS.get(name)
    for edit in set(get_args(EditType)) - set(cls.edits):
        with pytest.raises(ForensicsError, match=edit):
            loaded(name).edit(request_for(name, edit, *SIZES[0]))


@pytest.mark.parametrize("name", NAMES)
def test_without_other_frames(name, loaded):
    cls = EDITORS.get(name)
    request = replace(request_for(name, cls.edits[0], *SIZES[0]), camera=None)
    if cls.needs_camera:
        with pytest.raises(ForensicsError, match="frames"):
            loaded(name).edit(request)
    else:
        assert loaded(name).edit(request).mask.any()


BROKEN = {
    "empty mask": lambda r: replace(r, mask=np.zeros_like(r.mask)),
    "mask of another size": lambda r: replace(r, mask=r.mask[:-1]),
    "mask of numbers": lambda r: replace(r, mask=r.mask.astype(np.uint8)),
    "float pixels": lambda r: replace(r, pixels=r.pixels / 255),
    "grey pixels": lambda r: replace(r, pixels=r.pixels[..., 0]),
    "camera of another size": lambda r: replace(r, camera=Camera((r.pixels[:-2],))),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("name", NAMES)
def test_a_broken_request_is_refused(name, broken, loaded):
    request = BROKEN[broken](request_for(name, EDITORS.get(name).edits[0], *SIZES[0]))
    with pytest.raises(ForensicsError):
        loaded(name).edit(request)


FRAMES = {"one row": (1, 90), "one column": (70, 1), "one pixel": (1, 1), "tiny": (7, 9)}


@pytest.mark.parametrize("shape", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize(("name", "edit"), CASES)
def test_frames_of_odd_shapes_give_a_result_or_an_error_that_says_why(name, edit, shape, loaded):
    camera = scene(*shape)
    mask = np.zeros(shape, bool)
    mask[: max(shape[0] // 2, 1), : max(shape[1] // 2, 1)] = True
    request = request_for(name, edit, *SIZES[0])
    request = replace(request, pixels=camera.frames[2], mask=mask, camera=camera)
    holds(loaded(name), request)


MASKS = {
    "one pixel": np.s_[40:41, 50:51],
    "a line": np.s_[40:41, 10:90],
    "a corner": np.s_[:20, :20],
    "the lower edge": np.s_[80:, :],
    "nearly all": np.s_[1:, 1:],
    "all": np.s_[:, :],
}


@pytest.mark.parametrize("where", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(("name", "edit"), CASES)
def test_masks_of_odd_shapes_give_a_result_or_an_error_that_says_why(name, edit, where, loaded):
    request = request_for(name, edit, *SIZES[0])
    mask = np.zeros_like(request.mask)
    mask[where] = True
    holds(loaded(name), replace(request, mask=mask))


@pytest.mark.parametrize(("name", "edit"), CASES)
def test_a_grey_flat_scene_gives_a_result_or_an_error_that_says_why(name, edit, loaded):
    request = request_for(name, edit, *SIZES[0])
    flat = np.full_like(request.pixels, 128)
    holds(loaded(name), replace(request, pixels=flat, camera=Camera((flat,) * 4)))


def holds(editor, request: EditRequest) -> None:
    """A sound result, or an error of ours with a way out."""
    try:
        result = editor.edit(request)
    except ForensicsError as error:
        assert error.fix
        return
    assert result.pixels.shape == request.pixels.shape
    assert result.mask.any()
    if result.mode == "composite":
        assert np.array_equal(result.pixels[~result.mask], request.pixels[~result.mask])
