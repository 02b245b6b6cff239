"""Removal by background plate: what the camera saw there when nothing stood in front."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.draws import Range, uniform, within
from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.blend import (
    feathered,
    grown,
    noise,
    noise_level,
    pasted,
)
from forensics.generators.image.requests import (
    CannotEdit,
    camera_of,
    check_request,
    composite,
    large_enough,
)
from forensics.generators.image.target import Target, window_of


class PlateRemovalParams(GeneratorParams):
    """Parameters.

    Attributes:
        noise: "matched" brings the plate's noise to the frame's, "plain" leaves the median's lower
            noise as a trace, "drawn" does either, half of the time.
        grow: pixels by which the mask grows first, so that no rim of the object stays.
        feather: pixels of the soft border beyond that.
        exposure: share of removals whose exposure is matched to the frame around the mask.
    """

    noise: Literal["matched", "plain", "drawn"] = "drawn"
    grow: Annotated[Range, within(0, 32)] = (1, 4)
    feather: Annotated[Range, within(0, 32)] = (1, 6)
    exposure: float = Field(default=0.9, ge=0, le=1)


@register_editor
class PlateRemoval(ImageEditor):
    """The temporal median of the camera's frames through the mask.

    Details: `frames`, `grow`, `feather`, `exposure` (whether it was matched), `noise` ("matched" or
    "plain"), `added_noise` (standard deviation in grey levels), `grain` (its blur in pixels).
    """

    name = "plate-removal"
    version = "1"
    kind = "removal"
    licence = "Apache-2.0"
    summary = "Removal by the camera's background plate (temporal median), exposure matched"
    edits = ("removal",)
    needs_camera = True
    least_frames = 3
    least_frames = 3
    Params: ClassVar[type[GeneratorParams]] = PlateRemovalParams
    params: PlateRemovalParams

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        camera = camera_of(self, request)
        plate = camera.plate
        if plate is None:
            raise CannotEdit(
                f"{self.name} needs three frames of the camera", "add frames of other times"
            )
        large_enough(self, request.mask)
        rng = np.random.default_rng(request.seed)
        grow, feather = round(uniform(rng, self.params.grow)), uniform(rng, self.params.feather)
        exposure = bool(rng.random() < self.params.exposure)
        drawn = "matched" if rng.random() < 0.5 else "plain"
        kind = drawn if self.params.noise == "drawn" else self.params.noise
        grain = float(rng.uniform(0, 0.8))

        target = Target.of(request.pixels, grown(request.mask, grow + round(feather)))
        clean = window_of(plate, target.box, "edge")
        patch = target.matched(clean) if exposure else clean.astype(np.float32)
        added = 0.0
        if kind == "matched":
            there = noise_level(target.pixels, target.around)
            added = float(np.sqrt(max(there**2 - noise_level(clean, target.around) ** 2, 0.0)))
            patch = patch + noise(target.mask.shape, added, grain, rng)
        inner = window_of(grown(request.mask, grow), target.box)
        alpha = feathered(inner, feather, "outside")
        pixels = target.put(pasted(target.pixels, patch, alpha))
        details = {
            "frames": len(camera.frames),
            "grow": grow,
            "feather": round(feather, 2),
            "exposure": exposure,
            "noise": kind,
            "added_noise": round(added, 3),
            "grain": round(grain, 3),
        }
        return composite(self, request, pixels, target.whole(alpha > 0), details)
