"""Cutting a person out of a photo: head, or head and shoulders."""

from __future__ import annotations

import cv2
import numpy as np

from forensics.faces.align import crop_to_picture
from forensics.generators.face.base import Portrait

_WORK = 160  # pixels of the longer side that GrabCut works at
_ROUNDS = 4
_FILLED = 320  # pixels of the longer side that holes are filled at
_SURE_FACE = (56.0, 68.0, 26.0, 36.0)  # middle and half axes in crop pixels: surely the person
_HEAD = (56.0, 52.0, 54.0, 72.0)  # beyond is no head
_SHOULDERS = (108.0, 130.0)  # heights in crop pixels between which the body is searched from


def head_cut(portrait: Portrait) -> np.ndarray:
    """bool (H, W): face and hair, as far as they can be told from what is behind."""
    to_crop = _to_crop(portrait)
    x, y = _crop_places(to_crop, portrait.pixels.shape)
    head = _inside(x, y, _HEAD)
    return _largest(_segmented(portrait.pixels, head, _inside(x, y, _SURE_FACE)) & head)


def figure_cut(portrait: Portrait) -> np.ndarray:
    """bool (H, W): head, neck and shoulders down to the picture's lower edge."""
    to_crop = _to_crop(portrait)
    x, y = _crop_places(to_crop, portrait.pixels.shape)
    half = 54 + np.clip((y - _SHOULDERS[0]) / (_SHOULDERS[1] - _SHOULDERS[0]), 0, 1) * 90
    possible = _inside(x, y, _HEAD) | ((y > _HEAD[1]) & (np.abs(x - 56) < half))
    chest = (y > 150) & (np.abs(x - 56) < 30)
    return _largest(_segmented(portrait.pixels, possible, _inside(x, y, _SURE_FACE) | chest))


def without(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) with a hole filled from around it, coarsely (Telea 2004)."""
    height, width = hole.shape
    scale = min(1.0, _FILLED / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
    where = cv2.resize(hole.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    if where.all():
        return pixels
    filled = cv2.inpaint(small, cv2.dilate(where, np.ones((3, 3), np.uint8)), 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(hole[..., None], filled, pixels)


def _segmented(pixels: np.ndarray, possible: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """GrabCut (Rother et al. 2004) within `possible`, with `sure` given."""
    height, width = possible.shape
    scale = min(1.0, _WORK / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
    marks = np.where(possible, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    marks[sure] = cv2.GC_FGD
    marks = cv2.resize(marks, size, interpolation=cv2.INTER_NEAREST)
    if (marks == cv2.GC_BGD).sum() < 16 or (marks == cv2.GC_FGD).sum() < 16:
        return possible  # nothing is left to learn the one or the other from
    cv2.setRNGSeed(0)  # GrabCut's k-means draws from OpenCV's own generator
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, marks, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)  # pyright: ignore
    person = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    smooth = cv2.GaussianBlur(person, (0, 0), 1.0)
    return cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected part, its holes filled."""
    from scipy.ndimage import binary_fill_holes

    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    best = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    filled = binary_fill_holes(labels == best)
    return np.asarray(filled, bool)


def _to_crop(portrait: Portrait) -> np.ndarray:
    to_picture = np.vstack([crop_to_picture(portrait.face), [0, 0, 1]]).astype(np.float64)
    return np.linalg.inv(to_picture)[:2]


def _crop_places(to_crop: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """float64 (H, W) twice: where every pixel lies in the face's crop."""
    x, y = np.arange(shape[1]), np.arange(shape[0])[:, None]
    (a, b, c), (d, e, f) = to_crop
    return a * x + b * y + c, d * x + e * y + f


def _inside(x: np.ndarray, y: np.ndarray, oval: tuple[float, float, float, float]) -> np.ndarray:
    middle_x, middle_y, across, down = oval
    return ((x - middle_x) / across) ** 2 + ((y - middle_y) / down) ** 2 < 1
