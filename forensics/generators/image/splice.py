"""Splicing: from another frame of the same camera, light and scale matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.draws import Range, pick, within
from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.donors import (
    Donor,
    best_match,
    fit_scale,
    others_objects,
    placed,
)
from forensics.generators.image.requests import (
    CannotEdit,
    camera_of,
    check_request,
    composite,
    large_enough,
)
from forensics.generators.image.target import Target
from forensics.generators.image.warp import (
    Pose,
    WarpParams,
    draw_feather,
    draw_pose,
    free_centres,
    source_box,
)
from forensics.scenes.regions import Box, box_of

_TRIES = 48
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

    Details: `frame` (index among the camera's), `source` (box), `scale`, `angle`, `flip`,
    `interpolation`, `feather`, `light`, `cut` ("mask" or "outline"), `donor` ("same-place",
    "object", "region") and the `label` of an object.
    """

    name = "splice"
    version = "1"
    kind = "splice"
    licence = "Apache-2.0"
    summary = "An object or region of another frame of the same camera, light and scale matched"
    edits = ("removal", "open-ended-replacement", "addition")
    needs_camera = True
    Params: ClassVar[type[GeneratorParams]] = SpliceParams
    params: SpliceParams

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        camera = camera_of(self, request)
        others = [one for one in camera.frames if not np.array_equal(one, request.pixels)]
        if not others:
            raise CannotEdit(f"{self.name} needs other frames of the camera", "add frames")
        rng = np.random.default_rng(request.seed)
        box = large_enough(self, request.mask)
        pose, feather = draw_pose(self.params, rng), draw_feather(self.params, box, rng)
        light = bool(rng.random() < self.params.light)
        label, cut, mask = None, "mask", request.mask
        if request.plan.edit == "removal":
            what, pose = "same-place", Pose()
            image = self._emptier(request, others, rng)
            centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        else:
            found = self._object(request, others, pose, box, rng)
            if found is not None:
                what, image, centre = "object", found[0].image, found[0].centre
                label, pose = found[0].label, found[1]
                put = placed(found[0], pose, box) if request.plan.edit == "addition" else None
                if put is not None:
                    (mask, centre), cut, feather = put, "outline", min(feather, 2.0)
            else:
                what, image = "region", pick(rng, others)
                pose, centre = self._region(request, image, pose, rng)
        target = Target.of(request.pixels, mask)
        patch = target.fetched(image, pose, centre)
        covering = request.plan.edit == "removal"
        pixels, touched = target.blended(
            target.matched(patch) if light else patch, feather, covering
        )
        details = {
            "frame": next(i for i, one in enumerate(camera.frames) if np.array_equal(one, image)),
            "source": list(source_box(pose, box_of(mask), centre)),
            "scale": round(pose.scale, 4),
            "angle": round(pose.angle, 2),
            "flip": pose.flip,
            "interpolation": pose.interpolation,
            "feather": round(feather, 2),
            "light": light,
            "cut": cut,
            "donor": what,
            "label": label,
        }
        return composite(self, request, pixels, touched, details)

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

    def _object(
        self,
        request: EditRequest,
        others: Sequence[np.ndarray],
        pose: Pose,
        box: Box,
        rng: np.random.Generator,
    ) -> tuple[Donor, Pose] | None:
        """A thing that moves in another frame, scaled to the mask."""
        if self.params.donor != "any-object":
            return None
        order = rng.permutation(len(others))
        donors = others_objects(camera_of(self, request), [others[i] for i in order])
        low, high = self.params.sizes
        fitting = [one for one in donors if low <= fit_scale(one, box) <= high]
        if not fitting:
            return None
        donor = pick(rng, fitting)
        scale = float(np.clip(fit_scale(donor, box), low, high))
        near = abs(scale - 1) < 0.1 and pose == Pose()
        return donor, pose if near else replace(pose, scale=scale)

    def _region(
        self, request: EditRequest, image: np.ndarray, pose: Pose, rng: np.random.Generator
    ) -> tuple[Pose, tuple[float, float]]:
        """A region of another frame that stands out, not at the mask's own place."""
        box = box_of(request.mask)
        enlarging = Pose(max(self.params.scale[1], 1.0), 0.0, pose.flip, pose.interpolation)
        for tried in (pose, enlarging):
            centres = free_centres(tried, box, request.mask, _TRIES, rng)
            if len(centres):
                target = Target.of(request.pixels, request.mask)
                return tried, best_match(image, target, tried, centres, False, rng)
        raise CannotEdit(f"{self.name}: no room for a source", "choose a smaller region")
