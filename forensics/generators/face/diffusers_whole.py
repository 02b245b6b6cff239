"""Whole pictures of people through diffusers: from words, and after photos of the person."""

from __future__ import annotations

from typing import Any, ClassVar

import cv2
import numpy as np

from forensics.generators.base import GeneratorParams
from forensics.generators.face.base import FaceForger, FaceRequest, Portrait, register_forger
from forensics.generators.face.requests import check_request, is_grey
from forensics.generators.image.base import Edited
from forensics.generators.image.diffusers_generator import DiffusersGenerator
from forensics.generators.image.diffusers_params import PipelineParams
from forensics.generators.image.diffusers_prompts import Words
from forensics.generators.image.diffusers_window import Window, resized
from forensics.generators.image.requests import cut
from forensics.generators.speech.neural import seeded
from forensics.scenes.regions import Box


class WholeFaceParams(PipelineParams):
    """As `PipelineParams`, and:

    Attributes:
        prompt: for requests that bring none.
    """

    prompt: str = "a press photograph of a person, head and shoulders, natural light"
    negative_prompt: str | None = "deformed, cartoon, painting, text"


class WholeFaceForger(DiffusersGenerator, FaceForger):
    """Base: the result is a new picture of the target's size, grey where the target is; its mask is
    all of it."""

    version = "1"
    reads_prompt = True
    Params: ClassVar[type[GeneratorParams]] = WholeFaceParams
    params: WholeFaceParams  # pyright: ignore[reportIncompatibleVariableOverride]

    def forge(self, request: FaceRequest) -> Edited:
        check_request(self, request)
        target, params = request.target, self.params
        mask = np.ones(target.pixels.shape[:2], bool)
        window = Window.whole(mask, self.loaded.grid, params.size)
        told = Words(request.prompt or params.prompt, params.negative_prompt or " ")
        rng = np.random.default_rng(request.seed)
        index = int(rng.random() * len(request.donors)) if request.donors else None
        with seeded(request.seed, params.device, params.threads):
            donor = request.donors[index] if index is not None else None
            made = self._painted(window.size, told, request.seed, donor)
        whole = window.back(made, target.pixels)
        if is_grey([target]):
            whole = np.repeat(cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        details: dict[str, Any] = {
            **self.origin,
            "pipeline": self.loaded.name,
            "prompt": told.prompt,
            "returned_size": [made.shape[1], made.shape[0]],
        }
        if index is not None:
            details["donor"] = index
        return Edited(whole, mask, "regenerated", details)

    def _painted(
        self, size: tuple[int, int], told: Words, seed: int, donor: Portrait | None
    ) -> np.ndarray:
        """uint8 (h, w, 3) of about `size` (width, height)."""
        return self.loaded.paint(size, told, seed)


@register_forger
class FaceText2Image(WholeFaceForger):
    """Nobody's face: any pipeline of diffusers that paints from words.

    Details: weights and their licence, `pipeline`, `prompt`, `returned_size`.
    """

    name = "face-text2image"
    kind = "fullsynth"
    summary = "A whole picture of a person from words, by any text-to-image pipeline of diffusers"
    takes = "words"
    example = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@register_forger
class FaceReference(WholeFaceForger):
    """The person of a photo in a new picture, by a pipeline that takes a picture and words: FLUX
    Kontext, FLUX.2, Qwen-Image-Edit. Stands where PhotoMaker would, which diffusers does not have.

    Details: as of `face-text2image`, and `donor` (index of the photo among the request's).
    """

    name = "face-reference"
    kind = "idpreserve"
    summary = "The person of a photo in a new picture, by a diffusers pipeline that edits by words"
    donors = "same"
    takes = "picture"
    example = "black-forest-labs/FLUX.1-Kontext-dev"

    def _painted(
        self, size: tuple[int, int], told: Words, seed: int, donor: Portrait | None
    ) -> np.ndarray:
        assert donor is not None  # check_request
        shown = cut(donor.pixels, _framed(donor, size))
        return self.loaded(resized(np.ascontiguousarray(shown), size), None, told, seed)


def _framed(portrait: Portrait, size: tuple[int, int]) -> Box:
    """The largest box of that aspect in the photo, the face as near its middle as can be."""
    height, width = portrait.pixels.shape[:2]
    scale = min(width / size[0], height / size[1])
    across, down = max(int(size[0] * scale), 1), max(int(size[1] * scale), 1)
    left, top, right, bottom = portrait.face.box
    x = int(np.clip((left + right - across) // 2, 0, width - across))
    y = int(np.clip((top + bottom - down) // 2, 0, height - down))
    return x, y, x + across, y + down
