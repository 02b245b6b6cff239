"""Where the eyes of an upright frontal face are, by the means of gradients.

The centre of an eye is where most gradients of its dark round iris point away from: Timm and Barth,
"Accurate Eye Centre Localisation by Means of Gradients", VISAPP 2011.
"""

from __future__ import annotations

import cv2
import numpy as np

_WIDTH = 96  # pixels that a face's box is scaled to
_LEFT, _RIGHT = (0.31, 0.40), (0.69, 0.40)  # where eyes mostly are, in shares of the box
_REACH = (0.17, 0.14)  # half of the region searched around that, in shares of the box
_SPREAD = (0.085, 0.07)  # standard deviation of where eyes are
_STRONGEST = 0.35  # share of the gradients that vote
_CANDIDATES = 12
_TILT = np.deg2rad(12.0)  # standard deviation of how much heads lean
_GAP = (0.38, 0.06)  # mean and deviation of the distance of the eyes, in shares of the box


def find_eyes(grey: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray | None:
    """The eyes of the face in `box`.

    Args:
        grey: uint8 (H, W).
        box: of an upright frontal face, about as the cascade draws it.

    Returns:
        float32 (2, 2), x and y in pixels of the picture, the left one in the picture first; None
        where the box is too small or shows nothing that eyes could be.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if min(width, height) < 12:
        return None
    scale = _WIDTH / width
    face = cv2.resize(
        grey[top:bottom, left:right], (_WIDTH, max(round(height * scale), 1)),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )  # fmt: skip
    face = cv2.GaussianBlur(face.astype(np.float32), (0, 0), 1.0)
    sides = [_candidates(face, centre) for centre in (_LEFT, _RIGHT)]
    if any(not len(side[0]) for side in sides):
        return None
    pair = _best_pair(*sides)
    return (pair / scale + (left, top)).astype(np.float32)


def _candidates(face: np.ndarray, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Points (K, 2) in `face` and the logarithms of their scores, best first."""
    height, width = face.shape
    x0, x1 = (round((centre[0] + s * _REACH[0]) * width) for s in (-1, 1))
    y0, y1 = (round(centre[1] * height + s * _REACH[1] * width) for s in (-1, 1))
    y0 = max(y0, 0)
    region = face[y0:y1, x0:x1]
    score = _means_of_gradients(region)
    if not score.any():
        return np.zeros((0, 2)), np.zeros(0)
    rows, columns = np.mgrid[: region.shape[0], : region.shape[1]]
    off = ((columns + x0) / width - centre[0]) / _SPREAD[0]
    down = ((rows + y0) - centre[1] * height) / width / _SPREAD[1]
    logs = np.log(score / score.max() + 1e-6) * 4 - (off**2 + down**2) / 2
    logs32 = logs.astype(np.float32)
    peaks = logs32 == cv2.dilate(logs32, np.ones((5, 5), np.uint8))
    found = np.argwhere(peaks)
    order = np.argsort(-logs[peaks], kind="stable")[:_CANDIDATES]
    points = found[order][:, ::-1] + (x0, y0)
    return points.astype(float), logs[peaks][order]


def _means_of_gradients(region: np.ndarray) -> np.ndarray:
    """For every pixel of float32 (h, w): how well the gradients point away from it, times how dark
    it is; zero where nothing changes."""
    dy, dx = np.gradient(region)
    size = np.hypot(dx, dy)
    strong = size > max(float(np.quantile(size, 1 - _STRONGEST)), 0.5)
    if not strong.any():
        return np.zeros(region.shape)
    rows, columns = np.nonzero(strong)
    gx, gy = dx[strong] / size[strong], dy[strong] / size[strong]
    ys, xs = np.mgrid[: region.shape[0], : region.shape[1]]
    away_x = columns[None] - xs.reshape(-1, 1)
    away_y = rows[None] - ys.reshape(-1, 1)
    distance = np.maximum(np.hypot(away_x, away_y), 1e-6)
    along = np.maximum((away_x * gx + away_y * gy) / distance, 0)
    dark = region.max() - region
    return (along**2).mean(axis=1).reshape(region.shape) * dark


def _best_pair(
    left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """(2, 2): the two that together score best, lie level and are an eye's distance apart."""
    across = right[0][None] - left[0][:, None]
    tilt = np.arctan2(across[..., 1], across[..., 0]) / _TILT
    gap = (np.hypot(across[..., 0], across[..., 1]) / _WIDTH - _GAP[0]) / _GAP[1]
    total = left[1][:, None] + right[1][None] - (tilt**2 + gap**2) / 2
    i, j = np.unravel_index(int(total.argmax()), total.shape)
    return np.stack([left[0][i], right[0][j]])
