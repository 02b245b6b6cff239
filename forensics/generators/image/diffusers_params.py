"""What a user may set of an engine through diffusers."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import EditMode
from forensics.generators.image.diffusers_prompts import Template
from forensics.scenes.edit_plan import EditType

_COMMIT = re.compile(r"[0-9a-f]{40}")


class PipelineParams(GeneratorParams):
    """Which pipeline, where it runs and how. None leaves a choice to the pipeline.

    Attributes:
        weights: a local pipeline folder (it has a model_index.json), or a hub id.
        weights_licence: licence of the weights; recorded with every item.
        pipeline: diffusers class to load the folder as; None: the one its model_index.json names,
            or that one's counterpart with a mask.
        revision: branch, tag or commit of a hub id.
        variant: kind of weight files, e.g. "fp16".
        hub: download what is not in the local cache. `revision` must then be a whole commit, so
            that the plan says what is loaded.
        dtype: of the weights; float16 and bfloat16 are for GPUs.
        device: a torch device; pixels differ in their last bits between devices.
        offload: keep on the GPU only the model ("model") or the layer ("layer") that runs now.
        threads: CPU threads.
        steps: denoising steps.
        guidance: `guidance_scale`; true_cfg: `true_cfg_scale`; image_guidance:
            `image_guidance_scale` (InstructPix2Pix).
        strength: 0 to 1, how much noise the original gets; 1 keeps nothing of it.
        negative_prompt: what shall not be seen; replaces the templates' negative.
        size: pixels; the model works at about `size`² pixels. None: its own training size.
    """

    weights: str | None = None
    weights_licence: str = "unknown: see the card of the weights"
    pipeline: str | None = None
    revision: str | None = None
    variant: str | None = None
    hub: bool = False
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    device: str = "cpu"
    offload: Literal["none", "model", "layer"] = "none"
    threads: int = Field(default=1, ge=1)
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0)
    true_cfg: float | None = Field(default=None, ge=0)
    image_guidance: float | None = Field(default=None, ge=0)
    strength: float | None = Field(default=None, gt=0, le=1)
    negative_prompt: str | None = None
    size: int | None = Field(default=None, ge=64, le=4096)

    @model_validator(mode="after")
    def _pinned(self) -> PipelineParams:
        if self.hub and not _COMMIT.fullmatch(self.revision or ""):
            raise ValueError("hub: true needs a revision of 40 hexadecimal digits: a commit")
        return self


class DiffusersParams(PipelineParams):
    """Parameters of every editor through diffusers: as `PipelineParams`, and:

    Attributes:
        prompts: templates by edit type, in place of the shipped ones.
        context: share of the mask's longer side that is shown to the model on each side of it, in
            composite mode.
        feather: pixels within the mask over which the edit is blended in, in composite mode.
        mode: "composite" pastes the edit back, "regenerated" keeps the pipeline's whole frame.
    """

    prompts: dict[EditType, Template] = {}
    context: float = Field(default=0.5, ge=0, le=8)
    feather: int = Field(default=3, ge=0, le=64)
    mode: EditMode = "composite"


class InpaintParams(DiffusersParams):
    """Parameters of `diffusers-inpaint`: as `DiffusersParams`, at full strength."""

    strength: float | None = Field(default=1.0, gt=0, le=1)


class InstructParams(DiffusersParams):
    """Parameters of `diffusers-instruct`: as `DiffusersParams`, with more context, because the
    model finds its object by words."""

    context: float = Field(default=1.0, ge=0, le=8)
