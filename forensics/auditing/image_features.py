"""Trivial features of pictures: what the file and its encoder say, and the plainest statistics.

Nothing here looks at the places of a picture: what a forgery changes there is the detector's work.
"""

from __future__ import annotations

import hashlib

import numpy as np

from forensics.auditing.features import (
    EVERY_ITEM,
    Family,
    FeatureSet,
    ItemFacts,
    Value,
    facts_features,
)
from forensics.media.image import Picture, read_image

_BLOCK = 8
_STRIP = 512


def image_features(media: bytes, facts: ItemFacts) -> dict[str, Value]:
    """All features of one picture.

    Raises:
        MediaError: it cannot be decoded.
    """
    picture = read_image(media)
    pixels = picture.width * picture.height
    return {
        "size.width": float(picture.width),
        "size.height": float(picture.height),
        "size.pixels": float(pixels),
        "size.aspect": round(picture.width / picture.height, 3),
        "rate.bits_per_pixel": round(8 * len(media) / pixels, 3),
        "rate.kilobytes": round(len(media) / 1024, 1),
        **_jpeg(picture),
        **_container(picture, facts),
        **_statistics(picture.pixels),
        **facts_features(facts),
    }


def nearest_quality(table: np.ndarray) -> int:
    """The IJG quality 1–100 whose luma table lies nearest to int (8, 8)."""
    from forensics.media.image_facts import ijg_tables

    wanted = np.asarray(table, np.float64)
    apart = [np.abs(np.log(ijg_tables(q)[0] / wanted)).sum() for q in range(1, 101)]
    return int(np.argmin(apart)) + 1


def _jpeg(picture: Picture) -> dict[str, Value]:
    """Absent of what is no JPEG: that is the container's to tell."""
    if not picture.quantisation:
        return {}
    tables = [np.maximum(np.asarray(table), 1) for table in picture.quantisation]
    shape = b"".join(table.astype(np.uint16).tobytes() for table in tables)
    found: dict[str, Value] = {
        "jpeg.quality": float(nearest_quality(tables[0])),
        "jpeg.tables": hashlib.sha256(shape).hexdigest()[:8],
        "jpeg.luma_mean": round(float(tables[0].mean()), 1),
        "jpeg.subsampling": picture.subsampling or "none",
    }
    if len(tables) > 1:
        found["jpeg.chroma_mean"] = round(float(tables[1].mean()), 1)
    return found


def _container(picture: Picture, facts: ItemFacts) -> dict[str, Value]:
    found: dict[str, Value] = {
        "container.extension": facts.extension,
        "container.format": picture.format,
        "container.orientation": float(picture.orientation),
        "container.notes": "; ".join(picture.notes),
    }
    return found | {f"container.exif_{name}": value for name, value in picture.exif.items()}


def _statistics(pixels: np.ndarray) -> dict[str, Value]:
    """Light, colour, noise and block edges, in strips: a picture may be large."""
    sums = np.zeros(3)
    squares, colour, fine, count = 0.0, 0.0, 0.0, 0
    across = np.zeros(_BLOCK)
    for top in range(0, len(pixels), _STRIP):
        strip = pixels[top : top + _STRIP].astype(np.float32)
        grey = strip.mean(axis=2)
        sums += strip.sum(axis=(0, 1), dtype=np.float64)
        squares += float(np.square(grey, dtype=np.float64).sum())
        colour += float((strip.max(axis=2) - strip.min(axis=2)).sum(dtype=np.float64))
        count += grey.size
        steps = np.abs(np.diff(grey, axis=1)).sum(axis=0, dtype=np.float64)
        fine += float(steps.sum())
        np.add.at(across, (np.arange(len(steps)) + 1) % _BLOCK, steps)
    mean = sums.sum() / 3 / count
    found: dict[str, Value] = {
        "light.mean": round(mean, 1),
        "light.contrast": round(float(np.sqrt(max(squares / count - mean**2, 0.0))), 1),
        "light.saturation": round(colour / count, 1),
        "texture.step": round(fine / count, 2),
    }
    if pixels.shape[1] > 2 * _BLOCK:
        phase = int(across.argmax())
        rest = (across.sum() - across[phase]) / (_BLOCK - 1)
        found["blocks.phase"] = float(phase)
        found["blocks.strength"] = round(float(across[phase] / max(rest, 1e-9)), 2)
    return found


IMAGE = FeatureSet(
    families=(
        Family(
            "jpeg",
            "quantisation tables (nearest quality, hash, means), chroma subsampling",
            0.0,
            "one final encoder for both labels: encoder.quality, encoder.subsampling",
        ),
        Family(
            "rate",
            "bits per pixel, size of the file",
            0.0,
            "one final encoder for both labels (encoder); send pristine frames through the decoder "
            "of regenerated ones",
        ),
        Family(
            "size",
            "width, height, pixels, aspect",
            0.0,
            "keep edits at the size of their frame (frames.max_side)",
        ),
        Family(
            "container",
            "extension, format, EXIF, orientation, what decoding had to change",
            0.0,
            "write both labels without metadata and in the same formats: encoder.formats",
        ),
        *EVERY_ITEM,
        Family(
            "light",
            "brightness, contrast, saturation",
            None,
            "checks.exposure; lower it where edits are brighter than what they replace",
        ),
        Family("texture", "mean step between neighbours", None, "editors that blur less"),
        Family(
            "blocks",
            "strength and phase of the 8 x 8 grid",
            None,
            "take frames from pictures that were compressed alike, and do not crop forgeries",
        ),
    ),
    extract=image_features,
    masks=(
        Family(
            "mask_centre",
            "pixel AUC of a guess that says: the nearer to the centre, the more manipulated",
            0.10,
            "edit objects anywhere in the frame (planner, grounder)",
        ),
        Family(
            "mask_mean",
            "pixel AUC of the mean mask of other groups",
            0.10,
            "edit objects anywhere in the frame (planner, grounder)",
        ),
    ),
)
