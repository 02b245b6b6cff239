"""WORLD copy synthesis through pyworld.

Morise, Yokomori & Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system for
real-time applications", IEICE Trans. 2016.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.generators.base import (
    Generated,
    GeneratorParams,
    SpeechGenerator,
    SpeechKind,
    SpeechRequest,
    register_generator,
)
from forensics.generators.speech.common import each, engine_version, reference_of
from forensics.media.samples import with_samples
from forensics.requirements import Package, Requirement

_MIN_S = 0.1
_MIN_RATE = 8000  # D4C needs bands above 3 kHz


class WorldParams(GeneratorParams):
    """Parameters of `world`.

    Attributes:
        f0: the pitch tracker: "harvest" (Interspeech 2017), or "dio" refined by StoneMask, which
            is about ten times faster and less sure of where speech is voiced.
        frame_period_ms: between frames, 1 to 10 ms.
    """

    f0: Literal["harvest", "dio"] = "harvest"
    frame_period_ms: float = Field(5.0, ge=1.0, le=10.0)


@register_generator
class World(SpeechGenerator):
    """Pitch, spectral envelope (CheapTrick) and aperiodicity (D4C), and speech from them again.

    Keeps the reference's rate and length. Nothing is drawn: WORLD seeds its noise by itself.
    """

    name: ClassVar[str] = "world"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "vocoder"
    licence: ClassVar[str] = "BSD-3-Clause AND MIT"
    summary: ClassVar[str] = "WORLD, source-filter vocoder with mixed excitation"
    Params: ClassVar[type[GeneratorParams]] = WorldParams
    params: WorldParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (
            Package("pyworld", "forensics[world]"),
            Package("pkg_resources", "setuptools<81"),  # pyworld imports it
        )

    def fingerprint(self) -> str:
        return f"{self.version};{engine_version('pyworld')}"

    def load(self) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "pkg_resources is deprecated")
            import pyworld

        self._world: Any = pyworld

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._resynthesise)

    def _resynthesise(self, request: SpeechRequest) -> Generated:
        reference = reference_of(request, _MIN_S, _MIN_RATE)
        world, rate = self._world, reference.sampling_rate
        samples = reference.samples.astype(np.float64)
        period = self.params.frame_period_ms
        track = world.harvest if self.params.f0 == "harvest" else world.dio
        f0, times = track(samples, rate, frame_period=period)
        if self.params.f0 == "dio":
            f0 = world.stonemask(samples, f0, times, rate)
        envelope = world.cheaptrick(samples, f0, times, rate)
        aperiodicity = world.d4c(samples, f0, times, rate)
        speech = world.synthesize(f0, envelope, aperiodicity, rate, period)
        return Generated(with_samples(reference, speech))
