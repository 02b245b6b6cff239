"""A tiny corpus of drawn faces to train on, with crude forgeries and what they claim."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from forensics.demo.portrait import SIDE, portrait
from forensics.generators.face.base import FaceForger, FaceRequest
from forensics.generators.image.base import Edited
from forensics.media.image import encode_image, mask_png
from forensics.shards import write_shard
from forensics.shards.format import Item, ItemMeta

SYSTEMS = {"swapped": "faceswap", "smooth": "regeneration"}
SPLITS = {"train": 6, "dev": 5, "test": 3}
BOX = (34, 24, 110, 132)
ROLES = {"faceswap": "swap", "regeneration": "regeneration"}


def face_mask() -> np.ndarray:
    """bool (144, 144): an ellipse inside the face."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(mask, (72, 78), (30, 40), 0, 0, 360, 1, -1)
    return mask > 0


class Blender(FaceForger):
    """A photo's own face, shifted and blended into it."""

    name: ClassVar[str] = "test-blender"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "CC0-1.0"
    summary: ClassVar[str] = "for tests"
    kind = "selfblend"

    def forge(self, request: FaceRequest) -> Edited:
        pixels = request.target.pixels
        shift = 3 + int(np.random.default_rng(request.seed).integers(4))
        mask = cv2.resize(
            face_mask().astype(np.uint8), pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST
        )
        moved = cv2.GaussianBlur(np.roll(pixels, shift, 1), (0, 0), 2.0)
        return Edited(np.where(mask[..., None] > 0, moved, pixels), mask > 0, "composite")


def forged(pixels: np.ndarray, system: str, other: np.ndarray) -> np.ndarray:
    """Both leave a face smoother than its surroundings, so that one teaches about the other."""
    source = cv2.GaussianBlur(other if system == "swapped" else pixels, (0, 0), 2.5)
    return np.where(face_mask()[..., None], source, pixels)


def build(root: Path, photos: int = 2, enrolled: int = 2) -> str:
    """The folder of a corpus; of each person some photos with their forgeries, all saved alike,
    and some set apart for enrolment."""
    person = 0
    for split, people in SPLITS.items():
        items = []
        cast = list(range(person, person + people))
        for who in cast:
            donor = cast[(cast.index(who) + 1) % len(cast)]
            for number in range(enrolled):
                pixels = portrait(who, 50 + number)
                items.append(_item(pixels, "bonafide", who, who, 50 + number, split, use="enrol"))
            for number in range(photos):
                pixels = portrait(who, number)
                items.append(_item(pixels, "bonafide", who, who, number, split))
                for system in SYSTEMS:
                    made = forged(pixels, system, portrait(donor, 90))
                    items.append(_item(made, system, who, donor, number, split))
        write_shard(root / "shards", f"faces-{split}-0000", items, split=split, plan="0" * 64)
        person += people
    return str(root)


def _item(pixels, system, who, donor, number, split, use="probe") -> Item:
    media = encode_image(pixels, "jpeg", 92)
    family = hashlib.sha256(f"{who}-{number}".encode()).hexdigest()[:12]
    fake = system != "bonafide"
    swap = system == "swapped"
    shows = f"person{donor}" if swap else f"person{who}"
    params = {
        "role": ROLES[SYSTEMS[system]] if fake else "real",
        "claimed": f"person{who}",
        "shows": shows,
        "scene": f"person{who}",
        "use": use,
        "box": list(BOX),
    }
    if fake:
        params |= {"mode": "composite", "area": 0.2}
    if swap:
        params["donors"] = [{"identity": f"person{donor}", "id": "x", "sha256": "0" * 64}]
    meta = ItemMeta(
        label="spoof" if fake else "bonafide",
        modality="image",
        system=system,
        system_version="1",
        kind=SYSTEMS.get(system, "bonafide"),
        source_id=f"person{who}-{number}",
        group=f"person{who}",
        domain="drawn",
        split=split,
        seed=0,
        params=params,
        licence="CC0-1.0",
        parent=hashlib.sha256(pixels.tobytes()).hexdigest(),
        sha256=hashlib.sha256(media).hexdigest(),
        width=SIDE,
        height=SIDE,
    )
    key = f"{family}-{hashlib.sha256(system.encode()).hexdigest()[:8]}"
    return Item(key, "jpg", media, meta, mask_png(face_mask()) if fake else None)


def tiny_settings(**fit) -> dict:
    """A config of a few steps of a small network, with everything that is drawn switched on."""
    return {
        "task": "face-classifier",
        "architecture": {"side": 48, "channels": 8, "dropout": 0.0},
        "seed": 1,
        "fit": {
            "batch": 8,
            "steps": 60,
            "evaluate_every": 30,
            "log_every": 10,
            "looks_at": 20,
            "learning_rate": 0.02,
            "warmup": 2,
            "ema": 0.8,
            "patience": 9,
            "self_blended": {"probability": 0.2, "use": "test-blender"},
            "sampling": {"pool": 6, "draws_per_family": 3},
            "augment": {"probability": 0.3, "choose": [{"use": "rescale"}, {"use": "noise"}]},
            **fit,
        },
    }
