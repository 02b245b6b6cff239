"""Copy-move: a region that lies in the picture twice.

I. Amerini et al., "A SIFT-based Forensic Method for Copy-Move Attack Detection and Transformation
Recovery", IEEE TIFS 6(3), 2011 (SIFT, g2NN); V. Christlein et al., "An Evaluation of Popular
Copy-Move Forgery Detection Approaches", IEEE TIFS 7(6), 2012 (refinement by correlation). Written
from the papers.

Keypoints that resemble another one far better than the next best vote, each with the turn and
scale of its own pair, for affine maps. A map counts when, laid over itself by it, the picture
agrees in its finest detail: windows of one façade look alike, but not down to the noise.
"""

from __future__ import annotations

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import cannot, luma, too_small
from forensics.detectors.image.classical.laying import bounded, maps_of, verified
from forensics.media.image import Picture

MAX_PIXELS = 1_500_000
MAX_KEYPOINTS = 5_000
CONTRAST = 0.005
NEIGHBOURS = 5
RATIO = 0.75
LEAST_SHIFT = 16.0
MAX_SEEDS = 300
MAX_MAPS = 6
SEED_REACH = 0.15  # of the distance to the seed: the error of a keypoint's own turn and scale
TOLERANCE = 2.5
LEAST_INLIERS = 4
LEAST_WIDTH = 3.0  # pixels that inliers must spread in their narrowest direction
SCALES = (0.4, 2.5)
SHEAR = 1.3


@register_image_detector
class CopyMove(ImageDetector):
    name = "copy-move"
    version = "1"
    licence = "Apache-2.0"
    summary = "regions that lie in the picture twice, also turned or scaled (SIFT, g2NN)"
    paper = "Amerini et al., IEEE TIFS 6(3), 2011; Christlein et al., IEEE TIFS 7(6), 2012"

    def examine(self, picture: Picture) -> Finding:
        reason = too_small(picture)
        if reason:
            return cannot(reason)
        grey, scale = bounded(luma(picture.pixels), MAX_PIXELS)
        pairs = matched_keypoints(grey)
        found = [verified(grey, map_, points, LEAST_SHIFT) for map_, points in affine_maps(pairs)]
        copies = [copy for copy in found if copy]
        heatmap, mask = maps_of(copies, grey.shape, picture.pixels.shape[:2])
        return Finding(
            score=-max((copy.evidence for copy in copies), default=0.0),
            heatmap=heatmap,
            mask=mask,
            details={
                "analysed_scale": round(scale, 4),
                "pairs": len(pairs) // 2,
                "copies": [copy.told(scale) for copy in copies if copy.is_copy],
                "alike_but_no_copy": sum(not copy.is_copy for copy in copies),
            },
        )


def matched_keypoints(grey: np.ndarray) -> np.ndarray:
    """uint8 (H, W) → float32 (n, 8): x, y, size, angle (radians) of a keypoint and of its match,
    by the generalised second-nearest-neighbour test (g2NN)."""
    import cv2

    sift = cv2.SIFT.create(nfeatures=MAX_KEYPOINTS, contrastThreshold=CONTRAST)
    keypoints, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None or len(keypoints) <= NEIGHBOURS:
        return np.zeros((0, 8), np.float32)
    points = np.array([(*k.pt, k.size, np.deg2rad(k.angle)) for k in keypoints], np.float32)
    # Hellinger distance instead of Euclid's (Arandjelović & Zisserman, CVPR 2012).
    roots = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6))
    first, second = [], []
    for top in range(0, len(points), 1000):
        rows = points[top : top + 1000]
        likeness = roots[top : top + 1000] @ roots.T
        away = np.hypot(*(rows[:, None, k] - points[None, :, k] for k in (0, 1)))
        likeness[away < LEAST_SHIFT] = -1
        nearest = np.argpartition(-likeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        order = np.take_along_axis(-likeness, nearest, axis=1).argsort(axis=1)
        nearest = np.take_along_axis(nearest, order, axis=1)
        best = np.clip(np.take_along_axis(likeness, nearest, axis=1), -1, 1)
        distance = np.sqrt(np.maximum(2 - 2 * best, 1e-9))
        # The k nearest all match when each is clearly nearer than the next.
        passes = np.cumprod(distance[:, :-1] < RATIO * distance[:, 1:], axis=1).astype(bool)
        row, rank = np.nonzero(passes & (best[:, :-1] > 0))
        first.append(row + top)
        second.append(nearest[row, rank])
    one, two = np.concatenate(first), np.concatenate(second)
    # Both directions of each pair, once.
    ends = np.unique(np.sort(np.stack([one, two], axis=1), axis=1), axis=0)
    pairs = np.concatenate([points[ends[:, 0]], points[ends[:, 1]]], axis=1)
    return np.concatenate([pairs, pairs[:, [4, 5, 6, 7, 0, 1, 2, 3]]])


def affine_maps(pairs: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Maps with most inliers, one after the other: float64 (2, 3) and the inliers' own points."""
    maps = []
    left = pairs
    while len(left) >= 2 * LEAST_INLIERS and len(maps) < MAX_MAPS:
        matrix, inliers = _best_map(left)
        if matrix is None:
            break
        if _plausible(matrix, left[inliers]):
            maps.append((matrix, left[inliers, :2]))
        # Each pair stands there both ways round: the map's inverse goes with it.
        back = left[:, [4, 5, 6, 7, 0, 1, 2, 3]]
        left = left[~(inliers | (_misses(matrix, back) < 2 * TOLERANCE))]
    return maps


def _best_map(pairs: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Every pair's own similarity is a hypothesis; the best is fitted to its inliers."""
    seeds = pairs[:: max(1, len(pairs) // MAX_SEEDS)]
    scale = seeds[:, 6] / seeds[:, 2]
    turn = seeds[:, 7] - seeds[:, 3]
    linear = (scale * np.exp(1j * turn))[:, None]
    start, end = pairs[:, 0] + 1j * pairs[:, 1], pairs[:, 4] + 1j * pairs[:, 5]
    from_seed = start[None, :] - (seeds[:, 0] + 1j * seeds[:, 1])[:, None]
    to_seed = end[None, :] - (seeds[:, 4] + 1j * seeds[:, 5])[:, None]
    allowed = TOLERANCE + SEED_REACH * np.minimum(np.abs(from_seed), 200)
    agree = np.abs(linear * from_seed - to_seed) < allowed
    inliers = agree[int(agree.sum(axis=1).argmax())]
    matrix = None
    for _ in range(6):
        if inliers.sum() < LEAST_INLIERS:
            return None, inliers
        matrix = _fitted(pairs[inliers])
        misses = _misses(matrix, pairs)
        inliers = misses < max(TOLERANCE, min(8.0, float(np.median(misses[inliers])) * 2))
    return matrix, inliers


def _fitted(pairs: np.ndarray) -> np.ndarray:
    design = np.column_stack([pairs[:, :2], np.ones(len(pairs))]).astype(np.float64)
    # Weak ties to pure translation keep nearly collinear points from shearing.
    middle = design[:, :2].mean(axis=0)
    design[:, :2] -= middle
    move = pairs[:, 4:6] - pairs[:, :2]
    ties = np.diag([4.0, 4.0, 0.0])
    solved = np.linalg.solve(
        design.T @ design + ties,
        design.T @ (move + pairs[:, :2] - middle) + ties @ np.array([[1, 0], [0, 1], [0, 0]]),
    )
    linear, shift = solved[:2].T, solved[2]
    return np.column_stack([linear, shift + middle - linear @ middle])


def _misses(matrix: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    mapped = pairs[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return np.hypot(*(mapped - pairs[:, 4:6]).T)


def _plausible(matrix: np.ndarray, pairs: np.ndarray) -> bool:
    """No mirror, no strong shear, and inliers at enough places that are not on one line."""
    scales = np.linalg.svd(matrix[:, :2], compute_uv=False)
    places = np.unique(np.rint(pairs[:, :2] / 2), axis=0)
    if len(places) < LEAST_INLIERS or np.linalg.det(matrix[:, :2]) <= 0:
        return False
    width = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(pairs[:, :2].T))[0], 0))
    in_range = SCALES[0] < scales[1] and scales[0] < SCALES[1]
    return bool(in_range and scales[0] / scales[1] < SHEAR and width > LEAST_WIDTH)
