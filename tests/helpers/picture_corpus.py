"""A tiny corpus of pictures to train on: textured scenes of a few cameras, and crude edits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np

from forensics.media.image import encode_image, mask_png
from forensics.shards import write_shard
from forensics.shards.format import Item, ItemMeta

SYSTEMS = {"moved": "copymove", "smooth": "inpaint"}
SPLITS = {"train": 8, "dev": 5, "test": 3}


def scene(rng: np.random.Generator, height: int = 96, width: int = 128) -> np.ndarray:
    """uint8 (H, W, 3): blobs of several sizes under camera noise."""
    layers = [
        cv2.resize(
            rng.normal(0, 40, (rows, rows, 3)), (width, height), interpolation=cv2.INTER_CUBIC
        )
        for rows in (3, 8, 24)
    ]
    pixels = 120 + sum(layers) / 2 + rng.normal(0, 4, (height, width, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def edited(pixels: np.ndarray, system: str, rng: np.random.Generator):
    """An edited copy, and the mask of what was changed."""
    height, width = pixels.shape[:2]
    top, left = int(rng.integers(8, height - 48)), int(rng.integers(8, width - 56))
    mask = np.zeros((height, width), bool)
    mask[top : top + 36, left : left + 44] = True
    if system == "moved":
        source = np.roll(pixels, (height // 2 + 3, width // 2 + 5), (0, 1))
        other = cv2.flip(source, 1)
    else:
        other = cv2.GaussianBlur(pixels, (0, 0), 2.5)
    return np.where(mask[..., None], other, pixels), mask


def build(root: Path, seed: int = 0) -> str:
    """The folder of a corpus; a frame of each camera and its edits, all saved alike."""
    for split, cameras in SPLITS.items():
        items = []
        for camera in range(cameras):
            group = f"{split}-{camera}"
            rng = np.random.default_rng([seed, len(split), camera])
            pixels = scene(rng)
            items.append(_item(pixels, None, "bonafide", group, split, rng))
            for system in SYSTEMS:
                forged, mask = edited(pixels, system, rng)
                items.append(_item(forged, mask, system, group, split, rng))
        write_shard(root / "shards", f"tiny-{split}-0000", items, split=split, plan="0" * 64)
    return str(root)


def _item(pixels, mask, system, group, split, rng) -> Item:
    quality = int(rng.integers(80, 96))
    media = encode_image(pixels, "jpeg", quality)
    family = hashlib.sha256(group.encode()).hexdigest()[:12]
    meta = ItemMeta(
        label="bonafide" if mask is None else "spoof",
        modality="image",
        system=system,
        system_version="1",
        kind=SYSTEMS.get(system, "bonafide"),
        source_id=f"{group}-frame",
        group=group,
        domain="textures",
        split=split,
        seed=0,
        params={} if mask is None else {"mode": "composite"},
        licence="CC0-1.0",
        parent=hashlib.sha256(pixels.tobytes()).hexdigest(),
        sha256=hashlib.sha256(media).hexdigest(),
        width=pixels.shape[1],
        height=pixels.shape[0],
    )
    key = f"{family}-{hashlib.sha256(system.encode()).hexdigest()[:8]}"
    return Item(key, "jpg", media, meta, None if mask is None else mask_png(mask))


def tiny_settings(**fit) -> dict:
    """A config of a few steps of a small network, with everything that is drawn switched on."""
    return {
        "task": "localiser",
        "architecture": {"widths": [4, 4, 8, 8], "channels": 8},
        "seed": 1,
        "fit": {
            "side": 64,
            "batch": 4,
            "steps": 8,
            "evaluate_every": 4,
            "log_every": 1,
            "looks_at": 9,
            "learning_rate": 0.01,
            "warmup": 2,
            "sampling": {"pool": 4, "draws_per_family": 3},
            "recompress": 0.5,
            "augment": {"probability": 0.5, "choose": [{"use": "rescale"}, {"use": "noise"}]},
            **fit,
        },
    }


def scores_of(log: Path) -> list[dict]:
    """The lines of a log without what differs between two runs."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "crops_per_second"} for line in lines]
