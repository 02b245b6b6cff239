"""Poisson blending: an object or region put in by its gradients (Pérez et al. 2003)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np

from forensics.draws import Range, pick, uniform, within
from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.blend import grown
from forensics.generators.image.donors import (
    Source,
    object_source,
    others_objects,
    own_objects,
    region_source,
)
from forensics.generators.image.membrane import solved
from forensics.generators.image.requests import (
    CannotEdit,
    check_request,
    composite,
    large_enough,
    other_frames,
)
from forensics.generators.image.target import Target
from forensics.generators.image.warp import Pose, WarpParams, draw_pose

_OWN_MOST = 120_000  # pixels that are solved exactly; OpenCV's solver takes over above
_MIXED_SHARE = 0.35


class PoissonParams(WarpParams):
    """As a copy's (of which `hard`, `feather` and `light` count for nothing here), and:

    Attributes:
        blend: "normal" keeps the source's gradients alone, "mixed" the stronger of source and
            frame; "drawn" takes mixed for a third.
        donor: where the source is looked for; "drawn" takes either where the camera has others.
        solver: "exact" solves the equations directly, "opencv" is cv2.seamlessClone; "drawn" takes
            either. Masks above 120,000 pixels go to OpenCV.
        sizes: by how much an object may be scaled.
        grow: pixels of ground that come along around an object's outline.
    """

    blend: Literal["normal", "mixed", "drawn"] = "drawn"
    donor: Literal["same-frame", "other-frame", "drawn"] = "drawn"
    solver: Literal["exact", "opencv", "drawn"] = "drawn"
    sizes: Annotated[Range, within(0.25, 4)] = (0.5, 1.6)
    grow: Annotated[Range, within(1, 32)] = (2, 7)


@register_editor
class Poisson(ImageEditor):
    """A removal is healed with a region that continues the surroundings; an addition is an object
    with a little ground around its outline; a replacement an object or region through the mask.

    Details: those of `Source`, `donor` ("same-frame", "other-frame"), `blend`, `solver`.
    """

    name = "poisson"
    version = "1"
    kind = "splice"
    licence = "Apache-2.0"
    summary = "Poisson blending of an object or region, normal or mixed gradients"
    edits = ("removal", "open-ended-replacement", "addition")
    Params: ClassVar[type[GeneratorParams]] = PoissonParams
    params: PoissonParams

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        large_enough(self, request.mask)
        rng = np.random.default_rng(request.seed)
        pose, grow = draw_pose(self.params, rng), round(uniform(rng, self.params.grow))
        mixed, exact = rng.random() < _MIXED_SHARE, rng.random() < 0.5
        covering = request.plan.edit == "removal"
        if covering:
            request = replace(request, mask=grown(request.mask, grow))
        donor, source = self._source(request, pose, rng)
        if self.params.blend != "drawn":
            mixed = self.params.blend == "mixed"
        mixed = bool(mixed and not covering)  # what is to vanish would shine through
        if source.outlined:
            source = replace(source, mask=_kept_centre(source.mask, grow))
        if source.mask.all():
            raise CannotEdit(f"{self.name}: nothing is around the mask", "choose a smaller region")
        if self.params.solver != "drawn":
            exact = self.params.solver == "exact"
        exact = bool(exact and source.mask.sum() <= _OWN_MOST)

        target = Target.of(request.pixels, source.mask)
        patch = target.fetched(source.image, source.pose, source.centre)
        made = (_exactly if exact else _by_opencv)(patch, target, mixed)
        details = {
            **source.details(),
            "donor": donor,
            "blend": "mixed" if mixed else "normal",
            "solver": "exact" if exact else "opencv",
        }
        return composite(self, request, target.put(made), source.mask, details)

    def _source(
        self, request: EditRequest, pose: Pose, rng: np.random.Generator
    ) -> tuple[str, Source]:
        wanted = pick(rng, ("same-frame", "other-frame"))
        if self.params.donor != "drawn":
            wanted = self.params.donor
        elif request.camera is None or len(request.camera.frames) < 2:
            wanted = "same-frame"
        camera = request.camera
        if wanted == "same-frame" or camera is None:
            donors, image = own_objects(request.pixels, camera, request.mask), request.pixels
        else:
            others = other_frames(self, request)
            order = [others[i] for i in rng.permutation(len(others))]
            donors, image = others_objects(camera, order), order[0]
        if request.plan.edit != "removal":
            source = object_source(donors, request, pose, self.params.sizes, rng)
            if source is not None:
                return wanted, source
        return wanted, region_source(self.name, image, request, pose, rng)


def _kept_centre(mask: np.ndarray, grow: int) -> np.ndarray:
    """The mask grown by as much on all sides, so that the middle of its box stays."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    room = min(rows[0], columns[0], height - 1 - rows[-1], width - 1 - columns[-1])
    return grown(mask, min(grow, int(room)))


def _exactly(patch: np.ndarray, target: Target, mixed: bool) -> np.ndarray:
    """uint8 (h, w, 3), solved within the frame: its border demands nothing."""
    inner = target.inside
    hole = target.mask[inner]
    made = solved(target.pixels[inner], hole, patch[inner], mixed)
    result = target.pixels.copy()
    result[inner] = np.clip(np.rint(made), 0, 255).astype(np.uint8)
    return result


def _by_opencv(patch: np.ndarray, target: Target, mixed: bool) -> np.ndarray:
    """uint8 (h, w, 3). The window's margin keeps the mask off its border, as OpenCV needs it."""
    rows, columns = np.flatnonzero(target.mask.any(axis=1)), np.flatnonzero(target.mask.any(axis=0))
    width, height = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
    centre = (int(columns[0]) + width // 2, int(rows[0]) + height // 2)
    mask = np.where(target.mask, 255, 0).astype(np.uint8)
    flag = cv2.MIXED_CLONE if mixed else cv2.NORMAL_CLONE
    return cv2.seamlessClone(patch, target.pixels, mask, centre, flag)
