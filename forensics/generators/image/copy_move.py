"""Copy-move: a region of the same frame copied elsewhere in it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from forensics.draws import pick
from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.donors import best_match, fit_scale, own_objects, placed
from forensics.generators.image.requests import (
    CannotEdit,
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

_TRIES = 96
_SIZES = (0.6, 1.7)  # a donor's size against the mask's, within which it stands for the mask


@register_editor
class CopyMove(ImageEditor):
    """A removal is covered by a region that continues the surroundings; an addition is an object of
    the frame, cut out along its outline where one of fitting size is found; a replacement is a
    region that stands out. The source never overlaps the target.

    Details: `source` (box), `scale`, `angle`, `flip`, `interpolation`, `feather` (pixels, 0: hard),
    `light` (whether it was matched), `cut` ("mask" or "outline").
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
        mask, cut = request.mask, "mask"
        found = self._object(request, pose, box, rng) if request.plan.edit == "addition" else None
        if found is None:
            target = Target.of(request.pixels, mask)
            pose, centre = self._region(request, target, pose, rng)
        else:
            pose, mask, centre = found
            target, cut = Target.of(request.pixels, mask), "outline"
            feather = min(feather, 2.0)
        patch = target.fetched(request.pixels, pose, centre)
        covering = request.plan.edit == "removal"
        pixels, touched = target.blended(
            target.matched(patch) if light else patch, feather, covering
        )
        details = {
            "source": list(source_box(pose, box_of(mask), centre)),
            "scale": round(pose.scale, 4),
            "angle": round(pose.angle, 2),
            "flip": pose.flip,
            "interpolation": pose.interpolation,
            "feather": round(feather, 2),
            "light": light,
            "cut": cut,
        }
        return composite(self, request, pixels, touched, details)

    def _object(
        self, request: EditRequest, pose: Pose, box: Box, rng: np.random.Generator
    ) -> tuple[Pose, np.ndarray, tuple[float, float]] | None:
        """An object of the frame: its pose, its outline at the target, and its middle."""
        donors = own_objects(request.pixels, request.camera, request.mask)
        fitting = [one for one in donors if _SIZES[0] <= fit_scale(one, box) <= _SIZES[1]]
        if not fitting:
            return None
        donor = pick(rng, fitting)
        if pose != Pose():
            pose = replace(pose, scale=float(np.clip(fit_scale(donor, box), *self.params.scale)))
        put = placed(donor, pose, box)
        if put is None or (put[0] & donor.mask).any():
            return None
        return pose, *put

    def _region(
        self, request: EditRequest, target: Target, pose: Pose, rng: np.random.Generator
    ) -> tuple[Pose, tuple[float, float]]:
        """A source region outside of the mask: its pose and centre."""
        box = box_of(request.mask)
        enlarging = Pose(max(self.params.scale[1], 1.0), 0.0, pose.flip, pose.interpolation)
        for tried in (pose, enlarging):
            centres = free_centres(tried, box, request.mask, _TRIES, rng)
            if len(centres):
                covering = request.plan.edit == "removal"
                return tried, best_match(request.pixels, target, tried, centres, covering, rng)
        raise CannotEdit(
            f"{self.name}: no room for a source outside of the mask", "choose a smaller region"
        )
