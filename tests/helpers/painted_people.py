"""Enrolled people whose faces are colours, and pictures of them that are judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from helpers import painted_faces
from helpers.identities import identity, unit
from helpers.red_detector import CALIBRATION, THRESHOLD, Red

import forensics
from forensics.identity.asking import Asking
from forensics.identity.card import TokenCard
from forensics.media.image import encode_image
from forensics.media.inputs import InputItem
from forensics.verdict.sources import FrameSet

RED, CYAN = (240, 10, 10), (10, 240, 240)
NAMES = ("<id_a>", "<a1>", "<id_b>", "<b1>")


def person(name, colour, *, tokens=False, trial=None, **more):
    """Enrolled from the colour alone; with tokens that a scripted model understands."""
    (vector,) = painted_faces.Colours().embed(
        np.full((1, 112, 112, 3), colour, np.uint8).astype(np.uint8)
    )
    card = TokenCard(
        names=NAMES,
        model="scripted",
        model_fingerprint="tiny 1",
        prompt_version="1",
        calibration=CALIBRATION,
        threshold=THRESHOLD,
        trial=trial,
        trained_on="a test",
    )
    rows = np.zeros((4, 4), np.float32) if tokens else None
    made = identity(
        name,
        unit(vector),
        rows=rows,
        tokens=card if tokens else None,
        embedder="frames-1+colours-1",
        **more,
    )
    return replace(made, model_folder=Path("scripted")) if tokens else made


def spoilt(pixels, colour=RED):
    pixels = pixels.copy()
    pixels[120:155, 10:60] = colour
    return pixels


def judged(store, inputs, names: str | list[str] = "Anna Müller", detector=None, **more):
    asking = more.pop("asking", Asking(store=store))
    chosen = Red() if detector is None else detector
    return forensics.detect(inputs, chosen, identity=names, asking=asking, **more)


def frames(*pixels):
    items = (InputItem(f"f{i}.png", encode_image(one, "png")) for i, one in enumerate(pixels))
    return FrameSet("camera", tuple(items))
