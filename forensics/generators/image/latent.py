"""Region regeneration through a latent autoencoder: content changes where its latents do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from forensics.draws import Range, pick, uniform, within
from forensics.generators.base import GeneratorParams
from forensics.generators.image.autoencoder_editor import AutoencoderEditor, AutoencoderParams
from forensics.generators.image.base import Edited, EditMode, EditRequest, register_editor
from forensics.generators.image.blend import feathered, grown, pasted
from forensics.generators.image.donors import region_source
from forensics.generators.image.latent_changes import (
    blurred,
    cells_of,
    filled,
    noised,
    quantised,
    swapped,
)
from forensics.generators.image.requests import (
    CannotEdit,
    check_request,
    composite,
    cut,
    large_enough,
    widened,
)
from forensics.generators.image.target import window_of
from forensics.generators.image.warp import Pose, source_box
from forensics.generators.speech.neural import seeded
from forensics.scenes.edit_plan import EditType
from forensics.scenes.regions import Box, box_of

Change = Literal["noise", "blur", "quantise", "swap", "fill"]

_CHANGES: dict[EditType, tuple[Change, ...]] = {
    "removal": ("fill", "swap"),
    "open-ended-replacement": ("swap", "noise", "quantise", "blur"),
    "addition": ("swap",),
}
_CONTEXT = 48  # pixels of surroundings that the autoencoder sees in composite mode


class LatentParams(AutoencoderParams):
    """As `AutoencoderParams`, and:

    Attributes:
        mode: "composite" pastes the decoded region back, "regenerated" keeps the decoded frame.
        change: what is done to the latents; "drawn" takes one that suits the edit.
        strength: of noise (share), quantisation (steps in spreads) and blur (cells).
        texture: of a fill, share of the surroundings' fine structure.
        feather: pixels of the soft border in composite mode.
    """

    mode: EditMode = "composite"
    change: Change | Literal["drawn"] = "drawn"
    strength: Annotated[Range, within(0.1, 4)] = (0.7, 1.0)
    texture: Annotated[Range, within(0, 1)] = (0.3, 0.9)
    feather: Annotated[Range, within(0, 32)] = (1, 6)


@dataclass(frozen=True)
class _Drawn:
    change: Change
    strength: float
    texture: float
    feather: float


@register_editor
class Latent(AutoencoderEditor[LatentParams]):
    """A removal fills the latents from around or takes those of a region that continues the
    surroundings; an addition takes those of a region that stands out; a replacement takes others
    or disturbs its own.

    Details: `autoencoder`, `change`, `strength` or `texture` where it counts, `source` (box) of a
    swap, `feather` in composite mode.
    """

    name = "latent"
    version = "1"
    kind = "regeneration"
    summary = "Regeneration of a region through a latent autoencoder, its latents changed"
    edits = ("removal", "open-ended-replacement", "addition")
    Params: ClassVar[type[GeneratorParams]] = LatentParams

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        large_enough(self, request.mask)
        rng = np.random.default_rng(request.seed)
        drawn = self._drawn(request.plan.edit, rng)
        with seeded(request.seed, self.params.device, self.params.threads):
            if self.params.mode == "regenerated":
                return self._regenerated(request, drawn, rng)
            return self._composite(request, drawn, rng)

    def _drawn(self, edit: EditType, rng: np.random.Generator) -> _Drawn:
        change = pick(rng, _CHANGES[edit])
        if self.params.change != "drawn":
            change = self.params.change
        return _Drawn(
            change,
            uniform(rng, self.params.strength),
            uniform(rng, self.params.texture),
            uniform(rng, self.params.feather),
        )

    def _regenerated(self, request: EditRequest, drawn: _Drawn, rng: np.random.Generator) -> Edited:
        height, width = request.mask.shape
        made, details = self._remade(request, (0, 0, width, height), request.mask, drawn, rng)
        return Edited(made, request.mask.copy(), "regenerated", details)

    def _composite(self, request: EditRequest, drawn: _Drawn, rng: np.random.Generator) -> Edited:
        covering = request.plan.edit == "removal"
        mask = grown(request.mask, 2) if covering else request.mask
        alpha = feathered(mask, drawn.feather, "outside" if covering else "inside")
        box = on_grid(
            widened(box_of(alpha > 0), _CONTEXT, mask.shape), self.autoencoder.factor, mask.shape
        )
        made, details = self._remade(request, box, mask, drawn, rng)
        pixels = request.pixels.copy()
        cut(pixels, box)[:] = pasted(cut(pixels, box), made, cut(alpha, box))
        details["feather"] = round(drawn.feather, 2)
        return composite(self, request, pixels, alpha > 0, details)

    def _remade(
        self,
        request: EditRequest,
        box: Box,
        mask: np.ndarray,
        drawn: _Drawn,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The window `box` with its latents changed under the mask, decoded, and the details."""
        before = cut(request.pixels, box)
        latents = self.autoencoder.latents(before)
        cells = cells_of(cut(mask, box), self.autoencoder.factor)
        details: dict[str, Any] = {
            "autoencoder": self.autoencoder.name,
            "change": drawn.change,
        }
        if drawn.change == "swap":
            shift = self._shift(request, rng)
            left, top, right, bottom = (side + by for side, by in zip(box, shift * 2, strict=True))
            source = window_of(request.pixels, (left, top, right, bottom), "edge")
            latents = swapped(latents, cells, self.autoencoder.latents(source))
            inner = box_of(request.mask)
            details["source"] = [s + by for s, by in zip(inner, shift * 2, strict=True)]
        elif drawn.change == "fill":
            latents = filled(latents, cells, drawn.texture, rng)
            details["texture"] = round(drawn.texture, 3)
        else:
            latents = self._disturbed(latents, cells, drawn, rng)
            details["strength"] = round(drawn.strength, 3)
        return self.autoencoder.pixels(latents, before.shape[:2]), details

    def _disturbed(
        self, latents: np.ndarray, cells: np.ndarray, drawn: _Drawn, rng: np.random.Generator
    ) -> np.ndarray:
        if drawn.change == "noise":
            return noised(latents, cells, min(drawn.strength, 1.0), rng)
        if drawn.change == "blur":
            return blurred(latents, cells, drawn.strength)
        return quantised(latents, cells, drawn.strength)

    def _shift(self, request: EditRequest, rng: np.random.Generator) -> tuple[int, int]:
        """By how many pixels the swapped region lies beside the mask."""
        pose = Pose()
        found = region_source(self.name, request.pixels, request, pose, rng)
        if found.pose != pose:
            raise CannotEdit(
                f"{self.name}: no room for a source outside of the mask", "choose a smaller region"
            )
        there, here = source_box(pose, box_of(request.mask), found.centre), box_of(request.mask)
        return there[0] - here[0], there[1] - here[1]


def on_grid(box: Box, factor: int, shape: tuple[int, ...]) -> Box:
    """The box with its upper left corner on the frame's grid of cells, whole cells where it can."""
    left, top, right, bottom = box
    left, top = left - left % factor, top - top % factor
    return (
        left,
        top,
        min(right + (left - right) % factor, shape[1]),
        min(bottom + (top - bottom) % factor, shape[0]),
    )
