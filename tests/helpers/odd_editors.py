"""Editors for tests: a plain one, a slow one, and one for every way to go wrong.

A third-party package as far as the builder can tell: found through entry points. The odd ones
misbehave in frames of cameras whose top left pixel is bright: `tests/helpers/frames.py` makes it so
for every second camera.
"""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from forensics.errors import ForensicsError
from forensics.generators.image.base import Edited, ImageEditor


def painted(request):
    """The mask filled with the colour beside it and a little noise."""
    rng = np.random.default_rng(request.seed)
    pixels = request.pixels.copy()
    around = np.median(request.pixels[~request.mask], axis=0)
    noise = rng.integers(-9, 10, (int(request.mask.sum()), 3))
    pixels[request.mask] = np.clip(around + noise, 0, 255).astype(np.uint8)
    return pixels


class Plain(ImageEditor):
    name = "e-plain"
    version, kind, licence, summary = "1", "inpaint", "none", "for tests"
    edits = ("removal", "addition", "open-ended-replacement", "targeted-replacement")

    def edit(self, request):
        return Edited(painted(request), request.mask, "composite", {"tool": "brush"})


class Slow(Plain):
    name = "e-slow"

    def edit(self, request):
        time.sleep(0.15)
        return super().edit(request)


class Regenerates(Plain):
    """Makes every pixel again, one grey level away."""

    name = "e-regenerates"
    kind = "regeneration"

    def edit(self, request):
        pixels = np.clip(painted(request).astype(int) + 1, 0, 255).astype(np.uint8)
        return Edited(pixels, request.mask, "regenerated")


class Odd(Plain):
    def edit(self, request):
        odd = request.pixels[0, 0, 0] > 200
        return self.misbehave(request) if odd else super().edit(request)


class Resizes(Odd):
    name = "e-size"

    def misbehave(self, request):
        return Edited(painted(request)[:-8], request.mask[:-8], "composite")


class NotFinite(Odd):
    name = "e-nan"

    def misbehave(self, request):
        return Edited(painted(request) * np.nan, request.mask, "composite")


class Floats(Odd):
    name = "e-float"

    def misbehave(self, request):
        return Edited(painted(request) / 255, request.mask, "composite")


class Raises(Odd):
    name = "e-raises"

    def misbehave(self, request):
        raise ValueError("no edit for\nthis")


class Refuses(Odd):
    name = "e-refuses"

    def misbehave(self, request):
        raise ForensicsError("this one cannot be edited", "take another")


class Nothing(Odd):
    name = "e-nothing"

    def misbehave(self, request):
        return Edited(request.pixels, request.mask, "composite")


class Spills(Odd):
    """Changes one pixel outside of its mask by one grey level."""

    name = "e-spills"

    def misbehave(self, request):
        pixels = painted(request)
        row, column = np.argwhere(~request.mask)[0]
        pixels[row, column, 0] ^= 1
        return Edited(pixels, request.mask, "composite")


class NoEdit(Odd):
    name = "e-none"

    def misbehave(self, request):
        return None


class Details(Odd):
    name = "e-details"

    def misbehave(self, request):
        return Edited(painted(request), request.mask, "composite", {"x": object()})


class EmptyMask(Odd):
    name = "e-empty"

    def misbehave(self, request):
        return Edited(request.pixels, np.zeros_like(request.mask), "composite")


class Hangs(Odd):
    name = "e-hangs"

    def misbehave(self, request):
        time.sleep(1000)


class Crashes(Odd):
    name = "e-crashes"

    def misbehave(self, request):
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(10)


class Vandal(Plain):
    """Writes into the frame that it was lent, and tries to into the camera's."""

    name = "e-vandal"

    def edit(self, request):
        edited = super().edit(request)
        request.pixels[:] = 0
        if request.camera is not None:
            request.camera.frames[0][:] = 0
        return edited


class Pair(Plain):
    name = "e-pair"
    needs_camera = True


class Plate(Plain):
    name = "e-plate"
    needs_camera, least_frames = True, 3
