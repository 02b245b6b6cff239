"""Tiny image corpora as the builder writes them: families of a frame and its edits, of scenes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from forensics.media.image import encode_image, mask_png
from forensics.shards.format import Item, ItemMeta
from forensics.shards.writer import write_shard

Paint = Callable[[np.ndarray, tuple[int, int, int, int], np.random.Generator], np.ndarray]


def red(pixels: np.ndarray, box: tuple[int, int, int, int], rng: np.random.Generator):
    left, top, right, bottom = box
    changed = pixels.copy()
    changed[top:bottom, left:right] = (240, 10, 10)
    return changed


def frame(scene: int, number: int, height: int = 64, width: int = 96) -> np.ndarray:
    """uint8 (H, W, 3): the scene's own gradient, with grain of this frame."""
    own = np.random.default_rng(scene)
    rows, columns = np.mgrid[:height, :width]
    base = 90 + own.uniform(20, 60) * np.sin(
        rows / own.uniform(9, 25) + columns / own.uniform(9, 25)
    )
    grain = np.random.default_rng((scene, number)).normal(0, 6, (height, width))
    return np.repeat(np.clip(base + grain, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def items(
    scenes: int = 12,
    each: int = 3,
    paint: Paint = red,
    split: str = "dev",
    where: Callable[[np.random.Generator], tuple[int, int]] | None = None,
    encode: Callable[[np.ndarray, bool, np.random.Generator], tuple[bytes, str]] | None = None,
    seed: int = 0,
) -> list[Item]:
    """`each` frames of each scene, bona fide and edited.

    Args:
        paint: what an edit does in its box.
        where: left and top of a box of 24 x 16; anywhere by default.
        encode: pixels and whether forged → media and extension; JPEG of a drawn quality by default.
    """
    rng = np.random.default_rng(seed)
    found = []
    for scene in range(scenes):
        for number in range(each):
            pixels = frame(1000 * seed + scene, number)
            height, width = pixels.shape[:2]
            left, top = (
                where(rng)
                if where
                else (int(rng.integers(0, width - 24)), int(rng.integers(0, height - 16)))
            )
            box = (left, top, left + 24, top + 16)
            mask = np.zeros((height, width), bool)
            mask[top : top + 16, left : left + 24] = True
            for forged in (False, True):
                shown = paint(pixels, box, rng) if forged else pixels
                media, extension = (encode or jpeg)(shown, forged, rng)
                found.append(item(scene, number, forged, media, extension, mask, split))
    return sorted(found, key=lambda one: one.key)


def jpeg(pixels: np.ndarray, forged: bool, rng: np.random.Generator) -> tuple[bytes, str]:
    return encode_image(pixels, "jpeg", int(rng.choice([70, 80, 90])), "4:4:4"), "jpg"


def item(
    scene: int,
    number: int,
    forged: bool,
    media: bytes,
    extension: str,
    mask: np.ndarray,
    split: str,
) -> Item:
    source = hashlib.sha256(f"{split}-{scene}-{number}".encode()).hexdigest()[:12]
    own = hashlib.sha256(f"{source}-{forged}".encode()).hexdigest()[:12]
    meta = ItemMeta(
        label="spoof" if forged else "bonafide",
        modality="image",
        system=("copymove", "splice")[number % 2] if forged else "bonafide",
        system_version="1",
        kind="copymove" if forged else "bonafide",
        source_id=source,
        group=f"{split}-scene-{scene}",
        domain="surveillance",
        split=split,  # pyright: ignore[reportArgumentType]
        seed=number,
        params={"mode": "composite"} if forged else {},
        licence="CC0-1.0",
        parent="0" * 64,
        sha256=hashlib.sha256(media).hexdigest(),
        width=mask.shape[1],
        height=mask.shape[0],
    )
    return Item(f"{source}-{own}", extension, media, meta, mask_png(mask) if forged else None)


def corpus(folder: Path, *parts: list[Item]) -> Path:
    """A corpus folder with one shard for each list, which is of one split."""
    for number, one in enumerate(parts):
        write_shard(folder / "shards", f"x-{number}", one, split=one[0].meta.split, plan="p")
    return folder
