"""Turns untrusted still images into uint8 RGB through Pillow; `media/image.py` is the door.

The decoder is chosen by the sniffed content, never by Pillow's own guessing, and the size in the
header is compared with the limits before any pixel is decoded.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from forensics.errors import MediaError
from forensics.media.raw import RawFile
from forensics.media.sniff import promised_bytes

# About metadata that is cut or odd. Not catch_warnings, which threads would undo for each other.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Called directly: Image.open would warn at a pixel count of its own, far from our limit.
_OPENERS: dict[str, Any] = {
    "jpeg": JpegImagePlugin.jpeg_factory,
    "png": PngImagePlugin.PngImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "heif": AvifImagePlugin.AvifImageFile,
    "netpbm": PpmImagePlugin.PpmImageFile,
}
_BUILT_IN = {"webp": "webp", "heif": "avif"}  # container → what Pillow must have been built with
_STRIP_PIXELS = 1 << 22  # converted at a time
_PLAIN = frozenset({"RGB", "L", "P", "1", "CMYK", "YCbCr", "RGBX"})
_WITH_ALPHA = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})


@contextmanager
def opened(raw: RawFile, max_pixels: int, min_side: int) -> Iterator[ImageFile.ImageFile]:
    """The image of a file, its size checked, nothing decoded yet.

    Raises:
        MediaError: `not_media`, `unsupported_modality`, `unsupported`, `truncated`, `too_large`,
            `too_small`.
    """
    container = _checked_container(raw)
    with raw.reader() as handle:
        with _as_media_errors(raw.name):
            image: ImageFile.ImageFile = _OPENERS[container](handle, "")
        width, height = image.size
        if width * height > max_pixels:
            raise MediaError(
                "too_large",
                f"{raw.name}: {width} x {height} pixels, the limit is {max_pixels} in all",
                "scale it down, or cut it into parts",
            )
        if min(width, height) < min_side:
            raise MediaError(
                "too_small",
                f"{raw.name}: {width} x {height} pixels, each side needs {min_side}",
                "name the original, not a thumbnail",
            )
        yield image


def decode(image: ImageFile.ImageFile, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """uint8 (H, W, 3) RGB as stored, and what was changed for that.

    Raises:
        MediaError: `truncated` when the data is cut or damaged, `unsupported` for pixels whose
            range is not known (float, 32-bit, Lab).
    """
    notes = []
    with _as_media_errors(name):
        several = getattr(image, "is_animated", False)
        deep = _has_deep_samples(image)
        # Pillow turns the pixels of a TIFF, and of nothing else, as its tag asks.
        turned = image.format == "TIFF" and image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        image.load()
    if several:
        notes.append("holds several pictures; the first is judged")
    if turned:
        notes.append("turned upright, as its orientation tag asks")
    if image.mode.startswith("I;16"):
        pixels, notes_of_mode = _from_16_bit(image), []
    elif image.mode in _PLAIN | _WITH_ALPHA:
        with _as_media_errors(name):
            pixels, notes_of_mode = _from_8_bit(image)
    else:
        raise MediaError(
            "unsupported", f"{name}: pixels of the sort {image.mode}", "save it as 8-bit RGB"
        )
    if deep:
        notes.append("16 bit a channel reduced to 8")
    return pixels, (*notes, *notes_of_mode)


def _checked_container(raw: RawFile) -> str:
    content = raw.content
    if content is None:
        raise MediaError("not_media", f"{raw.name}: not an image", "name an image file")
    if content.container not in _OPENERS:
        kind = f"{content.container} {content.modality}"
        raise MediaError("unsupported_modality", f"{raw.name}: a {kind}", "name an image file")
    feature = _BUILT_IN.get(content.container)
    heic = content.container == "heif" and raw.read_at(8, 4) not in (b"avif", b"avis", b"mif1")
    if heic or (feature and not features.check(feature)):
        kind = "HEIC" if heic else content.container
        raise MediaError(
            "unsupported", f"{raw.name}: {kind} cannot be decoded here", "convert it to JPEG or PNG"
        )
    promised = promised_bytes(content.container, raw.read_at)
    if promised is not None and promised > raw.size_bytes:
        raise MediaError(
            "truncated",
            f"{raw.name}: holds {raw.size_bytes} bytes, its header promises {promised}",
            "copy or export the file again",
        )
    return content.container


@contextmanager
def _as_media_errors(name: str) -> Iterator[None]:
    """Whatever Pillow raises over bytes that nobody vouches for becomes one sort of error."""
    try:
        yield
    except MediaError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise MediaError(
            "too_large", f"{name}: would take too much memory", "scale it down"
        ) from error
    except Exception as error:
        why = str(error).replace("\n", " ")[:120] or type(error).__name__
        raise MediaError(
            "truncated", f"{name}: cut or damaged ({why})", "copy or export the file again"
        ) from error


def _has_deep_samples(image: ImageFile.ImageFile) -> bool:
    """Whether the file holds 16-bit samples, which Pillow may reduce without a word."""
    if image.mode.startswith("I;16"):
        return True
    for _, _, _, arguments in image.tile:
        raw_mode = str(arguments[0] if isinstance(arguments, tuple) else arguments)
        if ";16" in raw_mode and not raw_mode.startswith("BGR"):  # that is 16 bit a pixel
            return True
    return False


def _from_16_bit(image: Image.Image) -> np.ndarray:
    grey = (np.asarray(image) >> 8).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _from_8_bit(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    """Converted in strips, so that no second picture of Pillow's lies beside the result."""
    alpha = image.mode in _WITH_ALPHA or image.has_transparency_data
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    hidden = 0
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        if alpha:
            rgba = np.asarray(strip.convert("RGBA"))
            hidden += int(np.count_nonzero(rgba[..., 3] < 255))
            pixels[top : top + rows] = rgba[..., :3]
        else:
            pixels[top : top + rows] = np.asarray(strip.convert("RGB"))
    return pixels, _mode_notes(image.mode, alpha, hidden / (width * height))


def _mode_notes(mode: str, alpha: bool, hidden: float) -> list[str]:
    notes = []
    if mode == "CMYK":
        notes.append("CMYK converted to RGB")
    if alpha:
        seen = f", {hidden:.1%} of the pixels are not opaque: their hidden colours are judged"
        notes.append("alpha channel dropped" + (seen if hidden else ""))
    return notes
