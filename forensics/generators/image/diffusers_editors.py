"""Editors through diffusers, one per calling convention: with a mask, and by instruction alone.

Any pipeline of diffusers that edits a picture by words can be named; `diffusers_pipeline` looks at
its signature. We crop, resize, resize back and paste ourselves, because several pipelines return
another size than they were asked for (QwenImageEditInpaint always about a megapixel).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.blend import feathered, pasted
from forensics.generators.image.diffusers_params import (
    DiffusersParams,
    InpaintParams,
    InstructParams,
)
from forensics.generators.image.diffusers_pipeline import Pipeline
from forensics.generators.image.diffusers_prompts import Manner, Words, words
from forensics.generators.image.diffusers_weights import PipelineWeights, identity
from forensics.generators.image.diffusers_window import Window
from forensics.generators.image.requests import check_request, composite
from forensics.generators.speech.neural import seeded
from forensics.requirements import Package, Requirement
from forensics.scenes.edit_plan import EditType


class DiffusersEditor(ImageEditor):
    """Base of both: finds and loads the pipeline, and pastes what it makes.

    Attributes:
        manner: which templates it speaks in.
        with_mask: whether its pipelines take a mask.
        example: a hub id, for messages.
    """

    version = "1"
    edits: ClassVar[tuple[EditType, ...]] = (
        "removal", "targeted-replacement", "open-ended-replacement", "addition",
    )  # fmt: skip
    reads_instruction = True
    licence = "Apache-2.0 (diffusers); weights: see parameter weights_licence"
    manner: ClassVar[Manner]
    with_mask: ClassVar[bool]
    example: ClassVar[str]
    params: DiffusersParams

    def requirements(self) -> tuple[Requirement, ...]:
        needed: tuple[Requirement, ...] = (Package("diffusers", "diffusers>=0.40"), self._weights())
        if self.params.offload != "none":
            needed += (Package("accelerate", "accelerate"),)
        return needed

    def fingerprint(self) -> str:
        if self.params.hub:  # the commit is known before anything is downloaded
            return f"{self.version}-{self.params.revision}"
        return f"{self.version}-{identity(self._weights().folder())}"

    def load(self) -> None:
        folder = self._weights().folder()
        self._origin = _origin(self.params, folder)
        self._pipeline = Pipeline(folder, self.params, self.with_mask)

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        params, pipeline = self.params, self._pipeline
        told = words(self.manner, request.plan, params.prompts)
        if params.negative_prompt is not None:
            told = Words(told.prompt, params.negative_prompt)
        if params.mode == "composite":
            window = Window.around(request.mask, params.context, pipeline.grid, params.size)
        else:
            window = Window.whole(request.mask, pipeline.grid, params.size)
        mask = window.mask(request.mask, pipeline.grid.cell) if self.with_mask else None
        with seeded(request.seed, params.device, params.threads):
            made = pipeline(window.pixels(request.pixels), mask, told, request.seed)
        whole = window.back(made, request.pixels)
        details = {**self._origin, **self._described(window, made, told)}
        if params.mode == "regenerated":
            return Edited(whole, request.mask, "regenerated", details)
        alpha = feathered(request.mask, params.feather)
        return composite(self, request, pasted(request.pixels, whole, alpha), alpha > 0, details)

    def _weights(self) -> PipelineWeights:
        named = self.params
        return PipelineWeights(
            named.weights, named.revision, named.variant, named.hub, example=self.example
        )

    def _described(self, window: Window, made: np.ndarray, told: Words) -> dict[str, Any]:
        given = {name: getattr(self.params, name) for name in ("steps", "guidance", "strength")}
        return {
            "pipeline": self._pipeline.name,
            "prompt": told.prompt,
            "negative_prompt": told.negative,
            **{name: value for name, value in given.items() if value is not None},
            "window": list(window.box),
            "working_size": list(window.size),
            "returned_size": [made.shape[1], made.shape[0]],
        }


@register_editor
class DiffusersInpaint(DiffusersEditor):
    """Inpainting with a mask: SD, SDXL, SD3, FLUX Fill, FLUX, Kontext, FLUX.2 Klein, Qwen-Image,
    Qwen-Image-Edit, Z-Image, and whatever else of diffusers takes `image` and `mask_image`."""

    name = "diffusers-inpaint"
    kind = "inpaint"
    summary = "any diffusers pipeline that takes a mask (SD, SDXL, SD3, FLUX, Qwen-Image, Z-Image)"
    Params: ClassVar[type[GeneratorParams]] = InpaintParams
    manner = "inpaint"
    with_mask = True
    example = "stable-diffusion-v1-5/stable-diffusion-inpainting"


@register_editor
class DiffusersInstruct(DiffusersEditor):
    """Editing by instruction, without a mask: InstructPix2Pix, Kontext, FLUX.2, Qwen-Image-Edit.

    The mask of the result is the region of the plan. In regenerated mode the model may change more
    than that: the mask then says what was meant, not what differs.
    """

    name = "diffusers-instruct"
    kind = "instruction"
    summary = "any diffusers pipeline that edits by instruction (InstructPix2Pix, Kontext, FLUX.2)"
    Params: ClassVar[type[GeneratorParams]] = InstructParams
    manner = "instruct"
    with_mask = False
    example = "timbrooks/instruct-pix2pix"


def _origin(params: DiffusersParams, folder: Path) -> dict[str, Any]:
    """Which weights; of a local folder its name only: paths are nobody's business."""
    local = params.weights is not None and Path(params.weights).expanduser().is_dir()
    return {
        "weights": folder.name if local else params.weights,
        "weights_id": identity(folder),
        "weights_licence": params.weights_licence,
    }
