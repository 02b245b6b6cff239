"""Editors through diffusers, one per calling convention: with a mask, and by instruction alone.

Any pipeline of diffusers that edits a picture by words can be named; `diffusers_pipeline` looks at
its signature. We crop, resize, resize back and paste ourselves, because several pipelines return
another size than they were asked for (QwenImageEditInpaint always about a megapixel).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.blend import feathered, pasted
from forensics.generators.image.diffusers_generator import DiffusersGenerator
from forensics.generators.image.diffusers_params import (
    DiffusersParams,
    InpaintParams,
    InstructParams,
)
from forensics.generators.image.diffusers_prompts import Manner, Words, words
from forensics.generators.image.diffusers_window import Window
from forensics.generators.image.requests import check_request, composite
from forensics.generators.speech.neural import seeded
from forensics.scenes.edit_plan import EditType


class DiffusersEditor(DiffusersGenerator, ImageEditor):
    """Base of both: shows the pipeline a part of the frame, and pastes what it makes.

    Attributes:
        manner: which templates it speaks in.
    """

    version = "1"
    edits: ClassVar[tuple[EditType, ...]] = (
        "removal", "targeted-replacement", "open-ended-replacement", "addition",
    )  # fmt: skip
    reads_instruction = True
    manner: ClassVar[Manner]
    params: DiffusersParams  # pyright: ignore[reportIncompatibleVariableOverride]

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        params, pipeline = self.params, self.loaded
        told = words(self.manner, request.plan, params.prompts)
        if params.negative_prompt is not None:
            told = Words(told.prompt, params.negative_prompt)
        if params.mode == "composite":
            window = Window.around(request.mask, params.context, pipeline.grid, params.size)
        else:
            window = Window.whole(request.mask, pipeline.grid, params.size)
        mask = window.mask(request.mask, pipeline.grid.cell) if self.takes == "mask" else None
        with seeded(request.seed, params.device, params.threads):
            made = pipeline(window.pixels(request.pixels), mask, told, request.seed)
        whole = window.back(made, request.pixels)
        details = {**self.origin, **self._described(window, made, told)}
        if params.mode == "regenerated":
            return Edited(whole, request.mask, "regenerated", details)
        alpha = feathered(request.mask, params.feather)
        return composite(self, request, pasted(request.pixels, whole, alpha), alpha > 0, details)

    def _described(self, window: Window, made: np.ndarray, told: Words) -> dict[str, Any]:
        given = {name: getattr(self.params, name) for name in ("steps", "guidance", "strength")}
        return {
            "pipeline": self.loaded.name,
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
    takes = "mask"
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
    takes = "picture"
    example = "timbrooks/instruct-pix2pix"
