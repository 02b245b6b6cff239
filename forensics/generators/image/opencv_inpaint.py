"""Inpainting by OpenCV: fast marching (Telea 2004) and Navier-Stokes (Bertalmio et al. 2001)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np

from forensics.draws import Range, pick, uniform, within
from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.blend import grown
from forensics.generators.image.requests import check_request, composite
from forensics.generators.image.target import Target

_METHODS = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}


class InpaintParams(GeneratorParams):
    """Parameters.

    Attributes:
        method: which of the two; "drawn" takes either.
        radius: pixels around a point from which it is filled.
        grow: pixels by which the mask grows first, so that no rim of the object is smeared in.
    """

    method: Literal["telea", "navier-stokes", "drawn"] = "drawn"
    radius: Annotated[Range, within(1, 32)] = (2, 9)
    grow: Annotated[Range, within(0, 32)] = (1, 4)


@register_editor
class OpencvInpaint(ImageEditor):
    """Fills the mask from its border inwards: smooth, without texture.

    Details: `method`, `radius`, `grow`.
    """

    name = "opencv-inpaint"
    version = "1"
    kind = "inpaint"
    licence = "Apache-2.0"
    summary = "OpenCV's inpainting: Telea's fast marching or Navier-Stokes"
    edits = ("removal",)
    Params: ClassVar[type[GeneratorParams]] = InpaintParams
    params: InpaintParams

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        rng = np.random.default_rng(request.seed)
        method = pick(rng, list(_METHODS))
        if self.params.method != "drawn":
            method = self.params.method
        radius, grow = uniform(rng, self.params.radius), round(uniform(rng, self.params.grow))
        target = Target.of(request.pixels, grown(request.mask, grow))
        hole = target.mask.astype(np.uint8)
        made = cv2.inpaint(target.pixels, hole, radius, _METHODS[method])
        details = {"method": method, "radius": round(radius, 2), "grow": grow}
        return composite(self, request, target.put(made), target.whole(target.mask), details)
