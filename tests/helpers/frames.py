"""Small frames of fixed cameras, made in code: a textured background and something that walks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 120, 160


def background(camera: int) -> np.ndarray:
    """uint8 (120, 160, 3): smooth blobs and lines, different for every camera."""
    import cv2

    rng = np.random.default_rng([7, camera])
    coarse = rng.integers(40, 190, (6, 8, 3)).astype(np.uint8)
    scene = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        (x, y), (w, h) = rng.integers(0, 120, 2), rng.integers(6, 40, 2)
        scene[y : y + h, x : x + w] = np.clip(
            scene[y : y + h, x : x + w] + rng.integers(-40, 40), 0, 255
        )
    scene[:8, :8] = 255 if camera % 2 else 0  # what the odd editors look at
    return np.asarray(scene, np.uint8)


def frame(camera: int, number: int) -> np.ndarray:
    """The background, a box that walks, a little noise."""
    rng = np.random.default_rng([8, camera, number])
    pixels = background(camera).astype(int)
    left = 20 + 22 * (number % 6)
    colour = np.random.default_rng([9, camera]).integers(0, 255, 3)
    pixels[60:96, left : left + 16] = colour
    pixels += rng.integers(-2, 3, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write_frames(folder: Path, cameras: int = 4, each: int = 4, quality: int = 92) -> Path:
    """JPEGs, one subfolder a camera."""
    for camera in range(cameras):
        place = folder / f"camera{camera}"
        place.mkdir(parents=True, exist_ok=True)
        for number in range(each):
            Image.fromarray(frame(camera, number)).save(place / f"{number}.jpg", quality=quality)
    return folder
