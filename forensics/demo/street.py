"""Rendered streets seen by fixed cameras: frames that nobody's rights or face are in.

They stand in for real frames in the demo and in pictures of the documentation. They have what the
chain needs (a fixed background, things that move, a sensor's mosaic and noise, JPEG), and are no
substitute for photographs: nothing is ever measured on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Colour = tuple[float, float, float]
_CARS: tuple[Colour, ...] = (
    (0.7, 0.12, 0.1),
    (0.15, 0.25, 0.6),
    (0.85, 0.85, 0.82),
    (0.2, 0.2, 0.22),
)
_COATS: tuple[Colour, ...] = (
    (0.5, 0.2, 0.2),
    (0.2, 0.35, 0.25),
    (0.25, 0.25, 0.4),
    (0.6, 0.5, 0.3),
)


@dataclass
class _Mover:
    """Something that crosses the street: where it is at frame 0, how far it goes a frame."""

    kind: str
    x: float
    depth: float  # 0 at the horizon, 1 at the lower edge
    speed: float
    colour: Colour


class Street:
    """One camera.

    Args:
        seed: another seed is another camera.
        size: (width, height) in pixels.
    """

    def __init__(self, seed: int, size: tuple[int, int] = (640, 360)):
        self.seed, (self.width, self.height) = seed, size
        rng = np.random.default_rng([seed, 0])
        self.horizon = int(self.height * rng.uniform(0.3, 0.45))
        self.background = self._background(rng)
        self.movers = [self._mover(rng) for _ in range(rng.integers(3, 6))]

    def frame(self, number: int) -> np.ndarray:
        """uint8 (H, W, 3) RGB: what the camera sees at that time, through mosaic and noise."""
        scene = self.background.copy()
        for mover in sorted(self.movers, key=lambda m: m.depth):
            self._draw(scene, mover, number)
        rng = np.random.default_rng([self.seed, 1, number])
        return _sensor(scene * rng.uniform(0.97, 1.03), rng)

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        import cv2

        rows = np.linspace(0, 1, self.height, dtype=np.float32)[:, None, None]
        sky, ground = np.array([0.62, 0.72, 0.84]), np.array([0.36, 0.36, 0.37])
        scene = np.where(
            rows < self.horizon / self.height, sky * (1.1 - rows), ground * (0.7 + rows / 2)
        )
        scene = np.broadcast_to(scene, (self.height, self.width, 3)).astype(np.float32).copy()
        left = 0
        while left < self.width:
            width = int(rng.uniform(0.1, 0.25) * self.width)
            top = int(self.horizon * rng.uniform(0.1, 0.7))
            wall = (rng.uniform(0.35, 0.7) * rng.uniform(0.85, 1.1, 3) * [1, 0.92, 0.84]).astype(
                np.float32
            )
            house = scene[top : self.horizon + 4, left : left + width]
            house[:] = wall * _grain(rng, house.shape[:2], 0.12)[..., None]
            for y in range(8, house.shape[0] - 12, 22):
                for x in range(8, house.shape[1] - 12, 20):
                    house[y : y + 12, x : x + 9] = rng.uniform(0.1, 0.35)
            left += width + int(rng.uniform(0, 0.04) * self.width)
        road = scene[self.horizon + 4 :]
        road *= _grain(rng, road.shape[:2], 0.18)[..., None]
        centre = (int(self.width * rng.uniform(0.35, 0.65)), self.horizon)
        for share in np.linspace(-0.6, 1.6, 6):
            foot = (int(self.width * share), self.height)
            cv2.line(scene, centre, foot, (0.72, 0.72, 0.66), 2, cv2.LINE_AA)
        return cv2.GaussianBlur(scene, (0, 0), 0.7)

    def _mover(self, rng: np.random.Generator) -> _Mover:
        kind = str(rng.choice(["car", "person"]))
        colours = _CARS if kind == "car" else _COATS
        speed = rng.uniform(0.05, 0.11) if kind == "car" else rng.uniform(0.02, 0.05)
        return _Mover(
            kind,
            float(rng.uniform(0, 1)),
            float(rng.uniform(0.15, 0.85)),
            float(speed * rng.choice([-1, 1])),
            colours[rng.integers(len(colours))],
        )

    def _draw(self, scene: np.ndarray, mover: _Mover, number: int) -> None:
        import cv2

        x = int(((mover.x + mover.speed * number) % 1.2 - 0.1) * self.width)
        foot = int(self.horizon + mover.depth * (self.height - self.horizon))
        unit = self.height * (0.04 + 0.14 * mover.depth)  # half a person's height
        red, green, blue = mover.colour
        dark = (0.35 * red, 0.35 * green, 0.35 * blue)
        cv2.ellipse(
            scene, (x, foot), (int(unit * 0.9), int(unit * 0.15)), 0, 0, 360, (0.15,) * 3, -1
        )
        if mover.kind == "person":
            _box(scene, x - unit * 0.22, foot - unit * 0.9, unit * 0.44, unit * 0.9, dark)
            _box(scene, x - unit * 0.3, foot - unit * 1.7, unit * 0.6, unit * 0.9, mover.colour)
            head = (x, int(foot - unit * 1.9))
            cv2.circle(scene, head, max(2, int(unit * 0.22)), (0.7, 0.55, 0.45), -1, cv2.LINE_AA)
            return
        _box(scene, x - unit * 1.6, foot - unit * 0.8, unit * 3.2, unit * 0.65, mover.colour)
        _box(scene, x - unit * 0.9, foot - unit * 1.35, unit * 1.7, unit * 0.6, dark)
        for side in (-1, 1):
            wheel = (int(x + side * unit), int(foot - unit * 0.15))
            cv2.circle(scene, wheel, max(2, int(unit * 0.3)), (0.06,) * 3, -1, cv2.LINE_AA)


def _box(
    scene: np.ndarray, left: float, top: float, width: float, height: float, colour: Colour
) -> None:
    """A shaded box, lighter at the top."""
    y0, y1 = (int(np.clip(v, 0, scene.shape[0])) for v in (top, top + height))
    x0, x1 = (int(np.clip(v, 0, scene.shape[1])) for v in (left, left + width))
    if y1 > y0 and x1 > x0:
        shade = np.linspace(1.15, 0.8, y1 - y0, dtype=np.float32)[:, None, None]
        scene[y0:y1, x0:x1] = np.array(colour, np.float32) * shade


def _grain(rng: np.random.Generator, shape: tuple[int, int], strength: float) -> np.ndarray:
    """float32 (H, W) around 1: rough at several scales, as walls and asphalt are."""
    import cv2

    texture = np.zeros(shape, np.float32)
    for scale in (1, 4, 16):
        small = rng.standard_normal((shape[0] // scale + 1, shape[1] // scale + 1))
        texture += cv2.resize(small.astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return 1 + strength * texture / 3


def _sensor(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Linear light (H, W, 3) in [0, 1] → noise on a Bayer mosaic → demosaiced sRGB-like uint8."""
    import cv2

    rows, columns = (np.arange(extent) % 2 for extent in scene.shape[:2])
    channel = rows[:, None] + columns  # R G over G B
    mosaic = np.take_along_axis(np.clip(scene, 0, 1), channel[..., None], 2)[..., 0]
    mosaic = mosaic + rng.standard_normal(mosaic.shape) * np.sqrt(1e-4 + 6e-4 * mosaic)
    raw = np.round(np.clip(mosaic, 0, 1) * 65_535).astype(np.uint16)
    linear = cv2.cvtColor(raw, cv2.COLOR_BayerBG2BGR)[..., ::-1] / 65_535
    return np.round(255 * np.clip(linear, 0, 1) ** (1 / 1.5)).astype(np.uint8)


def write_streets(
    folder: Path, cameras: int = 8, frames: int = 6, size: tuple[int, int] = (640, 360)
) -> Path:
    """JPEG 92 frames in one subfolder a camera, as a source for `build-dataset`."""
    from PIL import Image

    for camera, number, pixels in _frames(cameras, frames, size):
        place = folder / f"camera-{camera:02d}" / f"{number:03d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place, quality=92)
    return folder


def _frames(
    cameras: int, frames: int, size: tuple[int, int]
) -> Iterator[tuple[int, int, np.ndarray]]:
    for camera in range(cameras):
        street = Street(camera, size)
        for number in range(frames):
            yield camera, number, street.frame(number)
