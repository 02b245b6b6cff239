"""A person in a scene that is not theirs: implausible by its context, the face itself untouched."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from forensics.draws import Range, pick, uniform, within
from forensics.faces.align import crop_to_picture
from forensics.generators.base import GeneratorParams
from forensics.generators.face.base import FaceForger, FaceRequest, Portrait, register_forger
from forensics.generators.face.carry import donor_to_target, match_colours, warped
from forensics.generators.face.cutout import figure_cut, head_cut, without
from forensics.generators.face.requests import CannotForge, check_request, composite
from forensics.generators.face.shapes import FaceShape
from forensics.generators.image.base import Edited
from forensics.generators.image.blend import feathered, grown, pasted

_What = Literal["head", "figure"]
_RIM = 3  # pixels around what is left of the target's head
_LEAST_HIDDEN = 0.9  # share of the target's face that must vanish


class ContextSwapParams(GeneratorParams):
    """Parameters of `context-swap`.

    Attributes:
        what: "head" sets the donor's head on the target's body, "figure" puts the donor with
            shoulders before the target's scene; "drawn" takes either.
        scale: factor on the donor's size, against that of the target's face.
        colour: share of the way to the colours of the target's photo.
        feather: pixels over which the outline fades.
    """

    what: _What | Literal["drawn"] = "drawn"
    scale: Annotated[Range, within(0.5, 3)] = (1.02, 1.2)
    colour: Annotated[Range, within(0, 1)] = (0.0, 0.6)
    feather: Annotated[Range, within(0, 16)] = (1.0, 4.0)


@register_forger
class ContextSwap(FaceForger):
    """The donor, cut out by GrabCut, takes the place of the target in the target's photo; what is
    left of the target's head is filled from around.

    Details: `donor` (index among the request's), `what`, `scale`, `colour`, `feather`.
    """

    name = "context-swap"
    version = "1"
    kind = "context"
    licence = "Apache-2.0"
    summary = "A person's head or figure in the picture of somebody else"
    donors = "other"
    Params: ClassVar[type[GeneratorParams]] = ContextSwapParams
    params: ContextSwapParams

    def forge(self, request: FaceRequest) -> Edited:
        check_request(self, request)
        rng, params = np.random.default_rng(request.seed), self.params
        index = int(rng.integers(len(request.donors)))
        what: _What = pick(rng, ("head", "figure"))
        if params.what != "drawn":
            what = params.what
        scale, colour = uniform(rng, params.scale), uniform(rng, params.colour)
        feather = uniform(rng, params.feather)

        target, donor = request.target, request.donors[index]
        move = _placed(target, donor, scale)
        cut = head_cut(donor) if what == "head" else figure_cut(donor)
        pixels, covered = warped(donor.pixels, move, target.pixels.shape)
        layer = np.repeat(cut[..., None] * np.uint8(255), 3, axis=2)
        mask = (warped(layer, move, target.pixels.shape)[0][..., 0] > 127) & covered
        self._hides(target, mask)
        pixels = match_colours(pixels, target.pixels, mask, colour)
        alpha = feathered(mask, feather)
        behind = grown(head_cut(target) & ~mask, _RIM) | mask
        scene = pasted(target.pixels, without(target.pixels, behind), feathered(behind, _RIM))
        details = {
            "donor": index,
            "what": what,
            "scale": round(scale, 3),
            "colour": round(colour, 3),
            "feather": round(feather, 2),
        }
        touched = (alpha > 0) | (feathered(behind, _RIM) > 0)
        return composite(self, request, pasted(scene, pixels, alpha), touched, details)

    def _hides(self, target: Portrait, mask: np.ndarray) -> None:
        """Refuse where the target's own face would look out behind the donor."""
        plain = FaceShape("inner", 1.0, 2.0, 0.0, np.zeros((4, 2)))
        face = plain.alpha(crop_to_picture(target.face), mask.shape) > 0
        if not face.any() or mask[face].mean() < _LEAST_HIDDEN:
            raise CannotForge(f"{self.name}: the donor does not cover the face", "give another")


def _placed(target: Portrait, donor: Portrait, scale: float) -> np.ndarray:
    """(2, 3): the donor's photo → the target's, enlarged about the middle of the target's face."""
    move, _ = donor_to_target(target, donor, refine=False)
    left, top, right, bottom = target.face.box
    middle = np.array([left + right, top + bottom]) / 2
    made = move * scale
    made[:, 2] += middle * (1 - scale)
    return made
