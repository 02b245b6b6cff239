"""Exemplar-based inpainting: patches of the frame copied in, strong structures first."""

from __future__ import annotations

from typing import Annotated, ClassVar

import cv2
import numpy as np
from pydantic import Field

from forensics.draws import Range, uniform, within
from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.blend import feathered, grown, pasted
from forensics.generators.image.requests import (
    CannotEdit,
    check_request,
    composite,
    cut,
    widened,
)
from forensics.scenes.regions import box_of

_DATA = 1e-3  # of the data term, where there is no edge at all


class PatchInpaintParams(GeneratorParams):
    """Parameters.

    Attributes:
        patch: side in pixels, made odd.
        window: how far around the mask patches are looked for, in multiples of its longer side.
        side: pixels of the mask's longer side at which patches are matched; larger masks are
            matched at this size, and patches copied at the full one.
        grow: pixels by which the mask grows first.
        feather: pixels of the soft border beyond that.
    """

    patch: Annotated[Range, within(5, 31)] = (7, 11)
    window: Annotated[Range, within(0.3, 4)] = (0.7, 1.3)
    side: int = Field(default=72, ge=16, le=256)
    grow: Annotated[Range, within(0, 32)] = (1, 4)
    feather: Annotated[Range, within(0, 32)] = (0, 2)


@register_editor
class PatchInpaint(ImageEditor):
    """Fills the hole patch by patch from its border (Criminisi, Pérez and Toyama 2004). What is
    copied are real pixels of the frame: inside, only the joints of patches give it away.

    Details: `patch`, `window` (box), `scale` (of the matching), `patches` (how many), `grow`,
    `feather`.
    """

    name = "patch-inpaint"
    version = "1"
    kind = "inpaint"
    licence = "Apache-2.0"
    summary = "Exemplar-based inpainting: patches of the frame, structures first"
    edits = ("removal",)
    Params: ClassVar[type[GeneratorParams]] = PatchInpaintParams
    params: PatchInpaintParams

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        rng = np.random.default_rng(request.seed)
        params = self.params
        patch = round(uniform(rng, params.patch)) | 1
        reach = uniform(rng, params.window)
        grow, feather = round(uniform(rng, params.grow)), uniform(rng, params.feather)
        alpha = feathered(grown(request.mask, grow), feather, "outside")
        touched = alpha > 0

        left, top, right, bottom = box_of(touched)
        longer = max(right - left, bottom - top)
        margin = max(round(reach * longer), 3 * patch)
        box = widened((left, top, right, bottom), margin, touched.shape)
        before, hole = cut(request.pixels, box), cut(touched, box)
        factor = max(1, -(-longer // params.side))
        made, count = self._filled(before, hole, patch, factor)
        pixels = request.pixels.copy()
        cut(pixels, box)[:] = pasted(before, made, cut(alpha, box))
        details = {
            "patch": patch,
            "window": list(box),
            "scale": round(1 / factor, 4),
            "patches": count,
            "grow": grow,
            "feather": round(feather, 2),
        }
        return composite(self, request, pixels, touched, details)

    def _filled(
        self, pixels: np.ndarray, hole: np.ndarray, patch: int, factor: int
    ) -> tuple[np.ndarray, int]:
        """Matched `factor` times smaller, copied at full size; and how many patches it took."""
        height, width = hole.shape
        rest = ((0, -height % factor), (0, -width % factor))
        wide = np.pad(pixels, (*rest, (0, 0)), mode="edge")
        small = cv2.resize(wide, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
        cells = np.pad(hole, rest).reshape(small.shape[0], factor, small.shape[1], factor)
        coarse: np.ndarray = np.any(cells, axis=(1, 3))
        found = offsets(small, coarse, patch)
        if found is None:
            raise CannotEdit(
                f"{self.name}: no whole patch is around the mask", "choose a smaller region"
            )
        rows, columns, count = found
        y, x = np.nonzero(hole)
        made = pixels.copy()
        from_y = rows[y // factor, x // factor] * factor + y % factor
        from_x = columns[y // factor, x // factor] * factor + x % factor
        made[y, x] = pixels[np.minimum(from_y, height - 1), np.minimum(from_x, width - 1)]
        return made, count


def offsets(
    pixels: np.ndarray, hole: np.ndarray, patch: int
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """For each pixel where it is copied from: rows and columns (h, w), and the number of patches.

    Outside of the hole a pixel is its own source. None when no patch lies wholly outside.

    Args:
        pixels: uint8 (h, w, 3).
        hole: bool (h, w).
        patch: side, odd.
    """
    half = patch // 2
    if min(hole.shape) < patch:
        return None
    blocked = cv2.boxFilter(hole.astype(np.float32), -1, (patch, patch), normalize=False) > 0.5
    blocked = blocked[half : hole.shape[0] - half, half : hole.shape[1] - half]
    if blocked.all():
        return None
    lab = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2LAB).astype(np.float32)
    sources: np.ndarray = np.indices(hole.shape)
    rows, columns = sources[0], sources[1]
    confidence = (~hole).astype(np.float32)
    left = hole.copy()
    count = 0
    while left.any():
        y, x = _next(lab, left, confidence, patch)
        window = np.s_[
            max(y - half, 0) : min(y + half + 1, hole.shape[0]),
            max(x - half, 0) : min(x + half + 1, hole.shape[1]),
        ]
        known = ~left[window]
        dy, dx = _best(lab, lab[window], known, blocked, (y, x), half)
        sure = float((confidence[window] * known).mean())
        at_y, at_x = np.nonzero(left[window])
        at_y, at_x = at_y + window[0].start, at_x + window[1].start
        rows[at_y, at_x], columns[at_y, at_x] = at_y + dy, at_x + dx
        lab[at_y, at_x] = lab[at_y + dy, at_x + dx]
        confidence[at_y, at_x] = sure
        left[window] = False
        count += 1
    return rows, columns, count


def _next(lab: np.ndarray, left: np.ndarray, confidence: np.ndarray, patch: int) -> tuple[int, int]:
    """The pixel of the hole's border to go on from: much known around it, an edge running in."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    hole = left.astype(np.uint8)
    border = left & ~cv2.erode(hole, cross, borderValue=1).astype(bool)
    sure = cv2.blur(confidence, (patch, patch), borderType=cv2.BORDER_CONSTANT)
    light = cv2.GaussianBlur(np.where(left, 0, lab[..., 0]), (0, 0), 1)
    weight = cv2.GaussianBlur((~left).astype(np.float32), (0, 0), 1)
    light = light / np.maximum(weight, 1e-3)
    soft = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 1.5)
    normal_x, normal_y = (cv2.Sobel(soft, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))
    slope_x, slope_y = (cv2.Sobel(light, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))
    length = np.hypot(normal_x, normal_y) + 1e-6
    # An isophote is the slope turned by 90 degrees.
    data = np.abs(-slope_y * normal_x + slope_x * normal_y) / length / 255 + _DATA
    priority = np.where(border, sure * data, -1)
    return tuple(int(i) for i in np.unravel_index(int(priority.argmax()), left.shape))  # pyright: ignore[reportReturnType]


def _best(
    lab: np.ndarray,
    wanted: np.ndarray,
    known: np.ndarray,
    blocked: np.ndarray,
    centre: tuple[int, int],
    half: int,
) -> tuple[int, int]:
    """By how much to go from the patch at `centre` to the one that is most alike where known."""
    y, x = centre
    height, width = lab.shape[:2]
    mask = np.repeat(known[..., None], 3, axis=2).astype(np.float32)
    costs = cv2.matchTemplate(lab, np.ascontiguousarray(wanted), cv2.TM_SQDIFF, mask=mask)
    # A patch cut by the border is compared with whole ones, shifted accordingly.
    up, back = min(y, half), min(x, half)
    down, ahead = min(height - 1 - y, half), min(width - 1 - x, half)
    costs = costs[half - up : costs.shape[0] - half + down, half - back :]
    costs = costs[:, : costs.shape[1] - half + ahead]
    costs = np.where(blocked, np.inf, costs)
    row, column = np.unravel_index(int(costs.argmin()), costs.shape)
    return int(row) + half - y, int(column) + half - x
