"""Where pasted things come from: objects of the camera's frames, and regions that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from forensics.draws import pick
from forensics.generators.image.base import EditRequest
from forensics.generators.image.blend import grown
from forensics.generators.image.requests import CannotEdit
from forensics.generators.image.target import COVER, Target
from forensics.generators.image.warp import Pose, backward, free_centres, sampled, source_box
from forensics.scenes.camera import Camera
from forensics.scenes.objects import find_objects, moving_objects
from forensics.scenes.regions import Box, box_of

_FRAMES = 4  # of a camera in which objects are looked for
_LOOK = 64  # pixels of a window's longer side when candidates are compared
_BEST = 3
_TRIES = 64


@dataclass(frozen=True)
class Donor:
    """An object that can be cut out.

    Attributes:
        image: uint8 (H, W, 3), the frame that holds it.
        mask: bool (H, W), its outline.
        box: its bounds.
        label: what it may be.
    """

    image: np.ndarray
    mask: np.ndarray
    box: Box
    label: str

    @property
    def centre(self) -> tuple[float, float]:
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2


@dataclass(frozen=True)
class Source:
    """What is to be pasted, and where.

    Attributes:
        image: uint8 (H, W, 3).
        centre: the point of `image` that comes to lie in the middle of the mask's box.
        mask: bool (H, W) of the edited frame: where it goes.
        label: of an object; None for a region.
        outlined: whether `mask` is an object's outline, not the mask that was asked for.
    """

    image: np.ndarray
    pose: Pose
    centre: tuple[float, float]
    mask: np.ndarray
    label: str | None = None
    outlined: bool = False

    def details(self) -> dict[str, Any]:
        """JSON-safe: `source` (box), `scale`, `angle`, `flip`, `interpolation`, `cut`, `label`."""
        return {
            "source": list(source_box(self.pose, box_of(self.mask), self.centre)),
            "scale": round(self.pose.scale, 4),
            "angle": round(self.pose.angle, 2),
            "flip": self.pose.flip,
            "interpolation": self.pose.interpolation,
            "cut": "outline" if self.outlined else "mask",
            "label": self.label,
        }


def object_source(
    donors: Sequence[Donor],
    request: EditRequest,
    pose: Pose,
    sizes: tuple[float, float],
    rng: np.random.Generator,
) -> Source | None:
    """One of the donors, scaled to the request's mask.

    An addition takes its outline; any other edit takes it with its surroundings, through the mask.

    Args:
        pose: how it is turned; its scale counts for nothing.
        sizes: by how much a donor may be scaled; others are left out.

    Returns:
        None when no donor fits.
    """
    box = box_of(request.mask)
    low, high = sizes
    fitting = [one for one in donors if low <= fit_scale(one, box) <= high]
    if not fitting:
        return None
    donor = pick(rng, fitting)
    scale = fit_scale(donor, box)
    if pose != Pose() or abs(scale - 1) > 0.1:
        pose = replace(pose, scale=scale)
    if request.plan.edit != "addition":
        return Source(donor.image, pose, donor.centre, request.mask, donor.label)
    put = placed(donor, pose, box)
    own = donor.image is request.pixels
    if put is None or (own and (put[0] & donor.mask).any()):
        return None
    return Source(donor.image, pose, put[1], put[0], donor.label, outlined=True)


def region_source(
    name: str,
    image: np.ndarray,
    request: EditRequest,
    pose: Pose,
    rng: np.random.Generator,
) -> Source:
    """A region of an image that touches no pixel of the mask: of those tried one of the best.

    Args:
        name: of the editor, for messages.
        pose: where it leaves no room, an upright, somewhat enlarged one is tried.

    Raises:
        CannotEdit: there is no room.
    """
    box, covering = box_of(request.mask), request.plan.edit == "removal"
    taken = grown(request.mask, round(COVER) + 1) if covering else request.mask
    for tried in (pose, Pose(max(pose.scale, 1.25), 0.0, pose.flip, pose.interpolation)):
        centres = free_centres(tried, box, taken, _TRIES, rng)
        if len(centres):
            target = Target.of(request.pixels, request.mask)
            centre = best_match(image, target, tried, centres, covering, rng)
            return Source(image, tried, centre, request.mask)
    raise CannotEdit(f"{name}: no room for a source outside of the mask", "choose a smaller region")


def own_objects(pixels: np.ndarray, camera: Camera | None, taken: np.ndarray) -> list[Donor]:
    """Objects of this frame, whole in it, that touch no pixel of `taken`."""
    found = find_objects(pixels, camera)
    donors = [Donor(pixels, one.mask, one.box, one.label) for one in found]
    return [one for one in donors if _is_whole(one) and not (one.mask & taken).any()]


def others_objects(camera: Camera, others: Sequence[np.ndarray]) -> list[Donor]:
    """What moves in other frames of a camera, whole in them."""
    return [
        donor
        for frame in others[:_FRAMES]
        for one in moving_objects(frame, camera)
        if _is_whole(donor := Donor(frame, one.mask, one.box, one.label))
    ]


def _is_whole(donor: Donor) -> bool:
    left, top, right, bottom = donor.box
    height, width = donor.mask.shape
    return left > 1 and top > 1 and right < width - 1 and bottom < height - 1


def fit_scale(donor: Donor, box: Box) -> float:
    """By how much the donor must grow to be as large as the box (its area's square root)."""
    left, top, right, bottom = donor.box
    area = (right - left) * (bottom - top)
    wanted = (box[2] - box[0]) * (box[3] - box[1])
    return float(np.sqrt(wanted / area))


def placed(donor: Donor, pose: Pose, box: Box) -> tuple[np.ndarray, tuple[float, float]] | None:
    """The donor's outline in the frame, posed, standing on the box's lower edge in its middle.

    It is moved into the frame where it would stick out.

    Returns:
        bool (H, W), not empty, and the point of the donor's image that comes to lie in the middle
        of that outline's box; None when it is larger than the frame.
    """
    height, width = donor.mask.shape
    window = Target.of(donor.image, donor.mask).box
    shape = sampled(255 * donor.mask.astype(np.uint8), pose, window, donor.centre) > 127
    if not shape.any():
        return None
    left, top, right, bottom = box_of(shape)
    if right - left > width or bottom - top > height:
        return None
    x = min(max(round((box[0] + box[2] - right + left) / 2), 0), width - (right - left))
    y = min(max(box[3] - (bottom - top), 0), height - (bottom - top))
    result = np.zeros((height, width), bool)
    result[y : y + bottom - top, x : x + right - left] = shape[top:bottom, left:right]
    off = np.array([left + right - shape.shape[1], top + bottom - shape.shape[0]]) / 2
    centre = np.array(donor.centre) + backward(pose) @ off
    return result, (float(centre[0]), float(centre[1]))


def best_match(
    image: np.ndarray,
    target: Target,
    pose: Pose,
    centres: np.ndarray,
    covering: bool,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """One of the best centres of a source region: of three, or of a quarter of all.

    Args:
        covering: whether the region is to continue the target's surroundings, as what covers an
            object does; else it should hold something that stands out from its own.
    """
    step = max(1, max(target.mask.shape) // _LOOK)
    mask, around = target.mask[::step, ::step], target.around[::step, ::step]
    wanted = target.pixels[::step, ::step].astype(np.float32)
    rim = around if around.any() else ~mask
    costs = []
    for x, y in centres:
        window = target.fetched(image, pose, (x, y), step).astype(np.float32)
        if covering and rim.any():
            cost = float(np.abs(window - wanted)[rim].mean()) + _contrast(window, mask, rim)
        else:
            cost = -_contrast(window, mask, rim)
        costs.append(cost)
    among = _BEST if covering else max(_BEST, len(costs) // 4)  # the most glaring is not the aim
    best = np.argsort(np.array(costs), kind="stable")[:among]
    x, y = centres[best[int(rng.integers(len(best)))]]
    return float(x), float(y)


def _contrast(window: np.ndarray, mask: np.ndarray, rim: np.ndarray) -> float:
    """How much the middle differs from the rim, in mean and in detail."""
    if not (mask.any() and rim.any()):
        return 0.0
    grey = cv2.cvtColor(window / 255, cv2.COLOR_RGB2GRAY) * 255
    detail = grey[mask].std() - grey[rim].std()
    return float(np.abs(window[mask].mean(axis=0) - window[rim].mean(axis=0)).mean() + detail)
