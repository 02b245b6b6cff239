"""Lays a picture over itself by an affine map, and says whether what agrees is a copy.

The last step of both copy-move detectors: dense refinement by correlation (V. Christlein et al.,
"An Evaluation of Popular Copy-Move Forgery Detection Approaches", IEEE TIFS 7(6), 2012), and two
checks of ours that repeating things do not pass. A copy agrees down to the noise, and agrees far
less when moved by two pixels; the windows of one façade do not do the first, a long straight edge
does not do the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.detectors.image.classical.common import box_mean, without_specks
from forensics.detectors.image.planes import Plane, enlarged

PATCH = 9
ALIKE = 0.9
FLAT_WITHIN = 2.0  # grey levels
TEXTURE = 6.0  # variance in a patch from which correlation means something
MIN_AREA = 150
ALIGN_STEPS = 30
ALIGN_REACH = 8.0  # pixels
MOVED = 2
# What counts as a copy: the evidence below, and each of its two parts.
EVIDENCE = 3.0
DETAIL = 0.4
SMOOTHEST = 0.3  # share of a region's pixels, by slope
EDGES_WORTH = 0.6
LEAST_NOISE = 0.15  # mean square of grey levels
EXACTNESS = 1.0
UNVERIFIED_HEAT = 0.3
SIGNS = (-1, 0, 1)


@dataclass(frozen=True, eq=False)
class Copy:
    """A region that looks like another one under an affine map.

    Attributes:
        matrix: float64 (2, 3), from a pixel (x, y) to its copy.
        area: textured pixels that agree.
        detail: correlation of the finest detail over the region, -1 to 1.
        exactness: natural log of the error after moving by two pixels over the error in place.
        mask: bool (H, W), both regions.
    """

    matrix: np.ndarray
    area: int
    detail: float
    exactness: float
    mask: np.ndarray

    @property
    def is_copy(self) -> bool:
        clear = self.detail >= DETAIL and self.exactness >= EXACTNESS
        return clear and self.evidence >= EVIDENCE

    @property
    def evidence(self) -> float:
        """Grows with the area by its logarithm: the pixels of one object are not independent."""
        strength = max(self.detail, 0.0) * max(self.exactness, 0.0)
        return float(strength * np.log(self.area / (MIN_AREA / 2)))

    def told(self, scale: float) -> dict[str, object]:
        """For a finding's details; `scale` is that of the analysed picture."""
        linear = self.matrix[:, :2]
        return {
            "pixels": int(self.mask.sum() / scale**2),
            "detail": round(self.detail, 3),
            "exactness": round(self.exactness, 3),
            "scale": round(float(np.sqrt(abs(np.linalg.det(linear)))), 3),
            "turn_degrees": round(float(np.degrees(np.arctan2(linear[1, 0], linear[0, 0]))), 1),
        }


def bounded(grey: np.ndarray, pixels: int) -> tuple[np.ndarray, float]:
    """At most so many pixels, and the factor by which it was shrunk."""
    import cv2

    scale = min(1.0, float(np.sqrt(pixels / grey.size)))
    if scale == 1.0:
        return grey, scale
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA), scale


def maps_of(
    copies: list[Copy], analysed: tuple[int, ...], shape: tuple[int, int]
) -> tuple[Plane, Plane]:
    """Heatmap float32 and mask bool at `shape`, from regions at the analysed size."""
    heat = np.zeros(analysed, np.float32)
    mask = np.zeros(analysed, np.float32)
    for copy in copies:
        heat[copy.mask] = np.maximum(heat[copy.mask], 1.0 if copy.is_copy else UNVERIFIED_HEAT)
        mask[copy.mask & copy.is_copy] = 1
    return enlarged(heat, shape), enlarged(mask, shape).above(0.5)


def verified(
    grey: np.ndarray, matrix: np.ndarray, points: np.ndarray, least_shift: float
) -> Copy | None:
    """The region around `points` where the picture is alike under the map, which is first brought
    to a fraction of a pixel; None if the region is too small.

    Args:
        grey: uint8 (H, W).
        points: (n, 2) x and y of pixels that led to the map.
        least_shift: pixels closer to their image than this are not looked at.
    """
    import cv2

    plane = grey.astype(np.float32)
    rough, _ = _agreement(plane, matrix, points, least_shift)
    if rough.sum() < MIN_AREA:
        return None
    matrix = _aligned(plane, matrix, rough)
    region, core = _agreement(plane, matrix, points, least_shift)
    area = int(core.sum())
    if area < MIN_AREA:
        return None
    laid = _laid(plane, matrix)
    # A patch that reaches over the region's rim does not correlate: the rim is put back.
    patch = np.ones((PATCH, PATCH), np.uint8)
    closed = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, patch)
    closed = cv2.dilate(closed, patch)
    twin = cv2.warpAffine(closed, matrix, grey.shape[::-1], flags=cv2.INTER_NEAREST)
    return Copy(
        matrix=matrix,
        area=area,
        detail=_detail(plane, laid, region),
        exactness=_exactness(plane, laid, matrix, core),
        mask=without_specks(np.maximum(closed, twin) > 0, MIN_AREA),
    )


def _agreement(
    plane: np.ndarray, matrix: np.ndarray, points: np.ndarray, least_shift: float
) -> tuple[np.ndarray, np.ndarray]:
    """bool (H, W): the parts by the points where the picture is alike, and of those the pixels
    whose texture says so."""
    import cv2

    height, width = plane.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    to_x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
    to_y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    inside = (to_x >= 0) & (to_x < width - 1) & (to_y >= 0) & (to_y < height - 1)
    inside &= np.hypot(to_x - columns, to_y - rows) >= least_shift
    laid = _laid(plane, matrix)
    alike, textured = correlation(plane, laid, PATCH)
    flat = ~textured & (np.abs(box_mean(plane - laid, PATCH)) < FLAT_WITHIN)
    agreeing = (inside & ((textured & (alike > ALIKE)) | flat)).astype(np.uint8)
    opened = cv2.morphologyEx(agreeing, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
    core = _around(opened, points) & textured & (alike > ALIKE)
    # Flat parts look alike anywhere; they belong to a region only next to its texture.
    near = cv2.dilate(core.astype(np.uint8), np.ones((2 * PATCH - 1, 2 * PATCH - 1), np.uint8))
    return opened & (near > 0), core


def _aligned(plane: np.ndarray, matrix: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The map that correlates best over the region (ECC: Evangelidis & Psarakis, IEEE TPAMI
    30(10), 2008); the same map where that does not converge or runs away."""
    import cv2

    x, y, width, height = cv2.boundingRect(region.astype(np.uint8))
    local = matrix.astype(np.float32)
    local[:, 2] += local[:, :2] @ np.array([x, y], np.float32)
    piece = plane[y : y + height, x : x + width]
    # The mask is for the picture that is warped: the region's image.
    where = cv2.warpAffine(
        region.astype(np.uint8), matrix, plane.shape[::-1], flags=cv2.INTER_NEAREST
    )
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ALIGN_STEPS, 1e-5)
    try:
        _, found = cv2.findTransformECC(
            piece, plane, local.copy(), cv2.MOTION_AFFINE, stop, where, 3
        )
    except cv2.error:
        return matrix
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    moved = np.abs(corners @ (found - local).T).max()
    if not np.isfinite(moved) or moved > ALIGN_REACH:
        return matrix
    better = found.astype(np.float64)
    better[:, 2] -= better[:, :2] @ np.array([x, y])
    return better


def _laid(plane: np.ndarray, matrix: np.ndarray, right: int = 0, down: int = 0) -> np.ndarray:
    """At each pixel the picture at the pixel's image, moved by so much more."""
    import cv2

    moved = matrix + np.array([[0, 0, right], [0, 0, down]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(plane, moved, plane.shape[::-1], flags=flags)


def correlation(one: np.ndarray, two: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Zero-mean normalised cross-correlation in `side` x `side` windows, and where both have
    texture enough for it."""
    mean_one, mean_two = box_mean(one, side), box_mean(two, side)
    power_one = np.maximum(box_mean(one * one, side) - mean_one**2, 0)
    power_two = np.maximum(box_mean(two * two, side) - mean_two**2, 0)
    both = box_mean(one * two, side) - mean_one * mean_two
    textured = np.minimum(power_one, power_two) > TEXTURE
    return both / np.sqrt(np.maximum(power_one * power_two, 1e-3)), textured


def _detail(one: np.ndarray, two: np.ndarray, region: np.ndarray) -> float:
    """Correlation of what a 3 x 3 median takes away, over the smoothest pixels of the region: what
    is left there is noise, and edges, which repeating things share, do not count. Where
    compression left no noise, over all of the region, which is worth less."""
    import cv2

    soft = cv2.GaussianBlur(one, (0, 0), 1.5)
    slope = np.hypot(cv2.Sobel(soft, -1, 1, 0), cv2.Sobel(soft, -1, 0, 1))
    fine = [np.clip(p - cv2.medianBlur(p, 3), -6, 6) for p in (one, two)]
    smooth = region & (slope <= np.quantile(slope[region], SMOOTHEST))
    for pixels, worth in ((smooth, 1.0), (region, EDGES_WORTH)):
        first, second = (p[pixels] for p in fine)
        power = float(np.sqrt((first**2).mean() * (second**2).mean()))
        if power > LEAST_NOISE:
            return worth * float((first * second).mean()) / power
    return 0.0


def _exactness(plane: np.ndarray, laid: np.ndarray, matrix: np.ndarray, core: np.ndarray) -> float:
    def error(other: np.ndarray) -> float:
        return float((plane[core] - other[core]).var()) + 0.5

    moved = [
        error(_laid(plane, matrix, right * MOVED, down * MOVED))
        for right in SIGNS
        for down in SIGNS
        if right or down
    ]
    return float(np.log(min(moved) / error(laid)))


def _around(agreeing: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The connected parts of `agreeing` within three pixels of the points."""
    import cv2

    height, width = agreeing.shape
    columns = points[:, 0].round().clip(0, width - 1).astype(np.intp)
    rows = points[:, 1].round().clip(0, height - 1).astype(np.intp)
    marks = np.zeros((height, width), np.uint8)
    marks[rows, columns] = 1
    near = cv2.dilate(marks, np.ones((7, 7), np.uint8)) > 0
    count, labels = cv2.connectedComponents(agreeing.astype(np.uint8))
    kept = np.zeros(count, bool)
    kept[np.unique(labels[near & agreeing]).astype(np.intp)] = True
    kept[0] = False
    return kept[labels.astype(np.intp)]
