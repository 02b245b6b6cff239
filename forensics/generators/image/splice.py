"""Splicing: from another frame of the same camera, light and scale matched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.draws import Range, pick, within
from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.donors import (
    Source,
    object_source,
    others_objects,
    region_source,
)
from forensics.generators.image.requests import (
    CannotEdit,
    camera_of,
    check_request,
    composite,
    large_enough,
    other_frames,
)
from forensics.generators.image.target import OUTLINE, Target
from forensics.generators.image.warp import Pose, WarpParams, draw_feather, draw_pose
from forensics.scenes.regions import box_of

_ALIKE = 2.5  # mean difference of grey levels below which two frames show the same in the mask


class SpliceParams(WarpParams):
    """As a copy's, and what is spliced in.

    Attributes:
        donor: "any-object" takes a thing that moves in another frame, of whatever size, and scales
            it to the mask; "region" takes a region of another frame at the mask's own scale.
        sizes: by how much an object may be scaled.
    """

    donor: Literal["any-object", "region"] = "any-object"
    sizes: Annotated[Range, within(0.25, 4)] = (0.45, 1.8)
    hard: float = Field(default=0.15, ge=0, le=1)


@register_editor
class Splice(ImageEditor):
    """A removal takes what another frame shows at the same place; an addition an object, cut out
    along its outline; a replacement an object with its surroundings, through the mask.

    Details: those of `Source`, `frame` (index among the camera's), `donor` ("same-place", "object",
    "region"), `feather` and `light` as a copy's.
    """

    name = "splice"
    version = "1"
    kind = "splice"
    licence = "Apache-2.0"
    summary = "An object or region of another frame of the same camera, light and scale matched"
    edits = ("removal", "open-ended-replacement", "addition")
    needs_camera = True
    least_frames = 2
    Params: ClassVar[type[GeneratorParams]] = SpliceParams
    params: SpliceParams

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        camera = camera_of(self, request)
        others = other_frames(self, request)
        rng = np.random.default_rng(request.seed)
        box = large_enough(self, request.mask)
        pose, feather = draw_pose(self.params, rng), draw_feather(self.params, box, rng)
        light = bool(rng.random() < self.params.light)
        what, source = self._source(request, others, pose, rng)
        feather = min(feather, OUTLINE) if source.outlined else feather
        pixels, touched = Target.of(request.pixels, source.mask).pasted_from(
            source, light, feather, request.plan.edit == "removal"
        )
        details = {
            **source.details(),
            "frame": next(i for i, one in enumerate(camera.frames) if one is source.image),
            "donor": what,
            "feather": round(feather, 2),
            "light": light,
        }
        return composite(self, request, pixels, touched, details)

    def _source(
        self,
        request: EditRequest,
        others: Sequence[np.ndarray],
        pose: Pose,
        rng: np.random.Generator,
    ) -> tuple[str, Source]:
        if request.plan.edit == "removal":
            left, top, right, bottom = box_of(request.mask)
            image, centre = self._emptier(request, others, rng), (left + right, top + bottom)
            return "same-place", Source(image, Pose(), (centre[0] / 2, centre[1] / 2), request.mask)
        if self.params.donor == "any-object":
            order = [others[i] for i in rng.permutation(len(others))]
            donors = others_objects(camera_of(self, request), order)
            source = object_source(donors, request, pose, self.params.sizes, rng)
            if source is not None:
                return "object", source
        return "region", region_source(self.name, pick(rng, others), request, pose, rng)

    def _emptier(
        self, request: EditRequest, others: Sequence[np.ndarray], rng: np.random.Generator
    ) -> np.ndarray:
        """A frame that shows something else within the mask, nearest to the plate."""
        plate = camera_of(self, request).plate
        here = request.pixels[request.mask].astype(np.float32)
        differing = [
            one
            for one in others
            if float(np.abs(one[request.mask].astype(np.float32) - here).mean()) > _ALIKE
        ]
        if not differing:
            raise CannotEdit(
                f"{self.name}: all frames show the same there", "choose something that moves"
            )
        if plate is None:
            return pick(rng, differing)
        background = plate[request.mask].astype(np.float32)
        return min(differing, key=lambda one: float(np.abs(one[request.mask] - background).mean()))
