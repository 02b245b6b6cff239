"""Dense copy-move: every pixel's nearest look-alike, where those agree on one map.

D. Cozzolino, G. Poggi, L. Verdoliva, "Efficient Dense-Field Copy-Move Forgery Detection", IEEE
TIFS 10(11), 2015 (rotation-invariant features, PatchMatch, linear fitting of the offsets); S.
Korman, S. Avidan, "Coherency Sensitive Hashing", ICCV 2011 (hashes for the first guess). Written
from the papers; the features are circular harmonics of Gaussian rings, whose magnitudes do not
change when a patch is turned.

Where the offsets to the look-alikes are linear over a neighbourhood, the picture lies there twice
or merely repeats itself; a copy agrees in the noise, and stops agreeing when moved by two pixels.
Needs no keypoints, and so finds small and smooth things that SIFT passes over.
"""

from __future__ import annotations

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import box_mean, cannot, luma, too_small
from forensics.detectors.image.classical.laying import Copy, bounded, maps_of, verified
from forensics.media.image import Picture

MAX_PIXELS = 420_000
# Radius and width of each ring of the patch, in pixels; angular frequencies 0 to 3 of each.
RINGS = ((0.0, 1.2), (3.0, 1.2), (6.0, 1.6))
ORDERS = 3
EDGE = 10
TABLES = 8
TABLE_SHARE = 0.25
TABLE_AXES = 5
TABLE_CELL = 0.5  # in deviations of a feature axis
RANKS = (1, 2)
SWEEPS = (8, 4, 2, 1, 4, 2, 1)
LEAST_SHIFT = 24
FIT_RADIUS = 6
LINEAR_WITHIN = 1.0  # pixels, root mean square off the local affine fit of the offsets
MEDIAN = 5
LEAST_TEXTURE = 3.0  # deviation of grey levels in the patch
MIN_SEED = 80
MAX_MAPS = 12
MAX_SCALE = 2.0
SEED = 2015


@register_image_detector
class DenseCopyMove(ImageDetector):
    name = "copy-move-dense"
    version = "1"
    licence = "Apache-2.0"
    summary = "regions that lie in the picture twice, also small and smooth ones (PatchMatch)"
    paper = "Cozzolino et al., IEEE TIFS 10(11), 2015"

    def examine(self, picture: Picture) -> Finding:
        reason = too_small(picture)
        if reason:
            return cannot(reason)
        grey, scale = bounded(luma(picture.pixels), MAX_PIXELS)
        if min(grey.shape) < 4 * EDGE:
            return cannot("too narrow to hold two regions")
        plane = grey.astype(np.float32)
        textured = deviation(plane) > LEAST_TEXTURE
        textured[:EDGE] = textured[-EDGE:] = False
        textured[:, :EDGE] = textured[:, -EDGE:] = False
        if textured.sum() < 2 * MIN_SEED:
            return cannot("too flat to compare its parts")
        offsets = nearest_field(features(plane), textured)
        copies = copies_in(grey, textured, offsets)
        heatmap, mask = maps_of(copies, grey.shape, picture.pixels.shape[:2])
        return Finding(
            score=-max((copy.evidence for copy in copies), default=0.0),
            heatmap=heatmap,
            mask=mask,
            details={
                "analysed_scale": round(scale, 4),
                "copies": [copy.told(scale) for copy in copies if copy.is_copy],
                "alike_but_no_copy": sum(not copy.is_copy for copy in copies),
            },
        )


def deviation(plane: np.ndarray) -> np.ndarray:
    side = 2 * FIT_RADIUS + 1
    return np.sqrt(np.maximum(box_mean(plane**2, side) - box_mean(plane, side) ** 2, 0))


def features(plane: np.ndarray) -> np.ndarray:
    """float32 (H, W) → float32 (H, W, 9), each axis in units of its own deviation over the
    picture."""
    import cv2

    reach = np.arange(-EDGE, EDGE + 1)
    radius, angle = np.hypot(reach[:, None], reach), np.arctan2(reach[:, None], reach)
    layers = []
    for middle, width in RINGS:
        ring = np.exp(-0.5 * ((radius - middle) / width) ** 2)
        ring /= ring.sum()
        for order in range(ORDERS + 1 if middle else 1):
            parts = [cv2.filter2D(plane, cv2.CV_32F, ring * np.cos(order * angle))]
            if order:
                parts.append(cv2.filter2D(plane, cv2.CV_32F, ring * np.sin(order * angle)))
            layers.append(np.hypot(*parts) if order else parts[0])
    stacked = np.stack(layers, axis=-1)
    return stacked / (stacked.std(axis=(0, 1)) + 1e-6)


def nearest_field(described: np.ndarray, textured: np.ndarray) -> np.ndarray:
    """float32 (H, W, d) and where to look → int32 (2, H, W): rows and columns to each pixel's
    look-alike at least `LEAST_SHIFT` away; 0 where none was found."""
    field = _Field(described, textured)
    rng = np.random.default_rng(SEED)
    places = np.flatnonzero(textured)
    flat = described.reshape(-1, described.shape[-1])
    centred = flat[places] - flat[places].mean(axis=0)
    _, _, axes = np.linalg.svd(centred[:: max(1, len(centred) // 5000)], full_matrices=False)
    whitened = centred @ axes[:TABLE_AXES].T
    whitened /= whitened.std(axis=0) + 1e-6
    for _ in range(TABLES):
        chosen = np.flatnonzero(rng.random(len(places)) < TABLE_SHARE)
        bins = np.floor(whitened[chosen] / TABLE_CELL + rng.random(TABLE_AXES)).astype(np.int64)
        key = (bins - bins.min(axis=0)) @ (256 ** np.arange(TABLE_AXES))
        ranked = places[chosen[np.lexsort((rng.random(len(chosen)), key))]]
        for rank in RANKS:
            field.offer(ranked[:-rank], ranked[rank:])
            field.offer(ranked[rank:], ranked[:-rank])
    for reach in SWEEPS:
        for rows, columns in ((0, reach), (reach, 0), (0, -reach), (-reach, 0)):
            field.propagate(rows, columns)
    return field.offsets()


class _Field:
    """The best look-alike so far of each pixel."""

    def __init__(self, described: np.ndarray, textured: np.ndarray):
        self.height, self.width = textured.shape
        self.flat = np.ascontiguousarray(described.reshape(-1, described.shape[-1]))
        self.allowed = textured.ravel()
        self.places = np.flatnonzero(self.allowed)
        position = np.divmod(np.arange(self.allowed.size, dtype=np.int32), np.int32(self.width))
        self.position = np.stack(position, axis=1)
        self.target = np.full(self.allowed.size, -1, np.int64)
        self.cost = np.full(self.allowed.size, np.inf, np.float32)

    def offer(self, places: np.ndarray, targets: np.ndarray) -> None:
        """Take a target where it is allowed, far enough away, and better."""
        new = (targets != self.target[places]) & self.allowed[targets]
        places, targets = places[new], targets[new]
        off = self.position[targets] - self.position[places]
        far = np.einsum("nk,nk->n", off, off) >= LEAST_SHIFT**2
        places, targets = places[far], targets[far]
        difference = self.flat[places] - self.flat[targets]
        cost = np.einsum("nd,nd->n", difference, difference)
        better = cost < self.cost[places]
        self.cost[places[better]] = cost[better]
        self.target[places[better]] = targets[better]

    def propagate(self, rows: int, columns: int) -> None:
        """Offer each pixel the offset of the pixel so far away, and the offset that continues
        the change between the two pixels on that side."""
        step = rows * self.width + columns
        near, further = self.places + step, self.places + 2 * step
        size = self.allowed.size
        known = (near >= 0) & (near < size)
        known[known] = self.target[near[known]] >= 0
        own, near_known = self.places[known], near[known]
        self._offer_offset(own, self.target[near_known] - near_known)
        both = known & (further >= 0) & (further < size)
        both[both] = self.target[further[both]] >= 0
        own, one, two = self.places[both], near[both], further[both]
        first, second = self.target[one] - one, self.target[two] - two
        changed = first != second
        self._offer_offset(own[changed], (2 * first - second)[changed])

    def _offer_offset(self, places: np.ndarray, offset: np.ndarray) -> None:
        targets = places + offset
        inside = (targets >= 0) & (targets < self.allowed.size)
        self.offer(places[inside], targets[inside])

    def offsets(self) -> np.ndarray:
        own = np.arange(self.allowed.size)
        target = np.where(self.target >= 0, self.target, own)
        rows = target // self.width - own // self.width
        columns = target % self.width - own % self.width
        return np.stack([rows, columns]).reshape(2, self.height, self.width).astype(np.int32)


def copies_in(grey: np.ndarray, textured: np.ndarray, offsets: np.ndarray) -> list[Copy]:
    """Regions over which the offsets are linear, each with the affine map fitted to them."""
    import cv2

    smooth = np.stack([cv2.medianBlur(part.astype(np.float32), MEDIAN) for part in offsets])
    far = np.hypot(*smooth) >= LEAST_SHIFT
    steady = (textured & far & (_off_linear(smooth) < LINEAR_WITHIN)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(steady)
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    found: list[Copy] = []
    covered = np.zeros(grey.shape, bool)
    tried = 0
    for label in areas.argsort()[::-1]:
        if areas[label] < MIN_SEED or tried == MAX_MAPS:
            break
        rows, columns = np.nonzero(labels == label)
        if covered[rows, columns].mean() > 0.5:  # the other half of a copy that was found
            continue
        tried += 1
        ends = np.stack([columns + smooth[1, rows, columns], rows + smooth[0, rows, columns]], 1)
        starts = np.stack([columns, rows], axis=1).astype(np.float64)
        matrix = _affine(starts, ends)
        copy = verified(grey, matrix, starts, LEAST_SHIFT) if _plausible(matrix) else None
        if copy:
            found.append(copy)
            covered |= copy.mask
    return found


def _affine(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    design = np.column_stack([starts, np.ones(len(starts))])
    return np.linalg.lstsq(design, ends.astype(np.float64), rcond=None)[0].T


def _plausible(matrix: np.ndarray) -> bool:
    """Neither a mirror image nor strongly sheared nor scaled."""
    scales = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(
        np.linalg.det(matrix[:, :2]) > 0 and scales[0] < MAX_SCALE and scales[1] > 1 / MAX_SCALE
    )


def _off_linear(smooth: np.ndarray) -> np.ndarray:
    """Root mean square distance of the offsets from their best local affine fit, in pixels."""
    import cv2

    reach = np.arange(-FIT_RADIUS, FIT_RADIUS + 1, dtype=np.float64)
    ones = np.ones_like(reach)
    count, moment = float(len(reach) ** 2), float((reach**2).sum() * len(reach))
    left = np.zeros(smooth.shape[1:])
    for part in smooth.astype(np.float64):
        plain = cv2.sepFilter2D(part, cv2.CV_64F, ones, ones)
        across = cv2.sepFilter2D(part, cv2.CV_64F, reach, ones)
        down = cv2.sepFilter2D(part, cv2.CV_64F, ones, reach)
        power = cv2.sepFilter2D(part**2, cv2.CV_64F, ones, ones)
        left += power - plain**2 / count - (across**2 + down**2) / moment
    return np.sqrt(np.maximum(left, 0) / count)
