"""Copy-move: a region of the same frame copied elsewhere in it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.donors import object_source, own_objects, region_source
from forensics.generators.image.requests import check_request, composite, large_enough
from forensics.generators.image.target import OUTLINE, Target
from forensics.generators.image.warp import WarpParams, draw_feather, draw_pose


@register_editor
class CopyMove(ImageEditor):
    """A removal is covered by a region that continues the surroundings; an addition is an object of
    the frame, cut out along its outline where one of fitting size is found; a replacement is a
    region that stands out. The source never overlaps the target.

    Details: those of `Source`, `feather` (pixels, 0: hard) and `light` (whether it was matched).
    """

    name = "copy-move"
    version = "1"
    kind = "copymove"
    licence = "Apache-2.0"
    summary = "A region of the same frame copied elsewhere: scaled, turned, mirrored, light matched"
    edits = ("removal", "open-ended-replacement", "addition")
    Params: ClassVar[type[GeneratorParams]] = WarpParams
    params: WarpParams

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        rng = np.random.default_rng(request.seed)
        box = large_enough(self, request.mask)
        pose, feather = draw_pose(self.params, rng), draw_feather(self.params, box, rng)
        light = bool(rng.random() < self.params.light)
        source = None
        if request.plan.edit == "addition":
            donors = own_objects(request.pixels, request.camera, request.mask)
            source = object_source(donors, request, pose, self.params.scale, rng)
        if source is None:
            source = region_source(self.name, request.pixels, request, pose, rng)
        feather = min(feather, OUTLINE) if source.outlined else feather
        pixels, touched = Target.of(request.pixels, source.mask).pasted_from(
            source, light, feather, request.plan.edit == "removal"
        )
        details = {**source.details(), "feather": round(feather, 2), "light": light}
        return composite(self, request, pixels, touched, details)
