"""Drawn people in drawn places: what they are like is known in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

SIDE = 48
_SCALE = 4
_BIG = SIDE * _SCALE

# Colours are RGB.
SKIN = {
    "pale": (250, 224, 205),
    "tan": (222, 172, 128),
    "brown": (150, 96, 62),
    "dark": (84, 54, 40),
}
HAIR = {
    "black": (24, 20, 24), "auburn": (132, 52, 20), "blond": (236, 204, 104),
    "grey": (168, 168, 172), "copper": (226, 98, 32),
}  # fmt: skip
STYLE = {"short": 0, "long": 1, "bun": 2}
GLASSES = {"bare": 0, "round": 1, "shaded": 2}
CLOTHES = {
    "blue": (40, 70, 200), "green": (36, 140, 60), "white": (240, 240, 240),
    "yellow": (250, 220, 40), "purple": (140, 40, 160),
}  # fmt: skip
PLACES = {
    "beach": ((120, 200, 250), (240, 220, 160)), "forest": ((30, 90, 40), (70, 60, 30)),
    "office": ((215, 210, 200), (150, 140, 130)), "snow": ((205, 220, 235), (250, 250, 255)),
    "night": ((18, 18, 44), (44, 40, 60)),
}  # fmt: skip
THINGS = {"ball": 0, "book": 1, "cup": 2, "flower": 3}

LOOKS: dict[str, tuple[str, ...]] = {
    "skin": tuple(SKIN),
    "hair": tuple(HAIR),
    "style": tuple(STYLE),
    "glasses": tuple(GLASSES),
    "clothes": tuple(CLOTHES),
}
SCENES: dict[str, tuple[str, ...]] = {"place": tuple(PLACES), "thing": tuple(THINGS)}
FACE_SLOTS = ("skin", "hair", "style", "glasses")
GRAIN = ("sharp", "soft", "grainy")
Edit = Literal["seam", "noise", "blur"]
EDITS: tuple[Edit, ...] = ("seam", "noise", "blur")


@dataclass(frozen=True)
class Person:
    """Who somebody is.

    Attributes:
        looks: a word for each slot of `LOOKS`.
        places, things: where they are usually seen, and with what.
    """

    looks: Mapping[str, str]
    places: tuple[str, ...]
    things: tuple[str, ...]


def person(rng: np.random.Generator) -> Person:
    looks = {slot: str(rng.choice(words)) for slot, words in LOOKS.items()}
    places = tuple(map(str, rng.choice(SCENES["place"], 2, replace=False)))
    things = tuple(map(str, rng.choice(SCENES["thing"], 2, replace=False)))
    return Person(looks, places, things)


def other_than(word: str, words: tuple[str, ...], rng: np.random.Generator) -> str:
    return str(rng.choice([one for one in words if one != word]))


def drawn(looks: Mapping[str, str], place: str, thing: str, rng: np.random.Generator) -> np.ndarray:
    """A photo, uint8 (48, 48, 3) RGB: the face is aligned but for a little,
    expression, light and grain are drawn anew."""
    picture = np.zeros((_BIG, _BIG, 3), np.float32)
    sky, ground = PLACES[place]
    horizon = int(_BIG * rng.uniform(0.5, 0.7))
    picture[:horizon], picture[horizon:] = sky, ground
    scale = rng.uniform(0.95, 1.05)
    x, y = _BIG * rng.uniform(0.47, 0.53), _BIG * rng.uniform(0.39, 0.43)
    half, high = 34 * scale, 44 * scale
    hair, skin = HAIR[looks["hair"]], SKIN[looks["skin"]]
    _behind(picture, looks, x, y, half, high, hair)
    _ellipse(picture, x, y + 2.4 * high, 1.9 * half, 1.3 * high, CLOTHES[looks["clothes"]])
    _ellipse(picture, x, y + 0.9 * high, 0.4 * half, 0.5 * high, skin)
    _ellipse(picture, x, y, half, high, skin)
    cv2.ellipse(
        picture, _at(x, y - 0.45 * high), _at(1.02 * half, 0.6 * high), 0, 180, 360, hair, -1
    )
    _features(picture, looks, x, y, half, high, rng)
    _thing(picture, thing, rng)
    light = rng.uniform(0.8, 1.12) * rng.uniform(0.95, 1.05, 3)
    small = cv2.resize(picture * light, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return _grained(small, rng)


def edited(pixels: np.ndarray, kind: Edit, rng: np.random.Generator) -> np.ndarray:
    """The same picture with a patch over the face that was pasted, made noisy or blurred: what
    is shown stays the same."""
    radius = int(rng.integers(9, 14))
    x, y = int(rng.integers(16, SIDE - 16)), int(rng.integers(12, SIDE - 16))
    disc = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(disc, (x, y), radius, 1.0, -1)
    whole = pixels.astype(np.float32)
    if kind == "noise":
        changed = whole + rng.normal(0, 40, whole.shape)
    elif kind == "blur":
        changed = cv2.GaussianBlur(whole, (0, 0), 1.8)
    else:
        rim = disc - cv2.erode(disc, np.ones((5, 5), np.uint8))
        changed, disc = whole + 70 * rng.choice([-1, 1]), rim
    mixed = whole + disc[..., None] * (changed - whole)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def treated(pixels: np.ndarray, grain: str, rng: np.random.Generator) -> np.ndarray:
    """A whole photo that is sharp, as it is; soft, out of focus; or grainy."""
    if grain == "sharp":
        return pixels
    whole = pixels.astype(np.float32)
    if grain == "soft":
        whole = cv2.GaussianBlur(whole, (0, 0), rng.uniform(0.9, 2.0))
    else:
        whole = whole + rng.normal(0, rng.uniform(9, 22), whole.shape)
    return np.clip(np.round(whole), 0, 255).astype(np.uint8)


def _grained(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy = picture + rng.normal(0, 3.0, picture.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def _at(x: float, y: float) -> tuple[int, int]:
    return round(x), round(y)


def _ellipse(
    picture: np.ndarray, x: float, y: float, a: float, b: float, colour: tuple[int, ...]
) -> None:
    cv2.ellipse(picture, _at(x, y), _at(a, b), 0, 0, 360, colour, -1)


def _behind(
    picture: np.ndarray,
    looks: Mapping[str, str],
    x: float,
    y: float,
    half: float,
    high: float,
    hair: tuple[int, ...],
) -> None:
    """Hair that is behind the head."""
    if looks["style"] == "long":
        _ellipse(picture, x, y + 0.5 * high, 1.45 * half, 1.6 * high, hair)
    elif looks["style"] == "bun":
        _ellipse(picture, x, y - 1.15 * high, 0.5 * half, 0.45 * high, hair)
    _ellipse(picture, x, y - 0.1 * high, 1.12 * half, 1.05 * high, hair)


def _features(
    picture: np.ndarray,
    looks: Mapping[str, str],
    x: float,
    y: float,
    half: float,
    high: float,
    rng: np.random.Generator,
) -> None:
    for side in (-1, 1):
        eye = _at(x + side * 0.42 * half, y)
        if looks["glasses"] == "shaded":
            cv2.circle(picture, eye, round(0.38 * half), (10, 10, 10), -1)
            continue
        cv2.circle(picture, eye, round(0.1 * half), (30, 30, 40), -1)
        if looks["glasses"] == "round":
            cv2.circle(picture, eye, round(0.36 * half), (220, 30, 40), 5)
    if looks["glasses"] != "bare":
        cv2.line(picture, _at(x - 0.1 * half, y), _at(x + 0.1 * half, y), (30, 20, 20), 4)
    smile = rng.uniform(-0.1, 0.25) * high
    ends = [_at(x + side * 0.3 * half, y + 0.52 * high) for side in (-1, 1)]
    cv2.ellipse(
        picture, _at(x, ends[0][1]), _at(0.3 * half, abs(smile)), 0, 0, 180, (150, 50, 60), 4
    )


def _thing(picture: np.ndarray, thing: str, rng: np.random.Generator) -> None:
    """What is seen beside the person."""
    x, y = _BIG * rng.uniform(0.84, 0.9), _BIG * rng.uniform(0.78, 0.88)
    if thing == "ball":
        cv2.circle(picture, _at(x, y), 18, (230, 40, 40), -1)
        cv2.circle(picture, _at(x, y), 8, (250, 250, 250), -1)
    elif thing == "book":
        cv2.rectangle(picture, _at(x - 18, y - 22), _at(x + 18, y + 22), (60, 40, 20), -1)
        cv2.rectangle(picture, _at(x - 11, y - 22), _at(x + 18, y + 22), (230, 130, 60), -1)
    elif thing == "cup":
        cv2.rectangle(picture, _at(x - 13, y - 20), _at(x + 13, y + 20), (0, 190, 200), -1)
        cv2.rectangle(picture, _at(x - 13, y - 20), _at(x + 13, y - 10), (255, 255, 255), -1)
    else:
        cv2.line(picture, _at(x, y), _at(x, y + 28), (20, 160, 20), 7)
        cv2.circle(picture, _at(x, y - 6), 15, (250, 120, 200), -1)
        cv2.circle(picture, _at(x, y - 6), 6, (255, 240, 60), -1)
