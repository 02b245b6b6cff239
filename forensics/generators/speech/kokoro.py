"""Kokoro-82M, an open neural TTS with many voices, as an ONNX graph (huggingface.co/hexgrad).

StyleTTS 2 (arXiv 2306.07691) with an ISTFTNet vocoder (arXiv 2203.02395).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
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

_RATE = 24_000
_STYLE = 256
_ENGLISH = ("a", "b")  # first letter of a voice's name: American, British


@dataclass(frozen=True)
class KokoroFiles:
    """The graph and, in `voices/` beside it, a style table a voice."""

    graph: str | None
    voices: tuple[str, ...] | None
    kind: RequirementKind = "weights"

    def missing(self) -> str | None:
        if self.graph is None:
            return "no Kokoro graph is named (parameter 'graph')"
        if not Path(self.graph).expanduser().is_file():
            return f"Kokoro: no {self.graph}"
        if not _voices(self.graph):
            return f"Kokoro: no English voice (a*.bin, b*.bin) in {_folder(self.graph)}"
        absent = sorted(set(self.voices or ()) - set(_voices(self.graph)))
        return f"Kokoro: no voice {', '.join(absent)} in {_folder(self.graph)}" if absent else None

    def fix(self) -> str:
        return (
            "hf download onnx-community/Kokoro-82M-v1.0-ONNX, set 'graph' to one of its .onnx "
            "files, and put its voices in a folder `voices` beside that"
        )


class KokoroParams(GeneratorParams):
    """Parameters of `kokoro`.

    Attributes:
        graph: path of the `.onnx` file; its `voices/NAME.bin` lie beside it.
        voices: names to draw from, e.g. af_heart; None: all English ones that are there.
        speed: [low, high] of the factor on the speaking rate (0.5 to 2), one per item.
    """

    graph: str | None = None
    voices: tuple[str, ...] | None = Field(None, min_length=1)
    speed: Annotated[Range, within(0.5, 2.0)] = (0.85, 1.15)


@register_generator
class Kokoro(SpeechGenerator):
    """English, 24 kHz. The package hibari reads the text, in Kokoro's own alphabet of phonemes."""

    name: ClassVar[str] = "kokoro"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "tts"
    licence: ClassVar[str] = "Apache-2.0 (weights and voices)"
    summary: ClassVar[str] = "Kokoro-82M, neural TTS with many voices, in ONNX"
    Params: ClassVar[type[GeneratorParams]] = KokoroParams
    params: KokoroParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (
            Package("hibari", "forensics[hibari]"),
            KokoroFiles(self.params.graph, self.params.voices),
        )

    def fingerprint(self) -> str:
        engines = f"{engine_version('hibari-tts')};{engine_version('onnxruntime')}"
        graph = self.params.graph or ""
        files = (Path(graph).expanduser(), *(_folder(graph) / f"{v}.bin" for v in self._names()))
        return f"{self.version};{engines};{weights_digest(*files)}"

    def load(self) -> None:
        """Raises:
        UsageError: a voice of another shape than Kokoro's.
        """
        import onnxruntime

        graph = self.params.graph or ""
        self._tables = {name: _table(_folder(graph) / f"{name}.bin") for name in self._names()}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(Path(graph).expanduser()), options, providers=["CPUExecutionProvider"]
        )

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._speak)

    def _names(self) -> tuple[str, ...]:
        return self.params.voices or _voices(self.params.graph or "")

    def _speak(self, request: SpeechRequest) -> Generated:
        refuse_other_languages(request, "en", "kokoro")
        rng = np.random.default_rng(request.seed)
        voice = pick(rng, self._names())
        speed = round(uniform(rng, self.params.speed), 3)
        reader = _reader(voice.startswith("b"))
        parts = [
            self._said(reader.ids(phonemes), self._tables[voice], speed)
            for phonemes in reader.phonemize(spoken_text(request))
        ]
        samples = np.concatenate([np.zeros(0, np.float32), *parts])
        wave = Waveform(samples, _RATE)
        return Generated(heard_something(wave, "kokoro"), {"voice": voice, "speed": speed})

    def _said(self, ids: list[int], table: np.ndarray, speed: float) -> np.ndarray:
        style = table[min(len(ids) - 2, len(table) - 1)]  # without the two ends of `ids`
        feeds = {
            "input_ids": np.array([ids], np.int64),
            "style": style[None],
            "speed": np.array([speed], np.float32),
        }
        return np.asarray(self._session.run(None, feeds)[0], np.float32).reshape(-1)


@cache
def _reader(british: bool) -> Any:
    """What turns English into Kokoro's phonemes and their numbers."""
    from hibari import Hibari  # pyright: ignore[reportMissingImports]
    from hibari.g2p import G2P  # pyright: ignore[reportMissingImports]

    return Hibari(threads=1, g2p=G2P(british=british))


def _folder(graph: str) -> Path:
    return Path(graph).expanduser().parent / "voices"


def _voices(graph: str) -> tuple[str, ...]:
    """Names of the English voices beside a graph, sorted."""
    return tuple(sorted(p.stem for p in _folder(graph).glob("*.bin") if p.stem[0] in _ENGLISH))


def _table(path: Path) -> np.ndarray:
    """float32 (N, 256): a voice's style for each count of phonemes."""
    values = np.fromfile(path, "<f4")
    if len(values) == 0 or len(values) % _STYLE:
        raise UsageError(f"{path} is no Kokoro voice: {len(values)} numbers, not rows of {_STYLE}")
    return values.reshape(-1, _STYLE)
