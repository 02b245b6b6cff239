"""Every class of diffusers that users will name, tiny and with random weights, through our editors.

The random weights make rubbish; what is held here is that each class is called as it wants, and
that size, place and mode of what comes back are right.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from forensics.errors import MissingRequirement, UsageError
from forensics.generators.image.base import EDITORS, EditRequest
from forensics.generators.image.requests import CannotEdit
from forensics.scenes.edit_plan import EditPlan

HEIGHT, WIDTH = 90, 132
BOX = (50, 30, 82, 60)
MASKED = (
    "sd", "sd-4", "sdxl", "sd3", "flux-fill", "flux", "kontext-inpaint", "klein-inpaint",
    "qwen-inpaint", "z-image",
)  # fmt: skip
BY_WORDS = ("pix2pix", "pix2pix-xl", "kontext", "klein")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """`tiny("sd")` → the parameters that name that pipeline, built once."""
    pytest.importorskip("diffusers")
    from helpers import tiny_diffusers

    known = {}

    def build(family: str, **saved) -> dict[str, str]:
        key = (family, *saved)
        if key not in known:
            folder = tmp_path_factory.mktemp(family) / "pipeline"
            known[key] = tiny_diffusers.build(family, folder, **saved)
        return known[key]

    return build


@pytest.fixture(scope="session")
def request_():
    """A removal in a smooth frame."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    frame = np.stack([120 + 60 * np.sin(x / 15 + c) + 30 * np.cos(y / 11) for c in range(3)], -1)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    plan = EditPlan(
        edit="removal", target="car", instruction="Remove the car.", box=BOX, planner="test"
    )
    return EditRequest("k", 7, frame.astype(np.uint8), mask, plan)


def loaded(name: str, **params):
    editor = EDITORS.get(name)(**{"steps": 2, "size": 64, **params})
    assert editor.check() == []
    editor.load()
    return editor


@pytest.mark.parametrize("mode", ["composite", "regenerated"])
@pytest.mark.parametrize("family", [*MASKED, *BY_WORDS])
def test_every_class_edits_in_both_modes(family, mode, tiny, request_):
    name = "diffusers-inpaint" if family in MASKED else "diffusers-instruct"
    result = loaded(name, **tiny(family), mode=mode).edit(request_)
    changed = (result.pixels != request_.pixels).any(axis=2)
    assert result.mode == mode
    assert changed[result.mask].mean() > 0.5
    assert not (result.mask & ~request_.mask).any()
    if mode == "composite":
        assert not changed[~result.mask].any()
    else:
        assert changed[~result.mask].mean() > 0.5
        assert np.array_equal(result.mask, request_.mask)
        assert result.details["window"] == [0, 0, WIDTH, HEIGHT]
    json.dumps(result.details, allow_nan=False)
    assert "/" not in result.details["weights"]


@pytest.fixture
def small_qwen(monkeypatch):
    """Qwen-Image-Edit resizes to about a megapixel; here to a 256th of that, by the same code."""
    from diffusers.pipelines import qwenimage

    for module in ("edit", "edit_plus", "edit_inpaint"):
        where = getattr(qwenimage, f"pipeline_qwenimage_{module}")
        real = where.calculate_dimensions
        monkeypatch.setattr(
            where, "calculate_dimensions", lambda area, ratio, real=real: real(area // 256, ratio)
        )


@pytest.mark.parametrize("family", ["qwen-edit", "qwen-edit-plus", "qwen-edit-inpaint"])
def test_qwen_edits_whatever_size_it_returns(family, tiny, request_, small_qwen):
    name = "diffusers-inpaint" if family == "qwen-edit-inpaint" else "diffusers-instruct"
    result = loaded(name, **tiny(family), size=160).edit(request_)
    changed = (result.pixels != request_.pixels).any(axis=2)
    assert changed[result.mask].mean() > 0.5 and not changed[~result.mask].any()
    returned, asked = result.details["returned_size"], result.details["working_size"]
    assert (returned != asked) == (family == "qwen-edit-inpaint")


@pytest.mark.slow
def test_qwen_inpaints_at_its_own_megapixel(tiny, request_):
    result = loaded("diffusers-inpaint", **tiny("qwen-edit-inpaint"), steps=1).edit(request_)
    wide, high = result.details["returned_size"]
    assert 0.9 < wide * high / 1024**2 < 1.1
    assert result.pixels.shape == request_.pixels.shape


@pytest.mark.parametrize(
    ("family", "wanted"),
    [("kontext", "FluxKontextInpaintPipeline"), ("klein", "Flux2KleinInpaintPipeline")],
)
def test_a_folder_without_mask_is_loaded_as_the_class_that_inpaints(family, wanted, tiny, request_):
    result = loaded("diffusers-inpaint", **tiny(family)).edit(request_)
    assert result.details["pipeline"] == wanted


def test_the_mask_decides_where_an_inpainter_paints(tiny, request_):
    """Blended latents keep what is outside of the mask nearer to the original."""
    editor = loaded("diffusers-inpaint", **tiny("flux"), mode="regenerated", steps=4)
    far = np.abs(editor.edit(request_).pixels.astype(int) - request_.pixels).mean(axis=2)
    other = EditRequest("k", 7, request_.pixels, ~request_.mask, request_.plan)
    near = np.abs(editor.edit(other).pixels.astype(int) - request_.pixels).mean(axis=2)
    assert far[request_.mask].mean() > near[request_.mask].mean()


def test_words_and_seed_matter_and_both_are_recorded(tiny, request_):
    params = tiny("sd")
    first = loaded("diffusers-inpaint", **params, guidance=9.0).edit(request_)
    own = {"removal": {"prompt": "bare ground where a {target} was", "negative": "x"}}
    other = loaded("diffusers-inpaint", **params, guidance=9.0, prompts=own).edit(request_)
    assert other.details["prompt"] == "bare ground where a car was"
    assert other.details["negative_prompt"] == "x" and "car" in first.details["negative_prompt"]
    assert not np.array_equal(first.pixels, other.pixels)
    silenced = loaded("diffusers-inpaint", **params, negative_prompt="y").edit(request_)
    assert silenced.details["negative_prompt"] == "y"
    told = loaded("diffusers-instruct", **tiny("pix2pix")).edit(request_)
    assert told.details["prompt"].startswith("Remove the car.")


def test_a_safety_checker_that_strikes_is_a_reason(tiny, request_):
    editor = loaded("diffusers-inpaint", **tiny("sd"))
    pipe = editor._pipeline._pipe
    pipe.run_safety_checker = lambda image, device, dtype: (image, [True])
    with pytest.raises(CannotEdit, match="safety checker"):
        editor.edit(request_)


def test_another_aspect_is_a_reason(tiny, request_):
    editor = loaded("diffusers-inpaint", **tiny("sd"))
    real = editor._pipeline._pipe.image_processor.postprocess
    editor._pipeline._pipe.image_processor.postprocess = lambda *args, **named: real(
        *args, **named
    )[:, ::2]
    with pytest.raises(CannotEdit, match="aspect"):
        editor.edit(request_)


def test_pixels_that_are_no_numbers_are_a_reason(tiny, request_):
    import torch

    editor = loaded("diffusers-inpaint", **tiny("sd"))
    with torch.no_grad():
        editor._pipeline._pipe.vae.decoder.conv_out.bias.fill_(float("nan"))
    with pytest.raises(CannotEdit, match="no numbers"):
        editor.edit(request_)


@pytest.mark.parametrize(
    ("name", "family", "params", "said"),
    [
        ("diffusers-inpaint", "pix2pix", {}, "takes no mask"),
        ("diffusers-instruct", "sd", {}, "wants a mask"),
        ("diffusers-instruct", "pix2pix", {"strength": 0.5}, "no strength"),
        ("diffusers-inpaint", "flux-fill", {"negative_prompt": "x"}, "no negative_prompt"),
        ("diffusers-inpaint", "sd", {"true_cfg": 2.0}, "no true_cfg_scale"),
        ("diffusers-inpaint", "sd", {"pipeline": "NoSuchPipeline"}, "no pipeline NoSuchPipeline"),
        ("diffusers-inpaint", "sd", {"pipeline": "DDIMScheduler"}, "no pipeline DDIMScheduler"),
        ("diffusers-inpaint", "sd", {"device": "nowhere"}, "no device 'nowhere'"),
    ],
)
def test_what_does_not_fit_is_refused_when_loading(name, family, params, said, tiny):
    editor = EDITORS.get(name)(**tiny(family), **params)
    with pytest.raises(UsageError, match=said):
        editor.load()


def test_a_variant_that_is_not_there_is_missing(tiny):
    with pytest.raises(MissingRequirement, match="fp16"):
        EDITORS.get("diffusers-inpaint")(**tiny("sd"), variant="fp16").load()


def test_half_precision_and_variants_load(tiny, request_):
    saved = tiny("flux", variant="fp16")
    editor = loaded("diffusers-inpaint", **saved, variant="fp16", dtype="bfloat16")
    assert (editor.edit(request_).pixels != request_.pixels).any()


class TestRefusals:
    def folder(self, tmp_path: Path, **index) -> dict[str, str]:
        (tmp_path / "unet").mkdir()
        (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").touch()
        entries = {"_class_name": "StableDiffusionInpaintPipeline", **index}
        (tmp_path / "model_index.json").write_text(json.dumps(entries))
        return {"weights": str(tmp_path)}

    def said(self, params) -> str:
        (error,) = EDITORS.get("diffusers-inpaint")(**params).check()
        assert error.fix
        with pytest.raises(MissingRequirement):
            EDITORS.get("diffusers-inpaint")(**params).load()
        return error.what

    def test_a_sound_folder_has_nothing_to_refuse(self, tmp_path):
        params = self.folder(tmp_path, unet=["diffusers", "UNet2DConditionModel"], vae=[None, None])
        assert EDITORS.get("diffusers-inpaint")(**params).check() == []

    def test_pickled_weights(self, tmp_path):
        params = self.folder(tmp_path, unet=["diffusers", "UNet2DConditionModel"])
        (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").rename(
            tmp_path / "unet" / "diffusion_pytorch_model.bin"
        )
        assert "pickled" in self.said(params)

    @pytest.mark.parametrize("library", ["evil", "os", "unet_code", "../unet", ""])
    def test_parts_of_other_libraries(self, tmp_path, library):
        assert "not run" in self.said(self.folder(tmp_path, unet=[library, "UNet"]))

    def test_code_beside_the_weights(self, tmp_path):
        params = self.folder(tmp_path, unet=["diffusers", "UNet2DConditionModel"])
        (tmp_path / "unet" / "diffusers.py").write_text("raise SystemExit('ran')")
        assert "not run" in self.said(params)

    def test_a_pipeline_class_of_its_own(self, tmp_path):
        params = self.folder(tmp_path, _class_name=["pipeline", "MyPipeline"])
        (tmp_path / "pipeline.py").write_text("raise SystemExit('ran')")
        assert "not run" in self.said(params)

    def test_parts_that_are_missing(self, tmp_path):
        assert "vae is missing" in self.said(
            self.folder(tmp_path, vae=["diffusers", "AutoencoderKL"])
        )

    @pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
    def test_an_index_that_cannot_be_read(self, tmp_path, text):
        params = self.folder(tmp_path)
        (tmp_path / "model_index.json").write_text(text)
        assert "cannot be read" in self.said(params)

    def test_a_folder_without_index(self, tmp_path):
        assert "no model_index.json" in self.said({"weights": str(tmp_path)})


def test_what_is_not_here_comes_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    make = EDITORS.get("diffusers-inpaint")
    (unnamed,) = make().check()
    assert "stable-diffusion-inpainting" in unnamed.fix
    (absent,) = make(weights="someone/some-model", revision="main").check()
    assert absent.fix == "hf download someone/some-model --revision main"


def test_the_hub_is_asked_only_for_a_pinned_commit():
    make = EDITORS.get("diffusers-inpaint")
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        make(weights="someone/some-model", hub=True, revision="main")
    pinned = make(weights="someone/some-model-that-is-not-here", hub=True, revision="a" * 40)
    assert pinned.check() == [] and pinned.fingerprint() == f"{pinned.version}-{'a' * 40}"


def test_the_fingerprint_follows_the_weights(tiny, tmp_path):
    import shutil

    make = EDITORS.get("diffusers-inpaint")
    copy = tmp_path / "copy"
    shutil.copytree(tiny("sd")["weights"], copy)
    before = make(**tiny("sd")).fingerprint()
    assert make(weights=str(copy)).fingerprint() == before
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.02", "0.03").replace("0.0001", "0.0002"))
    assert make(weights=str(copy)).fingerprint() != before


def test_templates_with_other_holes_are_refused():
    with pytest.raises(ValueError, match="none of target"):
        EDITORS.get("diffusers-inpaint")(prompts={"removal": {"prompt": "{target.__class__}"}})
    with pytest.raises(ValueError):
        EDITORS.get("diffusers-inpaint")(prompts={"repainting": {"prompt": "x"}})
