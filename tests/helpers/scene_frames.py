"""Frames of a made camera: a textured background, noise, things that move."""

from __future__ import annotations

import cv2
import numpy as np

SHAPE = (180, 320)


def background(seed: int = 0) -> np.ndarray:
    """uint8 (180, 320, 3): smooth surfaces with edges and texture."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(60, 190, (5, 8, 3)).astype(np.float32), SHAPE[::-1])
    fine = cv2.GaussianBlur(rng.normal(0, 30, (*SHAPE, 1)).astype(np.float32), (0, 0), 1.2)
    return np.clip(coarse + fine[..., None], 0, 255).astype(np.uint8)


def shot(plate: np.ndarray, seed: int, *boxes, colour=(20, 30, 200), light: float = 1.0):
    """The background with filled boxes in front, sensor noise, and another exposure."""
    frame = plate.astype(np.float32)
    for left, top, right, bottom in boxes:
        frame[top:bottom, left:right] = colour
    noise = np.random.default_rng(1000 + seed).normal(0, 2, frame.shape)
    return np.clip(frame * light + noise, 0, 255).astype(np.uint8)


def box_mask(box) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = True
    return mask


def iou(one: np.ndarray, two: np.ndarray) -> float:
    return float((one & two).sum() / (one | two).sum())
