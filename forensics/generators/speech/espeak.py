"""eSpeak NG, a formant synthesiser of over a hundred languages (github.com/espeak-ng/espeak-ng)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from forensics.draws import Range, pick, uniform, within
from forensics.generators.base import (
    Generated,
    GeneratorParams,
    SpeechGenerator,
    SpeechKind,
    SpeechRequest,
    register_generator,
)
from forensics.generators.speech import espeak_process
from forensics.generators.speech.common import (
    each,
    engine_version,
    heard_something,
    run_program,
    spoken_text,
)
from forensics.generators.speech.espeak_voices import VoiceTable
from forensics.media.audio import Waveform
from forensics.requirements import Package, Requirement

_TIMEOUT_S = 60.0  # it speaks a page within a second


class EspeakParams(GeneratorParams):
    """Parameters of `espeak`.

    Attributes:
        voices: one is drawn per item; a language or voice file, and after "+" a variant. For text
            in a language that none of them speaks, that language's voice is used with the same
            variants.
        rate_wpm: [low, high] of the speaking rate in words per minute (80 to 450).
        pitch: [low, high] of the base pitch on eSpeak's scale (0 to 99, 50 is the voice's own).
        pitch_range: liveliness of the intonation on the same scale.
    """

    voices: tuple[str, ...] = Field(
        (
            "en-us",
            "en-gb",
            "en-gb-x-rp",
            "en-gb-scotland",
            "en-us+f2",
            "en-us+f3",
            "en-gb+f4",
            "en-us+m3",
            "en-gb+m7",
            "en-us+klatt4",
        ),
        min_length=1,
    )
    rate_wpm: Annotated[Range, within(80, 450)] = (140, 190)
    pitch: Annotated[Range, within(0, 99)] = (35, 65)
    pitch_range: int = Field(50, ge=0, le=99)


@register_generator
class Espeak(SpeechGenerator):
    """Formant synthesis, 22.05 kHz; library and data come from the `espeakng-loader` wheel."""

    name: ClassVar[str] = "espeak"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "tts"
    licence: ClassVar[str] = "GPL-3.0-or-later"
    summary: ClassVar[str] = "eSpeak NG, formant synthesis in over a hundred languages"
    Params: ClassVar[type[GeneratorParams]] = EspeakParams
    params: EspeakParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (Package("espeakng_loader", "espeakng-loader"),)

    def fingerprint(self) -> str:
        return f"{self.version};{engine_version('espeakng-loader')}"

    def load(self) -> None:
        """Raises:
        UsageError: a voice is named that eSpeak does not have.
        """
        import espeakng_loader

        self._library = espeakng_loader.get_library_path()
        self._data = Path(espeakng_loader.get_data_path())
        self._table = VoiceTable.read(self._data)
        for voice in self.params.voices:
            self._table.file(voice)

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._speak)

    def _speak(self, request: SpeechRequest) -> Generated:
        rng = np.random.default_rng(request.seed)
        voice = pick(rng, self._table.speaking(request.language, self.params.voices))
        details = {
            "voice": voice,
            "rate_wpm": round(uniform(rng, self.params.rate_wpm)),
            "pitch": round(uniform(rng, self.params.pitch)),
        }
        task = {
            **details,
            "voice": self._table.file(voice),
            "pitch_range": self.params.pitch_range,
            "seed": int(rng.integers(1 << 31)),
            "text": spoken_text(request),
            "library": self._library,
            # Relative to its working folder: eSpeak cuts data paths at 160 characters.
            "data": self._data.name,
        }
        spoken = run_program(
            [sys.executable, "-I", "-S", espeak_process.__file__],
            timeout_s=_TIMEOUT_S,
            stdin=json.dumps(task).encode(),
            cwd=self._data.parent,
        )
        rate, _, samples = spoken.partition(b"\n")
        wave = Waveform(np.frombuffer(samples, np.int16).astype(np.float32) / 32768.0, int(rate))
        return Generated(heard_something(wave, "eSpeak"), details)
