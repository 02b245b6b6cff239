"""The end of the road that every item takes: drawn channel, drawn final encoder, nothing else.

Both are drawn per item, from the item's seed alone. Its seed comes from a hash of its key, so the
draws of a pristine frame and of its edits are as independent as those of two cameras: no label, no
family can be told from a quality or a format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.conditions.image.draw import ImageConditionPolicy
from forensics.corpus.pictures.settings import Encoder
from forensics.media.image import encode_image

# Part of every plan; raise it with any change here, in forensics/conditions/image or in the way
# that frames are read that moves a pixel.
ROAD_VERSION = "1"
_STREAM = 0x656E63
# Two tar headers with their padding, about 1.5 kB of metadata, a small mask.
_OVERHEAD_BYTES = 3 * (512 + 256) + 1536 + 1024
# Of surveillance frames, measured; they are what the eye would call plain.
_JPEG_BYTES_PER_PIXEL, _PNG_BYTES_PER_PIXEL = 0.16, 1.6


@dataclass(frozen=True)
class Sent:
    """An item at the end of the road."""

    media: bytes
    extension: str
    pixels: np.ndarray
    mask: np.ndarray | None
    conditions: tuple[dict[str, Any], ...]


def send(
    pixels: np.ndarray,
    mask: np.ndarray | None,
    conditions: ImageConditionPolicy,
    encoder: Encoder,
    seed: int,
) -> Sent:
    """Channel and final encoder; the mask takes the same geometry.

    Args:
        pixels: uint8 (H, W, 3); mask: bool (H, W), None for a pristine frame.
    """
    pixels, mask, applied = conditions.apply(pixels, mask, seed)
    drawn = drawn_encoding(encoder, seed)
    media = encode_image(
        pixels, drawn["format"], drawn.get("quality", 90), drawn.get("subsampling", "4:2:0")
    )
    extension = "jpg" if drawn["format"] == "jpeg" else "png"
    return Sent(media, extension, pixels, mask, (*applied, {"use": "encode", **drawn}))


def drawn_encoding(encoder: Encoder, seed: int) -> dict[str, Any]:
    """`format`, and of a JPEG `quality` and `subsampling`."""
    rng = np.random.default_rng([_STREAM, seed])
    format_ = _weighted(rng, encoder.formats)
    low, high = encoder.quality
    quality = int(rng.integers(low, high, endpoint=True))
    subsampling = _weighted(rng, encoder.subsampling)
    if format_ == "png":
        return {"format": format_}
    return {"format": format_, "quality": quality, "subsampling": subsampling}


def _weighted(rng: np.random.Generator, weights: dict[Any, float]) -> Any:
    names = sorted(weights)
    share = np.array([weights[name] for name in names])
    return names[int(rng.choice(len(names), p=share / share.sum()))]


def estimated_bytes(encoder: Encoder, megapixels: float, items: int) -> int:
    """What so many items come to in shards."""
    share = encoder.formats.get("png", 0.0) / sum(encoder.formats.values())
    per_pixel = _PNG_BYTES_PER_PIXEL * share + _JPEG_BYTES_PER_PIXEL * (1 - share)
    return round(megapixels * 1e6 * per_pixel + items * _OVERHEAD_BYTES)
