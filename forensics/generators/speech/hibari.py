"""hibari, a small neural TTS whose weights come in its package (github.com/MMWilliams/hibari).

Distilled from a voice of Kokoro-82M, which is StyleTTS 2 (arXiv 2306.07691) with an ISTFTNet
vocoder (arXiv 2203.02395).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np

from forensics.draws import Range, uniform, within
from forensics.generators.base import (
    Generated,
    GeneratorParams,
    SpeechGenerator,
    SpeechKind,
    SpeechRequest,
    register_generator,
)
from forensics.generators.speech.common import (
    each,
    engine_version,
    heard_something,
    refuse_other_languages,
    spoken_text,
)
from forensics.media.audio import Waveform
from forensics.requirements import Package, Requirement


class HibariParams(GeneratorParams):
    """Parameters of `hibari`.

    Attributes:
        speed: [low, high] of the factor on the speaking rate (0.5 to 2), one per item.
    """

    speed: Annotated[Range, within(0.5, 2.0)] = (0.85, 1.15)


@register_generator
class Hibari(SpeechGenerator):
    """English, 24 kHz, the one voice that is in the package (its others are downloads, so they are
    not offered)."""

    name: ClassVar[str] = "hibari"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "tts"
    licence: ClassVar[str] = "Apache-2.0 (code and weights)"
    summary: ClassVar[str] = "hibari, neural TTS distilled from Kokoro, weights in the package"
    Params: ClassVar[type[GeneratorParams]] = HibariParams
    params: HibariParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (Package("hibari", "forensics[hibari]"),)

    def fingerprint(self) -> str:
        engines = f"{engine_version('hibari-tts')};{engine_version('onnxruntime')}"
        return f"{self.version};{engines}"

    def load(self) -> None:
        from hibari import Hibari as Engine  # pyright: ignore[reportMissingImports]

        self._engine = Engine(threads=1)

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._speak)

    def _speak(self, request: SpeechRequest) -> Generated:
        refuse_other_languages(request, "en", "hibari")
        rng = np.random.default_rng(request.seed)
        speed = round(uniform(rng, self.params.speed), 3)
        samples = self._engine(spoken_text(request), speed=speed, seed=int(rng.integers(1 << 31)))
        wave = Waveform(np.asarray(samples, np.float32).reshape(-1), self._engine.sample_rate)
        return Generated(heard_something(wave, "hibari"), {"speed": speed})
