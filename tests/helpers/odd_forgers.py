"""Forgers for tests: plain ones of every sort of donor, and some that go wrong.

A third-party package as far as the builder can tell: found through entry points.
"""

from __future__ import annotations

import time

import numpy as np

from forensics.errors import ForensicsError
from forensics.generators.face.base import FaceForger
from forensics.generators.image.base import Edited


def oval(shape, face) -> np.ndarray:
    """bool (H, W): the middle of a face's box."""
    left, top, right, bottom = face.box
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    across = (columns - (left + right) / 2) / ((right - left) / 2)
    down = (rows - (top + bottom) / 2) / ((bottom - top) / 2)
    return across**2 + down**2 < 0.6


class Paste(FaceForger):
    """The donor's face over the target's, stretched to its box."""

    name = "f-paste"
    version, kind, licence, summary = "1", "faceswap", "none", "for tests"
    donors = "other"

    def forge(self, request):
        import cv2

        target, donor = request.target, request.donors[0]
        left, top, right, bottom = target.face.box
        x0, y0, x1, y1 = donor.face.box
        face = cv2.resize(donor.pixels[y0:y1, x0:x1], (right - left, bottom - top))
        pixels, mask = target.pixels.copy(), oval(target.pixels.shape, target.face)
        pasted = target.pixels.copy()
        pasted[top:bottom, left:right] = face
        pixels[mask] = pasted[mask]
        return Edited(pixels, mask, "composite", {"tool": "scissors", "of": donor.identity})


class Shade(FaceForger):
    """The face a little darker, with the request's own noise."""

    name = "f-shade"
    version, kind, licence, summary = "1", "selfblend", "none", "for tests"

    def forge(self, request):
        pixels = request.target.pixels.astype(int)
        mask = oval(pixels.shape, request.target.face)
        noise = np.random.default_rng(request.seed).integers(6, 15, (int(mask.sum()), 1))
        pixels[mask] -= noise
        return Edited(np.clip(pixels, 0, 255).astype(np.uint8), mask, "composite")


class Slow(Shade):
    name = "f-slow"

    def forge(self, request):
        time.sleep(0.15)
        return super().forge(request)


class Scene(Paste):
    """Another photo of the same person; reads words."""

    name = "f-scene"
    kind, donors, reads_prompt = "context", "same", True


class Nobody(FaceForger):
    """A face of nobody: every pixel made again, with a trace of red."""

    name = "f-nobody"
    version, kind, licence, summary = "1", "fullsynth", "none", "for tests"

    def forge(self, request):
        pixels = request.target.pixels[:, ::-1].copy()
        pixels[..., 0] = np.minimum(pixels[..., 0], 250) + 5
        return Edited(pixels, np.ones(pixels.shape[:2], bool), "regenerated")


class Refuses(Shade):
    """Not every second photo; and writes into what it was lent."""

    name = "f-refuses"

    def forge(self, request):
        edited = super().forge(request)
        request.target.pixels[:] = 0
        if request.seed % 2:
            raise ForensicsError("this face cannot be forged", "take another")
        return edited


class Spills(Shade):
    name = "f-spills"

    def forge(self, request):
        edited = super().forge(request)
        row, column = np.argwhere(~edited.mask)[0]
        edited.pixels[row, column, 0] ^= 1
        return edited
