"""The door for still images: `read_image` decodes what nobody vouches for into a `Picture`."""

from __future__ import annotations

import io
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

import numpy as np

from forensics.errors import MediaError
from forensics.media.raw import ByteSource, RawFile

_MASK_THRESHOLD = 127
_PNG_LEVEL = 3  # half the time of zlib's default level for 3 % more bytes


@dataclass(frozen=True)
class Picture:
    """A decoded image, with what its file says of how it was compressed.

    Attributes:
        pixels: uint8 (H, W, 3) RGB **as stored**: block grids lie where the encoder put them.
        format: "jpeg", "png", "webp", …; "pixels" for an array that came without a file.
        quantisation: of a JPEG its tables, int (8, 8) each in natural (not zigzag) order, luma
            first; empty for all else.
        subsampling: of a JPEG "4:4:4", "4:2:2", "4:2:0", …; None for all else.
        orientation: EXIF orientation, 1 to 8: how viewers turn the pixels.
        exif: the tags that say what made the file (software, make, model, times), as text.
        notes: what was changed in decoding (alpha dropped, 16 bit reduced, first of n frames).
    """

    pixels: np.ndarray
    format: str = "pixels"
    quantisation: tuple[np.ndarray, ...] = ()
    subsampling: str | None = None
    orientation: int = 1
    exif: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    def upright(self, array: np.ndarray) -> np.ndarray:
        """(H, W, …) in the stored orientation → as viewers show it."""
        turned = array
        if self.orientation in (5, 6, 7, 8):
            turned = turned.swapaxes(0, 1)
        flip_rows = self.orientation in (3, 4, 7, 8)
        flip_columns = self.orientation in (2, 3, 6, 7)
        if flip_rows:
            turned = turned[::-1]
        return np.ascontiguousarray(turned[:, ::-1] if flip_columns else turned)

    def upright_box(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in the stored orientation → as viewers show it."""
        left, top, right, bottom = box
        width, height = self.width, self.height
        if self.orientation in (5, 6, 7, 8):
            left, top, right, bottom = top, left, bottom, right
            width, height = height, width
        if self.orientation in (3, 4, 7, 8):
            top, bottom = height - bottom, height - top
        if self.orientation in (2, 3, 6, 7):
            left, right = width - right, width - left
        return left, top, right, bottom


@dataclass(frozen=True)
class ImageLimits:
    """What an untrusted picture may cost. Beyond them reading stops with a `MediaError`.

    `max_pixels` counts width times height and is compared with the header, before decoding.
    """

    max_bytes: int = 512 << 20
    max_pixels: int = 100_000_000
    min_side: int = 1


_LIMITS = ImageLimits()


def read_image(source: ByteSource | RawFile, limits: ImageLimits = _LIMITS) -> Picture:
    """Decode a file or its bytes; content decides how, the name never does.

    Of animated and multi-page files the first picture is read. Alpha is dropped, CMYK converted,
    16 bit reduced to 8, a TIFF turned upright; each is noted. Colour profiles are not applied.

    Raises:
        MediaError: `not_found`, `not_readable`, `empty`, `not_media`, `unsupported_modality`,
            `unsupported` (HEIC, float pixels), `truncated` (cut or damaged), `too_large`,
            `too_small`.
    """
    from forensics.media import image_decode, image_facts

    with _raw(source, limits) as raw:
        with image_decode.opened(raw, limits.max_pixels, limits.min_side) as image:
            pixels, changes = image_decode.decode(image, raw.name)
            # Not before the pixels: asked for the EXIF of a PNG, Pillow decodes it first.
            orientation, exif, facts = image_facts.making(image)
            tables, sampling = image_facts.quantisation(image), image_facts.subsampling(image)
        content = raw.content
        assert content is not None  # opened
        suffix = PurePath(raw.name).suffix.lower()
        wrong = raw.name != "<bytes>" and suffix and suffix not in content.extensions
        lie = (f"the name ends in {suffix} but the content is {content.container}",)
    return Picture(
        pixels,
        content.container,
        tables,
        sampling,
        orientation,
        exif,
        (*(lie if wrong else ()), *changes, *facts),
    )


def read_mask(
    source: ByteSource | RawFile,
    size: tuple[int, int] | None = None,
    limits: ImageLimits = _LIMITS,
) -> np.ndarray:
    """bool (H, W), True = manipulated: where the brightest channel is above 127.

    Args:
        size: (height, width) that the mask must have.

    Raises:
        MediaError: as `read_image`; `wrong_size`; `unsupported` when the values are 0 and 1, which
            would read as a mask without any manipulation.
    """
    pixels = read_image(source, limits).pixels
    name = _name(source)
    if size is not None and pixels.shape[:2] != tuple(size):
        height, width = pixels.shape[:2]
        raise MediaError(
            "wrong_size",
            f"{name}: the mask is {width} x {height}, its image {size[1]} x {size[0]}",
            "name the mask that belongs to the image",
        )
    brightest = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    if brightest.max() == 1:
        raise MediaError(
            "unsupported", f"{name}: mask values are 0 and 1, not 0 and 255", "multiply by 255"
        )
    return brightest > _MASK_THRESHOLD


def encode_image(
    pixels: np.ndarray,
    format: Literal["jpeg", "png"],
    quality: int = 90,
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0",
) -> bytes:
    """uint8 (H, W, 3) RGB → a file without metadata, the same bytes for the same pixels.

    Args:
        quality: of a JPEG, on the IJG scale 1–100 with its standard tables.
        subsampling: of a JPEG's chroma.

    Raises:
        ValueError: pixels of another shape or type, a quality that there is not.
    """
    from PIL import Image

    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality {quality} is not in 1 to 100")
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if format == "jpeg":
        image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    else:
        image.save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def mask_png(mask: np.ndarray) -> bytes:
    """bool (H, W) → an 8-bit grey PNG of 0 and 255."""
    from PIL import Image

    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise ValueError(f"bool (H, W), not {mask.dtype} {mask.shape}")
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def _raw(source: ByteSource | RawFile, limits: ImageLimits) -> AbstractContextManager[RawFile]:
    """Opened here and closed again, or the caller's, left open."""
    if isinstance(source, RawFile):
        return nullcontext(source)
    return RawFile(source, limits.max_bytes)


def _name(source: ByteSource | RawFile) -> str:
    if isinstance(source, RawFile):
        return source.name
    return "<bytes>" if isinstance(source, bytes) else os.fspath(source)
