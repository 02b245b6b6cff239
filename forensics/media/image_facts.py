"""What a picture's file says of its making: JPEG tables, subsampling, EXIF, colour profile."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image

_MAKING = {
    ExifTags.Base.Software: "software",
    ExifTags.Base.ProcessingSoftware: "processing_software",
    ExifTags.Base.HostComputer: "host_computer",
    ExifTags.Base.Make: "make",
    ExifTags.Base.Model: "model",
    ExifTags.Base.LensModel: "lens_model",
    ExifTags.Base.DateTime: "modified",
    ExifTags.Base.DateTimeOriginal: "taken",
    ExifTags.Base.DateTimeDigitized: "digitised",
}
_MAX_TEXT = 200
_THUMBNAIL_OFFSET = 0x0201

# ITU-T T.81, tables K.1 and K.2, which the IJG quality scale multiplies.
_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMA = np.full((8, 8), 99)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


def ijg_tables(quality: int) -> tuple[np.ndarray, np.ndarray]:
    """The baseline luma and chroma tables, int (8, 8) in natural order, of an IJG quality 1–100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = (np.clip((base * scale + 50) // 100, 1, 255) for base in (_LUMA, _CHROMA))
    return luma, chroma


def estimate_quality(tables: tuple[np.ndarray, ...]) -> int | None:
    """The IJG quality 1–100 whose tables these are.

    None for tables of another make (Photoshop, phones, mozjpeg) and for none at all.
    """
    for quality in range(1, 101) if tables else ():
        expected = ijg_tables(quality)
        if all(
            np.array_equal(table, wanted) for table, wanted in zip(tables, expected, strict=False)
        ):
            return quality
    return None


def quantisation(image: Image.Image) -> tuple[np.ndarray, ...]:
    """The tables of a JPEG in the order in which its components use them, luma first."""
    tables: dict[int, list[int]] = getattr(image, "quantization", None) or {}
    layers: list[tuple[int, int, int, int]] = getattr(image, "layer", None) or []
    used = dict.fromkeys(layer[3] for layer in layers)
    # Pillow undoes the zigzag order of the file since 8.3.
    return tuple(np.array(tables[i], np.int32).reshape(8, 8) for i in used if i in tables)


def subsampling(image: Image.Image) -> str | None:
    """Of a JPEG "4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "4:1:0", else its sampling factors;
    "4:0:0" for a grey one; None for other formats."""
    layers: list[tuple[int, int, int, int]] = getattr(image, "layer", None) or []
    if not layers:
        return None
    if len(layers) == 1:
        return "4:0:0"
    factors = [layer[1:3] for layer in layers]
    (across, down), (chroma_across, chroma_down) = factors[:2]
    known = {
        (1, 1): "4:4:4",
        (2, 1): "4:2:2",
        (2, 2): "4:2:0",
        (1, 2): "4:4:0",
        (4, 1): "4:1:1",
        (4, 2): "4:1:0",
    }
    if chroma_across and chroma_down and factors[2:3] == factors[1:2]:
        (x, x_rest), (y, y_rest) = divmod(across, chroma_across), divmod(down, chroma_down)
        if not (x_rest or y_rest) and (x, y) in known:
            return known[x, y]
    return ",".join(f"{across}x{down}" for across, down in factors)


def making(image: Image.Image) -> tuple[int, dict[str, str], tuple[str, ...]]:
    """The orientation (1–8), what the metadata says of the making, notes on the metadata."""
    orientation, texts, notes = 1, {}, []
    try:
        exif = image.getexif()
        tags = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
        named = tags.get(ExifTags.Base.Orientation)
        orientation = named if isinstance(named, int) and 1 <= named <= 8 else 1
        texts = {name: _text(tags[tag]) for tag, name in _MAKING.items() if tag in tags}
        if _THUMBNAIL_OFFSET in exif.get_ifd(ExifTags.IFD.IFD1):
            notes.append("holds an EXIF thumbnail")
    except Exception:  # metadata that is cut or made up does not make the pixels unreadable
        notes.append("EXIF cannot be read")
    software = image.info.get("Software")  # a PNG's text chunk
    if isinstance(software, str):
        texts.setdefault("software", _text(software))
    if image.info.get("progressive"):
        notes.append("progressive JPEG")
    profile = image.info.get("icc_profile")
    if profile and b"sRGB" not in profile and "sRGB".encode("utf-16-be") not in profile:
        notes.append("a colour profile other than sRGB is ignored")
    return orientation, {name: text for name, text in texts.items() if text}, tuple(notes)


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "".join(c for c in text if c.isprintable()).strip()[:_MAX_TEXT]
