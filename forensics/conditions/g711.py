"""G.711: the mu-law and A-law companding of telephone networks (ITU-T G.711)."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from forensics.conditions.base import Condition, register_condition
from forensics.conditions.common import at_rate, to_pcm16
from forensics.draws import pick
from forensics.media.audio import Waveform
from forensics.media.samples import with_samples

Law = Literal["mulaw", "alaw"]

TELEPHONE_RATE = 8000
_MULAW_BIAS = 33  # in units of 14-bit PCM
_ALAW_TOGGLE = 0x55  # every second bit is inverted on the line


@register_condition
class G711(Condition):
    """To 8 kHz, through the 8-bit code and back; no band-pass (see `telephone`)."""

    name: ClassVar[str] = "g711"
    summary: ClassVar[str] = "G.711 mu-law or A-law at 8 kHz"
    laws: tuple[Law, ...] = Field(default=("mulaw", "alaw"), min_length=1)

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        law = pick(rng, self.laws)
        coded = at_rate(wave, TELEPHONE_RATE, lambda samples: round_trip(samples, law))
        return with_samples(wave, coded.samples), {"law": law}


def round_trip(samples: np.ndarray, law: Law) -> np.ndarray:
    """Samples (T,) in [-1, 1], clipped beyond, through the codec; float32 (T,)."""
    return decode(encode(to_pcm16(samples), law), law).astype(np.float32) / 32767.0


def encode(pcm: np.ndarray, law: Law) -> np.ndarray:
    """int16 (T,) → the octets on the line, uint8 (T,)."""
    return _encoder(law)[pcm.view(np.uint16)]


def decode(octets: np.ndarray, law: Law) -> np.ndarray:
    """Octets, uint8 (T,) → int16 (T,)."""
    return _decoder(law)[octets]


@cache
def _encoder(law: Law) -> np.ndarray:
    """The octet for every int16, indexed by its bits as uint16."""
    pcm = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32)
    sign = pcm < 0
    magnitude = np.where(sign, ~pcm, pcm)  # one's complement: both halves are symmetric
    if law == "mulaw":
        level = np.minimum((magnitude >> 2) + _MULAW_BIAS, 0x1FFF)
        segment = _bit_length(level) - 6  # 0 to 7
        octet = ~(segment << 4 | (level >> (segment + 1)) & 0xF) & 0x7F
        return np.where(sign, octet, octet | 0x80).astype(np.uint8)
    level = magnitude >> 4
    segment = np.maximum(_bit_length(level) - 4, 0)
    step = np.where(segment > 0, level >> np.maximum(segment - 1, 0), level) & 0xF
    octet = segment << 4 | step
    return (np.where(sign, octet, octet | 0x80) ^ _ALAW_TOGGLE).astype(np.uint8)


@cache
def _decoder(law: Law) -> np.ndarray:
    """The int16 for every octet: the middle of its decision interval."""
    octets = np.arange(256)
    code = ~octets & 0xFF if law == "mulaw" else octets ^ _ALAW_TOGGLE
    segment, step = (code >> 4) & 7, code & 0xF
    if law == "mulaw":
        magnitude = ((2 * step + _MULAW_BIAS) << segment) - _MULAW_BIAS << 2
        negative = code >= 0x80
    else:
        above = (2 * step + 33) << np.maximum(segment - 1, 0)
        magnitude = np.where(segment > 0, above, 2 * step + 1) << 3
        negative = code < 0x80
    return np.where(negative, -magnitude, magnitude).astype(np.int16)


def _bit_length(values: np.ndarray) -> np.ndarray:
    return np.frexp(values.astype(np.float64))[1].astype(np.int32)
