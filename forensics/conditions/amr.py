"""AMR narrowband, the speech codec of GSM and 3G calls (3GPP TS 26.071), through PyAV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.conditions.base import Condition, register_condition
from forensics.conditions.common import at_rate, to_pcm16
from forensics.draws import pick
from forensics.media.audio import Waveform
from forensics.media.samples import with_samples
from forensics.requirements import Package, Requirement, RequirementKind

Mode = Literal[4750, 5150, 5900, 6700, 7400, 7950, 10_200, 12_200]

_RATE = 8000
_FRAME = 160
_DELAY = 40  # the encoder looks 5 ms ahead
_ENCODER = "libopencore_amrnb"


@dataclass(frozen=True)
class AvEncoder:
    """A PyAV whose FFmpeg was built with an encoder. The wheels on PyPI carry AMR's."""

    encoder: str
    kind: RequirementKind = "package"

    def missing(self) -> str | None:
        absent = Package("av", "forensics[av]").missing()
        if absent:
            return absent
        import av

        has = self.encoder in av.codecs_available
        return None if has else f"the installed PyAV has no encoder {self.encoder!r}"

    def fix(self) -> str:
        return "pip install --force-reinstall --only-binary av 'forensics[av]'"


@register_condition
class Amr(Condition):
    """A mobile call: 8 kHz, one of the codec's eight bit rates, no lost frames."""

    name: ClassVar[str] = "amr"
    summary: ClassVar[str] = "AMR narrowband, as in GSM and 3G calls"
    bits_per_second: tuple[Mode, ...] = Field(
        default=(4750, 5150, 5900, 6700, 7400, 7950, 10_200, 12_200), min_length=1
    )

    def requirements(self) -> tuple[Requirement, ...]:
        return (AvEncoder(_ENCODER),)

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        """Raises:
        MissingRequirement: PyAV or its AMR encoder is not installed.
        """
        for missing in self.check():
            raise missing
        mode = pick(rng, self.bits_per_second)
        coded = at_rate(wave, _RATE, lambda samples: _round_trip(samples, mode))
        return with_samples(wave, coded.samples), {"bits_per_second": mode}


def _round_trip(samples: np.ndarray, bits_per_second: int) -> np.ndarray:
    """Samples (T,) at 8 kHz through the codec, its delay removed; float32, at least T long."""
    import av

    # `create` is typed for every kind of codec; these two are audio ones.
    encoder: Any = av.CodecContext.create(_ENCODER, "w")
    encoder.sample_rate, encoder.layout, encoder.format = _RATE, "mono", "s16"
    encoder.bit_rate = bits_per_second
    decoder: Any = av.CodecContext.create("amrnb", "r")
    decoder.sample_rate, decoder.layout = _RATE, "mono"

    frames = -(-(len(samples) + _DELAY) // _FRAME)
    pcm = np.zeros((frames, 1, _FRAME), dtype=np.int16)
    pcm.reshape(-1)[: len(samples)] = to_pcm16(samples)
    packets = []
    for block in pcm:
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate = _RATE
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [f.to_ndarray()[0] for packet in packets for f in decoder.decode(packet)]
    return np.concatenate(decoded)[_DELAY:]
