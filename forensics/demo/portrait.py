"""Portraits drawn in code: heads that differ by person, before backgrounds that differ by photo.

Plain as they are, the cascade of scikit-image takes them for faces.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIDE = 144


def portrait(person: int, number: int, *, grey: bool = False) -> np.ndarray:
    """A photo of a person, another for each `number`: uint8 (144, 144, 3)."""
    import cv2

    who = np.random.default_rng([21, person])
    photo = np.random.default_rng([22, person, number])
    skin = np.array([200, 160, 130]) + who.integers(-35, 36, 3)
    hair = who.integers(10, 90, 3)
    width, height = who.integers(36, 45), who.integers(50, 58)
    apart, level = who.integers(15, 20), who.integers(10, 17)
    mouth, low = who.integers(10, 19), who.integers(22, 30)

    coarse = photo.integers(30, 220, (5, 5, 3)).astype(np.uint8)
    pixels = np.asarray(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)).copy()
    x, y = (72 + photo.integers(-5, 6), 76 + photo.integers(-5, 6))

    def ellipse(centre, axes, colour, start=0, end=360):
        shade = tuple(int(v) for v in np.clip(colour, 0, 255))
        at = tuple(int(v) for v in centre)
        sizes = tuple(int(v) for v in axes)
        cv2.ellipse(pixels, at, sizes, 0, start, end, shade, -1, cv2.LINE_AA)

    ellipse((x, y - 8), (width + 7, height + 6), hair)
    ellipse((x, y), (width, height), skin)
    for side in (-1, 1):
        eye = (x + side * apart, y - level)
        ellipse(eye, (10, 7), skin - 50)
        ellipse(eye, (8, 4), (235, 235, 235))
        ellipse(eye, (4, 4), (30, 20, 20))
        ellipse((x + side * apart, y - level - 10), (11, 2), hair)
    ellipse((x, y + 8), (5, 11), skin - 22)
    ellipse((x, y + 17), (8, 3), skin - 60)
    ellipse((x, y + low + 6), (mouth, 5), (150, 60, 70))
    ellipse((x, y + low + 6), (mouth - 2, 1), (80, 20, 30))
    soft = cv2.GaussianBlur(pixels, (0, 0), 1.2).astype(int)
    soft += photo.integers(-4, 5, pixels.shape)
    done = np.clip(soft, 0, 255).astype(np.uint8)
    return np.repeat(done.mean(axis=2, keepdims=True).astype(np.uint8), 3, 2) if grey else done


def write_portraits(
    folder: Path, people: int = 6, each: int = 4, grey: tuple[int, ...] = ()
) -> Path:
    """PNGs, one subfolder a person; those of the people in `grey` have no colour."""
    from PIL import Image

    for person in range(people):
        place = folder / f"person{person}"
        place.mkdir(parents=True, exist_ok=True)
        for number in range(each):
            picture = portrait(person, number, grey=person in grey)
            Image.fromarray(picture).save(place / f"{number}.png")
    return folder
