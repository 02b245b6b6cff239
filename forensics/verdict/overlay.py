"""Pictures of a verdict on a picture: the raw map, and one for people."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

from forensics.verdict.image_judge import Seen
from forensics.verdict.schema import FaceResult, Region, Verdict

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE = 2048  # of an overlay: larger pictures are shrunk, for they are to be looked at
THUMBNAIL_SIDE = 640
_MIN_WIDTH = 320
_STRONGEST = 0.65  # opacity of heat 1
_FAINTEST = 0.1  # heat below is not drawn
_YELLOW, _RED = np.array([255.0, 214.0, 64.0]), np.array([200.0, 24.0, 32.0])
_JUDGED = (46, 125, 91)
_INK, _PAPER, _SOFT = (29, 39, 51), (255, 255, 255), (91, 107, 125)


def heat_png(heatmap: np.ndarray) -> bytes:
    """uint8 (H, W) → the raw map: an 8-bit grey PNG of that size, 255 = manipulated."""
    from PIL import Image

    return _png(Image.fromarray(heatmap))


def overlay_png(verdict: Verdict, seen: Seen) -> bytes:
    """Heat over the picture, numbered boxes around the regions, who faces are, a legend below."""
    return _png(_overlay(verdict, seen, MAX_SIDE))


def thumbnail(verdict: Verdict, seen: Seen) -> str:
    """The same, small, as a data URI."""
    buffer = io.BytesIO()
    _overlay(verdict, seen, THUMBNAIL_SIDE).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _overlay(verdict: Verdict, seen: Seen, most: int) -> Image:
    from PIL import Image

    height, width = seen.pixels.shape[:2]
    scale = min(most / max(height, width), max(1.0, _MIN_WIDTH / width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(seen.pixels).resize(size, Image.Resampling.BOX)
    if seen.heatmap is not None:
        heat = Image.fromarray(seen.heatmap).resize(size, Image.Resampling.BOX)
        picture = Image.fromarray(_heated(np.asarray(picture), np.asarray(heat) / 255))
    shrink = (size[0] / width, size[1] / height)
    _draw_faces(picture, verdict.faces, shrink)
    _draw_regions(picture, seen.regions, shrink)
    return _with_legend(picture, verdict, seen.heatmap is not None)


def _heated(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) and float32 (H, W) → uint8: from clear over yellow to red."""
    strength = np.clip((heat - _FAINTEST) / (1 - _FAINTEST), 0, 1)[..., None]
    colour = _YELLOW + (_RED - _YELLOW) * strength
    opacity = _STRONGEST * np.sqrt(strength)
    return (pixels * (1 - opacity) + colour * opacity).round().astype(np.uint8)


def _draw_faces(picture: Image, faces: tuple[FaceResult, ...], scale: tuple[float, float]) -> None:
    """A box a face, green where it was judged; below it whom it is like, and how much."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    for face in faces:
        left, top, right, bottom = _scaled(face.box, scale)
        judged = face.view is not None
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_PAPER, width=3)
        draw.rectangle((left, top, right, bottom), outline=_JUDGED if judged else _SOFT, width=1)
        if face.identities:
            first = face.identities[0]
            said = f"{first.slug} {first.similarity:.2f}{'' if first.matched else ' no'}"
            where = (left + 3, max(top, bottom - 13))
            draw.text(where, said, fill=_PAPER, stroke_width=2, stroke_fill=_INK)


def _scaled(
    box: tuple[int, int, int, int], scale: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Left, top, and the last column and row of a box in the picture as it is drawn."""
    left, top, right, bottom = (round(edge * scale[axis % 2]) for axis, edge in enumerate(box))
    return left, top, max(right - 1, left), max(bottom - 1, top)


def _draw_regions(picture: Image, regions: tuple[Region, ...], scale: tuple[float, float]) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    for number, region in enumerate(regions, 1):
        box = _scaled(region.box, scale)
        draw.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), outline=_PAPER, width=3)
        draw.rectangle(box, outline=_INK, width=1)
        spot = (box[0] + 3, box[1] + 2)
        draw.text(spot, str(number), fill=_PAPER, stroke_width=2, stroke_fill=_INK)


def _with_legend(picture: Image, verdict: Verdict, heated: bool) -> Image:
    """A strip below: the label, and what the colours mean."""
    from PIL import Image, ImageDraw, ImageFont

    strip = 44
    width = max(picture.width, _MIN_WIDTH)
    canvas = Image.new("RGB", (width, picture.height + strip), _PAPER)
    canvas.paste(picture)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    p = "" if verdict.p_manipulated is None else f", p {verdict.p_manipulated:.3f}"
    top = picture.height + 4
    draw.text((6, top), f"{verdict.label}{p} ({verdict.reason})", fill=_INK, font=font)
    if heated:
        ramp = np.tile(np.linspace(0, 1, 96, dtype=np.float32), (10, 1))
        canvas.paste(
            Image.fromarray(_heated(np.full((10, 96, 3), 255, np.uint8), ramp)),
            (18, 26 + picture.height),
        )
        draw.text((6, top + 18), "0", fill=_SOFT, font=font)
        draw.text((120, top + 18), "1 = manipulated", fill=_SOFT, font=font)
    return canvas


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
