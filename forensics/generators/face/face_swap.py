"""Face swap: another person's face, moved into place, matched in colour and blended in."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field

from forensics.draws import Range, pick, uniform, within
from forensics.faces.align import crop_to_picture
from forensics.generators.base import GeneratorParams
from forensics.generators.face.base import FaceForger, FaceRequest, Portrait, register_forger
from forensics.generators.face.carry import donor_to_target, likeness, match_colours, warped
from forensics.generators.face.requests import CannotForge, check_request, composite
from forensics.generators.face.shapes import FaceShape
from forensics.generators.image.base import Edited
from forensics.generators.image.blend import feathered, pasted
from forensics.generators.image.requests import cut, widened
from forensics.scenes.regions import box_of

Blend = Literal["alpha", "poisson"]
_LEAST_COVERED = 0.9  # share of the outline that the donor's photo must fill
_SURE = 0.5  # where the outline shows more than this, pixels count for the colours
_RIM = 3  # pixels over which a Poisson blend fades, against the leap of its rounding


class FaceSwapParams(GeneratorParams):
    """Parameters of `face-swap`.

    Attributes:
        blend: "alpha" mixes along a soft rim, "poisson" (cv2.seamlessClone; Pérez et al. 2003)
            keeps the donor's gradients alone; "drawn" takes either.
        part: "face" from brows to chin, "inner" eyes to mouth; "drawn" takes either.
        donor: "nearest" takes the donor most like the target in pose and light, "any" draws one.
        refine: share of swaps whose fit is refined by the grey levels (ECC).
        colour: share of the donor's way to the target's colours.
        feather: share of the radius over which an alpha blend fades.
    """

    blend: Blend | Literal["drawn"] = "drawn"
    part: Literal["face", "inner", "drawn"] = "drawn"
    donor: Literal["nearest", "any"] = "nearest"
    refine: float = Field(default=0.7, ge=0, le=1)
    colour: Annotated[Range, within(0, 1)] = (0.7, 1.0)
    feather: Annotated[Range, within(0, 1)] = (0.12, 0.4)


@register_forger
class FaceSwap(FaceForger):
    """The donor's face is laid over the target's by their landmarks (or eyes, or box).

    Details: `donor` (index among the request's), `blend`, `refined`, `colour`, and those of
    `FaceShape`.
    """

    name = "face-swap"
    version = "1"
    kind = "faceswap"
    licence = "Apache-2.0"
    summary = "Another person's face: aligned, colours matched, blended in (alpha or Poisson)"
    donors = "other"
    Params: ClassVar[type[GeneratorParams]] = FaceSwapParams
    params: FaceSwapParams

    def forge(self, request: FaceRequest) -> Edited:
        check_request(self, request)
        params, rng = self.params, np.random.default_rng(request.seed)
        blend: Blend = pick(rng, ("alpha", "poisson"))
        part = pick(rng, ("face", "inner"))
        if params.part != "drawn":
            part = params.part
        shape = FaceShape.draw(rng, part, feathers=params.feather)
        refine, colour = bool(rng.random() < params.refine), uniform(rng, params.colour)
        drawn = int(rng.integers(len(request.donors)))
        if params.blend != "drawn":
            blend = params.blend
        index = self._nearest(request) if params.donor == "nearest" else drawn

        target, donor = request.target, request.donors[index]
        move, refined = donor_to_target(target, donor, refine)
        alpha = shape.alpha(crop_to_picture(target.face), target.pixels.shape)
        pixels, alpha = self._laid_over(target, donor, move, alpha, colour)
        if blend == "poisson":
            pixels, alpha = _cloned(pixels, target.pixels, alpha > 0)
        details: dict[str, Any] = {
            "donor": index,
            "blend": blend,
            "refined": refined,
            "colour": round(colour, 3),
            **shape.details(),
        }
        return composite(self, request, pasted(target.pixels, pixels, alpha), alpha > 0, details)

    def _nearest(self, request: FaceRequest) -> int:
        scores = [likeness(request.target, donor) for donor in request.donors]
        return int(np.argmax(scores))

    def _laid_over(
        self,
        target: Portrait,
        donor: Portrait,
        move: np.ndarray,
        alpha: np.ndarray,
        colour: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The donor's photo over the target's, in its colours, and how much of it may show."""
        pixels, covered = warped(donor.pixels, move, target.pixels.shape)
        wanted = float(alpha.sum())
        alpha = alpha * feathered(covered, _RIM)
        if wanted == 0 or alpha.sum() < _LEAST_COVERED * wanted:
            raise CannotForge(
                f"{self.name}: the donor's photo cuts its face off", "give a photo with more around"
            )
        return match_colours(pixels, target.pixels, alpha > _SURE, colour), alpha


def _cloned(
    pixels: np.ndarray, target: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The Poisson blend within the mask, and a mask that fades over its last pixels."""
    box = widened(box_of(mask), 4, mask.shape)
    inner = cut(mask, box).copy()
    # OpenCV wants a border of known pixels on all sides.
    inner[[0, -1]] = inner[:, [0, -1]] = False
    left, top, right, bottom = box_of(inner)
    centre = (left + (right - left) // 2, top + (bottom - top) // 2)
    made = target.copy()
    cut(made, box)[:] = cv2.seamlessClone(
        np.ascontiguousarray(cut(pixels, box)), np.ascontiguousarray(cut(target, box)),
        inner.astype(np.uint8) * 255, centre, cv2.NORMAL_CLONE,
    )  # fmt: skip
    whole = np.zeros_like(mask)
    cut(whole, box)[:] = inner
    return made, feathered(whole, _RIM)
