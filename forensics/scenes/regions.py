"""Binary masks: cleaning, components, boxes, and the finer outline that GrabCut draws."""

from __future__ import annotations

import cv2
import numpy as np

_CUT_SIDE = 200  # pixels: long side at which GrabCut runs in a box

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels, right and bottom exclusive."""


def box_of(mask: np.ndarray) -> Box:
    """The smallest box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def overlap(one: Box, two: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    common = max(width, 0) * max(height, 0)
    union = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, two)) - common
    return common / union


def ellipse(height: int, width: int) -> np.ndarray:
    """bool (height, width): the ellipse that fills it; its centre is always inside."""
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    return np.hypot(y[:, None], x[None, :]) <= 1.0


def ellipse_kernel(width: int, height: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (max(width, 1), max(height, 1)))


def cleaned(mask: np.ndarray) -> np.ndarray:
    """Specks gone, the parts of one thing (head, legs) joined, holes filled."""
    image = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, ellipse_kernel(3, 3))
    reach = max(3, round(max(mask.shape) / 70) | 1)
    image = cv2.morphologyEx(image, cv2.MORPH_CLOSE, ellipse_kernel(reach, round(reach * 1.6) | 1))
    return filled(image > 0)


def filled(mask: np.ndarray) -> np.ndarray:
    """Holes filled."""
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    canvas = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(canvas, contours, -1, 1, thickness=cv2.FILLED)
    return canvas > 0


def components(mask: np.ndarray, least: int, most: int) -> list[np.ndarray]:
    """Connected regions of `least` to `most` pixels, each a mask, the largest first."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    sizes = {i: int(stats[i, cv2.CC_STAT_AREA]) for i in range(1, count)}
    fitting = [i for i, size in sizes.items() if least <= size <= most]
    return [labels == i for i in sorted(fitting, key=lambda i: (-sizes[i], i))]


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected region; empty of an empty mask."""
    found = components(mask, 1, mask.size)
    return found[0] if found else np.zeros(mask.shape, bool)


def outlined(pixels: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """GrabCut (Rother et al. 2004) from a guess: its core is sure, a rim around it is open.

    Returns:
        bool (h, w), one region. The guess itself where the cut runs away or finds nothing.
    """
    left, top, right, bottom = box_of(guess)
    pad = max(4, round(0.25 * max(right - left, bottom - top)))
    window = np.s_[max(top - pad, 0) : bottom + pad, max(left - pad, 0) : right + pad]
    inside = guess[window]
    rim = max(3, round(0.12 * min(right - left, bottom - top)))
    core = cv2.erode(inside.astype(np.uint8), ellipse_kernel(rim, rim), borderValue=0) > 0
    near = cv2.dilate(inside.astype(np.uint8), ellipse_kernel(2 * rim + 1, 2 * rim + 1)) > 0
    if not core.any() or near.all():
        return guess
    labels = np.full(inside.shape, cv2.GC_BGD, np.uint8)
    labels[near] = cv2.GC_PR_BGD
    labels[inside] = cv2.GC_PR_FGD
    labels[core] = cv2.GC_FGD
    cut = _grabcut(pixels[window], labels)
    found = filled(largest(cut))
    if not 0.5 * inside.sum() <= found.sum() <= 1.6 * inside.sum():
        return guess
    result = np.zeros(guess.shape, bool)
    result[window] = found
    return result


def outlined_near(pixels: np.ndarray, box: Box) -> np.ndarray:
    """What is in a box, by GrabCut with all inside of it open and nothing else known.

    Works at a reduced size around the box.

    Returns:
        bool (H, W), not empty; the ellipse in the box where the cut finds too little.
    """
    left, top, right, bottom = box
    height, width = bottom - top, right - left
    pad = max(8, round(0.3 * max(width, height)))
    y0, x0 = max(top - pad, 0), max(left - pad, 0)
    window = pixels[y0 : bottom + pad, x0 : right + pad]
    inside = np.zeros(window.shape[:2], np.uint8)
    inside[top - y0 : bottom - y0, left - x0 : right - x0] = 1
    scale = min(1.0, _CUT_SIDE / max(window.shape[:2]))
    size = (max(1, round(window.shape[1] * scale)), max(1, round(window.shape[0] * scale)))
    small = cv2.resize(window, size, interpolation=cv2.INTER_AREA)
    opened = cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST)
    labels = np.where(opened > 0, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    mask = np.zeros(pixels.shape[:2], bool)
    if 0 < opened.sum() < opened.size:
        cut = enlarged(filled(largest(_grabcut(small, labels))), window.shape[:2])
        mask[y0 : y0 + cut.shape[0], x0 : x0 + cut.shape[1]] = cut & (inside > 0)
    if mask.sum() < 0.15 * height * width:
        mask[top:bottom, left:right] = ellipse(height, width)
    return mask


def _grabcut(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    cv2.setRNGSeed(0)  # its k-means draws from OpenCV's global generator
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(
            np.ascontiguousarray(pixels), labels, (0, 0, 0, 0), *models, 2, cv2.GC_INIT_WITH_MASK
        )
    except cv2.error:  # too few pixels on one side for its mixtures
        return np.zeros(labels.shape, bool)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def enlarged(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask at another size, with smooth edges; never empty of one that is not."""
    height, width = shape
    if mask.shape == (height, width):
        return mask
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    grown = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    if grown.any():
        return grown
    hard = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return hard > 0
