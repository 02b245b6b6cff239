"""Engines for tests: one that works slowly, and one for every way to go wrong.

A third-party package as far as the builder can tell: found through entry points.
"""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from forensics.generators.base import Generated, SpeechGenerator
from forensics.media.audio import Waveform


def tone(request, seconds=3.0):
    rng = np.random.default_rng(request.seed)
    t = np.arange(int(16_000 * seconds)) / 16_000
    return 0.1 * np.sin(2 * np.pi * rng.uniform(100, 300) * t) + 0.01 * rng.standard_normal(len(t))


class Engine(SpeechGenerator):
    version, kind, licence, summary = "1", "tts", "none", "for tests"

    def generate(self, batch):
        return [Generated(Waveform(self.one(r).astype(np.float32), 16_000)) for r in batch]

    def one(self, request):
        return tone(request)


class Slow(Engine):
    name = "t-slow"

    def one(self, request):
        time.sleep(0.2)
        return tone(request)


class Odd(Engine):
    """Misbehaves for the texts that say "odd"."""

    def one(self, request):
        return self.misbehave(request) if "odd" in request.text else tone(request)


class Raises(Odd):
    name = "t-raises"

    def misbehave(self, request):
        raise ValueError("no voice for this\ntext")


class Silent(Odd):
    name = "t-silent"

    def misbehave(self, request):
        return np.zeros(16_000)


class NotFinite(Odd):
    name = "t-nan"

    def misbehave(self, request):
        return np.full(32_000, np.nan)


class Short(Odd):
    name = "t-short"

    def misbehave(self, request):
        return tone(request, 0.3)


class Hangs(Odd):
    """Takes batches, so that the hanging item must be found among its neighbours."""

    name = "t-hangs"
    batch_size = 4

    def misbehave(self, request):
        time.sleep(1000)


class Crashes(Odd):
    name = "t-crashes"

    def misbehave(self, request):
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(10)


class WrongRate(Odd):
    name = "t-rate"

    def generate(self, batch):
        return [
            Generated(Waveform(tone(r).astype(np.float32), 0 if "odd" in r.text else 16_000))
            for r in batch
        ]


class Listed(Odd):
    name = "t-list"

    def generate(self, batch):
        return [
            Generated(Waveform(list(tone(r)) if "odd" in r.text else tone(r), 16_000))
            for r in batch
        ]


class Details(Odd):
    name = "t-details"

    def generate(self, batch):
        return [
            Generated(Waveform(tone(r), 16_000), {"x": object()} if "odd" in r.text else {})
            for r in batch
        ]


class Vandal(Engine):
    """Writes into what it was lent."""

    name = "t-vandal"
    kind = "vocoder"

    def one(self, request):
        request.reference.samples[:] = request.reference.samples[::-1]
        return request.reference.samples


class Noisy(Engine):
    """Writes to its standard output, as C engines do."""

    name = "t-noisy"

    def one(self, request):
        os.write(1, b"{not a message}\n")
        return tone(request)
