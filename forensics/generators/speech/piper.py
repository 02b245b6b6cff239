"""Piper, fast neural TTS: VITS voices as ONNX graphs (github.com/OHF-Voice/piper1-gpl).

Kim, Kong & Son, "Conditional variational autoencoder with adversarial learning for end-to-end
text-to-speech" (VITS), arXiv 2106.06103.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from forensics.draws import Range, pick, uniform, within
from forensics.errors import UsageError
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
    weights_digest,
)
from forensics.media.audio import Waveform
from forensics.requirements import Package, Requirement, RequirementKind

_PHONEME_TYPES = ("espeak", "text")  # the others fetch models of their own


@dataclass(frozen=True)
class PiperVoiceFiles:
    """A voice's graph and, beside it, its settings: `name.onnx` and `name.onnx.json`."""

    voice: str | None
    kind: RequirementKind = "weights"

    def missing(self) -> str | None:
        if self.voice is None:
            return "no Piper voice is named (parameter 'voice')"
        absent = [str(path) for path in _files(self.voice) if not path.is_file()]
        return f"Piper voice: no {' and no '.join(absent)}" if absent else None

    def fix(self) -> str:
        return (
            "python -m piper.download_voices en_US-lessac-medium, "
            "then set 'voice' to its .onnx file (other voices: huggingface.co/rhasspy/piper-voices)"
        )


class PiperParams(GeneratorParams):
    """Parameters of `piper`.

    Attributes:
        voice: path of the voice's `.onnx` file; its `.onnx.json` lies beside it.
        speakers: numbers of the speakers to draw from; None: all that the voice has.
        stretch: [low, high] of the factor on all durations (0.5 to 2).
    """

    voice: str | None = None
    speakers: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(None, min_length=1)
    stretch: Annotated[Range, within(0.5, 2.0)] = (0.9, 1.15)


@register_generator
class Piper(SpeechGenerator):
    """One voice, in the language that it was trained for, at its own rate (16 or 22.05 kHz)."""

    name: ClassVar[str] = "piper"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "tts"
    licence: ClassVar[str] = "GPL-3.0-or-later; each voice has its own"
    summary: ClassVar[str] = "Piper, neural TTS with VITS voices in ONNX"
    Params: ClassVar[type[GeneratorParams]] = PiperParams
    params: PiperParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (Package("piper", "forensics[piper]"), PiperVoiceFiles(self.params.voice))

    def fingerprint(self) -> str:
        engine = f"{engine_version('piper-tts')};{engine_version('onnxruntime')}"
        return f"{self.version};{engine};{weights_digest(*_files(self.params.voice or ''))}"

    def load(self) -> None:
        """Raises:
        UsageError: a voice whose text reading needs downloads, or a speaker that it lacks.
        """
        from piper.config import PiperConfig

        graph, settings = _files(self.params.voice or "")
        described: dict[str, Any] = json.loads(settings.read_text(encoding="utf-8"))
        reading = described.get("phoneme_type", "espeak")
        if reading not in _PHONEME_TYPES:
            raise UsageError(
                f"{graph.name} reads text by {reading!r}, which downloads its own models",
                f"use a voice that reads by {' or '.join(_PHONEME_TYPES)}",
            )
        self._config = PiperConfig.from_dict(described)
        self._language = described.get("language", {}).get("code", self._config.espeak_voice)
        self._graph = graph.read_bytes()
        self._speakers = self.params.speakers or tuple(range(max(1, self._config.num_speakers)))
        if max(self._speakers) >= max(1, self._config.num_speakers):
            raise UsageError(
                f"{graph.name} has no speaker {max(self._speakers)}",
                f"it has {max(1, self._config.num_speakers)}, counted from 0",
            )

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._speak)

    def _speak(self, request: SpeechRequest) -> Generated:
        from piper import PiperVoice, SynthesisConfig

        refuse_other_languages(request, self._language, "this Piper voice")
        text = spoken_text(request)
        rng = np.random.default_rng(request.seed)
        speaker = pick(rng, self._speakers)
        stretch = round(uniform(rng, self.params.stretch), 3)
        voice = PiperVoice(session=self._session(int(rng.integers(1 << 31))), config=self._config)
        settings = SynthesisConfig(
            speaker_id=speaker, length_scale=stretch * self._config.length_scale
        )
        chunks = [chunk.audio_float_array for chunk in voice.synthesize(text, settings)]
        samples = np.concatenate([np.zeros(0, np.float32), *(c.reshape(-1) for c in chunks)])
        wave = Waveform(samples.astype(np.float32), self._config.sample_rate)
        return Generated(heard_something(wave, "Piper"), {"speaker": speaker, "stretch": stretch})

    def _session(self, seed: int) -> Any:
        """A new session: ONNX Runtime's noise nodes take their seed when they are built."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        onnxruntime.set_seed(seed)
        return onnxruntime.InferenceSession(
            self._graph, options, providers=["CPUExecutionProvider"]
        )


def _files(voice: str) -> tuple[Path, Path]:
    graph = Path(voice).expanduser()
    return graph, Path(f"{graph}.json")
