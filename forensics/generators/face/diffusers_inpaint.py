"""Inpainting of the face through diffusers: another face where the old one was."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.draws import pick
from forensics.faces.align import crop_to_picture
from forensics.generators.base import GeneratorParams
from forensics.generators.face.base import FaceForger, FaceRequest, register_forger
from forensics.generators.face.requests import check_request, composite
from forensics.generators.face.shapes import FaceShape
from forensics.generators.image.base import Edited, EditMode
from forensics.generators.image.blend import pasted
from forensics.generators.image.diffusers_generator import DiffusersGenerator
from forensics.generators.image.diffusers_params import PipelineParams
from forensics.generators.image.diffusers_prompts import Words
from forensics.generators.image.diffusers_window import Window
from forensics.generators.speech.neural import seeded


class FaceInpaintParams(PipelineParams):
    """As `PipelineParams`, and:

    Attributes:
        prompt: for requests that bring none.
        part: what is painted anew; "drawn" takes one.
        context: share of the mask's longer side that is shown to the model on each side of it.
        mode: "composite" pastes the face back, "regenerated" keeps the pipeline's whole picture.
    """

    strength: float | None = Field(default=1.0, gt=0, le=1)
    negative_prompt: str | None = "deformed, cartoon, painting, text"
    prompt: str = "a photograph of a person's face, natural light, sharp focus"
    part: Literal["face", "inner", "eyes", "mouth", "drawn"] = "drawn"
    context: float = Field(default=0.6, ge=0, le=8)
    mode: EditMode = "composite"


@register_forger
class FaceInpaint(DiffusersGenerator, FaceForger):
    """Any pipeline of diffusers that takes `image` and `mask_image` paints the face anew; below
    full strength it keeps something of the old one.

    Details: weights and their licence, `pipeline`, `prompt`, `window` (box), and those of
    `FaceShape`.
    """

    name = "face-inpaint"
    version = "1"
    kind = "regeneration"
    summary = "The face painted anew by any diffusers pipeline that takes a mask"
    reads_prompt = True
    Params: ClassVar[type[GeneratorParams]] = FaceInpaintParams
    params: FaceInpaintParams  # pyright: ignore[reportIncompatibleVariableOverride]
    takes = "mask"
    example = "stable-diffusion-v1-5/stable-diffusion-inpainting"

    def forge(self, request: FaceRequest) -> Edited:
        check_request(self, request)
        rng, params, target = np.random.default_rng(request.seed), self.params, request.target
        part = pick(rng, ("face", "inner", "eyes", "mouth"))
        if params.part != "drawn":
            part = params.part
        shape = FaceShape.draw(rng, part)
        alpha = shape.alpha(crop_to_picture(target.face), target.pixels.shape)
        mask, grid = alpha > 0, self.loaded.grid
        if params.mode == "composite":
            window = Window.around(mask, params.context, grid, params.size)
        else:
            window = Window.whole(mask, grid, params.size)
        told = Words(request.prompt or params.prompt, params.negative_prompt or " ")
        with seeded(request.seed, params.device, params.threads):
            made = self.loaded(
                window.pixels(target.pixels), window.mask(mask, grid.cell), told, request.seed
            )
        whole = window.back(made, target.pixels)
        details: dict[str, Any] = {
            **self.origin,
            "pipeline": self.loaded.name,
            "prompt": told.prompt,
            "window": list(window.box),
            **shape.details(),
        }
        if params.mode == "regenerated":
            return Edited(whole, mask, "regenerated", details)
        return composite(self, request, pasted(target.pixels, whole, alpha), mask, details)
