"""Lyra V2, a neural speech codec for very low bit rates (github.com/google/lyra).

A SoundStream encoder and residual quantizer (arXiv 2107.03312) with a GAN decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from forensics.draws import pick
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
    reference_of,
    weights_digest,
)
from forensics.media.audio import Waveform
from forensics.requirements import LocalWeights, Package, Requirement

_RATE = 16_000
_FRAME = 320  # 20 ms
_MIN_S = 0.1
_QUANTIZERS = {3.2: 16, 6.0: 30, 9.2: 46}  # kbit/s → quantizers of 4 bits, 50 times a second
_ENCODER, _QUANTIZER, _DECODER = "soundstream_encoder.tflite", "quantizer.tflite", "lyragan.tflite"
_FILES = (_ENCODER, _QUANTIZER, _DECODER)


def _known(rate: float) -> float:
    if rate not in _QUANTIZERS:
        raise ValueError(f"Lyra has no bit rate {rate} kbit/s, only {sorted(_QUANTIZERS)}")
    return rate


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, int | float) else value


class LyraParams(GeneratorParams):
    """Parameters of `lyra`.

    Attributes:
        weights: folder with the three `.tflite` graphs.
        bitrate_kbps: 3.2, 6 or 9.2, or several of them, of which one is drawn per item.
    """

    weights: str | None = None
    bitrate_kbps: Annotated[
        tuple[Annotated[float, AfterValidator(_known)], ...], BeforeValidator(_as_list)
    ] = Field((3.2, 6.0, 9.2), min_length=1)


@register_generator
class Lyra(SpeechGenerator):
    """Encoded and decoded at 16 kHz; the reference's duration is kept."""

    name: ClassVar[str] = "lyra"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "codec"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "Lyra V2, neural codec at 3.2, 6 or 9.2 kbit/s"
    Params: ClassVar[type[GeneratorParams]] = LyraParams
    params: LyraParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (
            Package("ai_edge_litert", "forensics[lyra]"),
            LocalWeights(
                self.params.weights,
                _FILES,
                source="lyra/model_coeffs of https://github.com/google/lyra",
            ),
        )

    def fingerprint(self) -> str:
        digest = weights_digest(*self._paths())
        return f"{self.version};{engine_version('ai-edge-litert')};{digest}"

    def load(self) -> None:
        self._graphs = {path.name: path.read_bytes() for path in self._paths()}

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._recode)

    def _recode(self, request: SpeechRequest) -> Generated:
        rate = pick(np.random.default_rng(request.seed), self.params.bitrate_kbps)
        reference = reference_of(request, _MIN_S)
        samples = np.clip(reference.resampled(_RATE).samples, -1.0, 1.0)
        count = -(-len(samples) // _FRAME)
        frames = np.pad(samples, (0, count * _FRAME - len(samples))).reshape(count, 1, _FRAME)
        # Encoder and decoder carry state that nothing but a new interpreter clears.
        encode, decode = self._layers(_ENCODER), self._layers(_DECODER)
        quantizer = self._interpreter(_QUANTIZER)
        to_codes = quantizer.get_signature_runner("encode")
        from_codes = quantizer.get_signature_runner("decode")
        kept = np.int32(_QUANTIZERS[rate])
        heard = np.empty((count, _FRAME), np.float32)
        for i, frame in enumerate(frames):
            codes = to_codes(input_frames=encode(frame), num_quantizers=kept)["output_0"]
            heard[i] = decode(from_codes(encoding_indices=codes)["output_0"])
        wave = Waveform(heard.reshape(-1)[: len(samples)].copy(), _RATE)
        return Generated(wave, {"bitrate_kbps": rate})

    def _layers(self, name: str) -> Any:
        """A fresh interpreter of a graph with one input and one output, as a function."""
        interpreter = self._interpreter(name)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        sink = interpreter.get_output_details()[0]["index"]

        def run(values: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(source, values.astype(np.float32, copy=False))
            interpreter.invoke()
            return interpreter.get_tensor(sink)

        return run

    def _interpreter(self, name: str) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=self._graphs[name], num_threads=1)

    def _paths(self) -> list[Path]:
        root = Path(self.params.weights or "").expanduser()
        return [root / name for name in _FILES]
