"""Regeneration of a face, or of a part of it, through a latent autoencoder."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np

from forensics.draws import Range, pick, uniform, within
from forensics.faces.align import crop_to_picture
from forensics.generators.base import GeneratorParams
from forensics.generators.face.base import FaceForger, FaceRequest, register_forger
from forensics.generators.face.requests import check_request, composite
from forensics.generators.face.shapes import FaceShape
from forensics.generators.image.autoencoder_editor import AutoencoderGenerator, AutoencoderParams
from forensics.generators.image.base import Edited, EditMode
from forensics.generators.image.blend import pasted
from forensics.generators.image.latent import on_grid
from forensics.generators.image.latent_changes import blurred, cells_of, noised, quantised
from forensics.generators.image.requests import cut, widened
from forensics.generators.speech.neural import seeded
from forensics.scenes.regions import Box, box_of

FaceChange = Literal["none", "noise", "blur", "quantise"]
_CHANGES: tuple[FaceChange, ...] = ("none", "noise", "blur", "quantise")
_STRENGTHS: dict[FaceChange, tuple[float, float]] = {
    "none": (0.0, 0.0),
    "noise": (0.12, 0.4),
    "blur": (0.25, 0.5),
    "quantise": (0.4, 1.1),
}
"""Change → from where to where the parameter `strength` goes: that the face stays one."""

_CONTEXT = 48  # pixels of surroundings that the autoencoder sees in composite mode
_FINEST = 160  # pixels of the face's width that the autoencoder works at


class FaceLatentParams(AutoencoderParams):
    """As `AutoencoderParams`, and:

    Attributes:
        mode: "composite" pastes the decoded part back, "regenerated" keeps the decoded picture.
        part: what is changed; "drawn" takes one.
        change: what is done to the latents there; "none" decodes them as they are.
        strength: 0 is the least and 1 the most that each change is good for.
        enlarge: smaller faces are enlarged to about 160 pixels first, in composite mode: at its own
            few pixels a cell of the latents holds a whole eye.
    """

    mode: EditMode = "composite"
    part: Literal["face", "inner", "eyes", "mouth", "drawn"] = "drawn"
    change: FaceChange | Literal["drawn"] = "drawn"
    strength: Annotated[Range, within(0, 1)] = (0.0, 1.0)
    enlarge: bool = True


@register_forger
class FaceLatent(AutoencoderGenerator[FaceLatentParams], FaceForger):
    """The latents of the face are disturbed a little and decoded anew.

    Details: `autoencoder`, `change`, `strength` (of the change's own measure), and those of
    `FaceShape`.
    """

    name = "face-latent"
    version = "1"
    kind = "regeneration"
    summary = "The face, or a part of it, regenerated through a latent autoencoder"
    Params: ClassVar[type[GeneratorParams]] = FaceLatentParams

    def forge(self, request: FaceRequest) -> Edited:
        check_request(self, request)
        rng, params, target = np.random.default_rng(request.seed), self.params, request.target
        part = pick(rng, ("face", "face", "inner", "eyes", "mouth"))
        change = pick(rng, _CHANGES)
        if params.part != "drawn":
            part = params.part
        if params.change != "drawn":
            change = params.change
        shape = FaceShape.draw(rng, part)
        low, high = _STRENGTHS[change]
        strength = low + uniform(rng, params.strength) * (high - low)
        alpha = shape.alpha(crop_to_picture(target.face), target.pixels.shape)
        details: dict[str, Any] = {
            "autoencoder": self.autoencoder.name,
            "change": change,
            "strength": round(strength, 3),
            **shape.details(),
        }
        with seeded(request.seed, params.device, params.threads):
            if params.mode == "regenerated":
                made = self._decoded(target.pixels, alpha > 0, change, strength, rng)
                return Edited(made, alpha > 0, "regenerated", details)
            made = self._window(request, alpha, change, strength, rng)
        return composite(self, request, pasted(target.pixels, made, alpha), alpha > 0, details)

    def _window(
        self,
        request: FaceRequest,
        alpha: np.ndarray,
        change: FaceChange,
        strength: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """The photo with the face's surroundings decoded."""
        pixels, mask = request.target.pixels, alpha > 0
        box = self._box(mask)
        part, hole = cut(pixels, box), cut(mask, box)
        left, _, right, _ = request.target.face.box
        scale = max(1.0, _FINEST / (right - left)) if self.params.enlarge else 1.0
        height, width = hole.shape
        size = (round(width * scale), round(height * scale))
        if scale > 1:
            part = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC)
            hole = cv2.resize(hole.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        made = self._decoded(np.ascontiguousarray(part), hole, change, strength, rng)
        result = pixels.copy()
        cut(result, box)[:] = cv2.resize(made, (width, height), interpolation=cv2.INTER_AREA)
        return result

    def _box(self, mask: np.ndarray) -> Box:
        wide = widened(box_of(mask), _CONTEXT, mask.shape)
        return on_grid(wide, self.autoencoder.factor, mask.shape)

    def _decoded(
        self,
        pixels: np.ndarray,
        mask: np.ndarray,
        change: FaceChange,
        strength: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        latents = self.autoencoder.latents(pixels)
        cells = cells_of(mask, self.autoencoder.factor)
        if change == "noise":
            latents = noised(latents, cells, strength, rng)
        elif change == "blur":
            latents = blurred(latents, cells, strength)
        elif change == "quantise":
            latents = quantised(latents, cells, strength)
        return self.autoencoder.pixels(latents, (pixels.shape[0], pixels.shape[1]))
