"""Linear-prediction copy synthesis: an all-pole filter driven by pulses and noise.

Makhoul, "Linear prediction: a tutorial review", Proc. IEEE 1975; pitch and voicing by the
window-corrected autocorrelation of Boersma, IFA Proceedings 17, 1993.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from forensics.draws import Range, within
from forensics.generators.base import (
    Generated,
    GeneratorParams,
    SpeechGenerator,
    SpeechKind,
    SpeechRequest,
    register_generator,
)
from forensics.generators.speech.common import each, engine_version, reference_of
from forensics.media.samples import rms, with_samples

_MIN_S = 0.1
_MIN_RATE = 8000
_FRAME_S = 0.04
_HOPS = 4  # hops in a frame: Hann windows a quarter apart add up to 2
_PRE_EMPHASIS = 0.97
_LOWEST_HZ = 30.0
_VOICED = 0.45  # Boersma's voicing threshold
_BLOCK = 256  # frames at a time: memory does not grow with the clip


class LpcParams(GeneratorParams):
    """Parameters of `lpc`.

    Attributes:
        order: of the predictor; None: 2 + one per kHz of the sampling rate.
        pitch_hz: [low, high] of the pitch search.
    """

    order: int | None = Field(None, ge=4, le=64)
    pitch_hz: Annotated[Range, within(50, 800)] = (60, 400)


@register_generator
class Lpc(SpeechGenerator):
    """The classic vocoder: buzz or hiss through an all-pole filter, 100 frames a second.

    Keeps the reference's rate, length and level. The noise is drawn from the request's seed.
    """

    name: ClassVar[str] = "lpc"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "vocoder"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "Linear-prediction vocoder with pulse and noise excitation"
    Params: ClassVar[type[GeneratorParams]] = LpcParams
    params: LpcParams

    def fingerprint(self) -> str:
        return f"{self.version};{engine_version('numpy')};{engine_version('scipy')}"

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._resynthesise)

    def _resynthesise(self, request: SpeechRequest) -> Generated:
        from scipy.signal import lfilter

        reference = reference_of(request, _MIN_S, _MIN_RATE)
        rate = reference.sampling_rate
        order = self.params.order or 2 + round(rate / 1000)
        model = analyse(reference.samples, rate, order, self.params.pitch_hz)
        source = excitation(model, np.random.default_rng(request.seed))
        speech = np.asarray(lfilter([1.0], [1.0, -_PRE_EMPHASIS], synthesise(model, source)))
        # All-pole filters pass the noise down to 0 Hz, where speech has nothing.
        speech = np.asarray(lfilter([1.0, -1.0], [1.0, 2 * np.pi * _LOWEST_HZ / rate - 1], speech))
        speech = speech[model.padding : model.padding + len(reference.samples)]
        level = rms(reference.samples) / max(rms(speech), 1e-12)
        return Generated(with_samples(reference, level * speech))


@dataclass(frozen=True)
class LpcModel:
    """F frames, a quarter of a frame apart, over a signal padded with half a frame at both ends.

    Attributes:
        rate: Hz.
        frame: samples in a frame, a multiple of 4.
        coefficients: float64 (F, order + 1), the prediction-error filter, first column 1.
        gain: (F,), RMS of the prediction error.
        pitch: (F,), Hz, 0 where unvoiced.
        harmonicity: (F,), share of the power that repeats with the pitch, 0 to 1.
    """

    rate: int
    frame: int
    coefficients: np.ndarray
    gain: np.ndarray
    pitch: np.ndarray
    harmonicity: np.ndarray

    @property
    def padding(self) -> int:
        return self.frame // 2

    @property
    def hop(self) -> int:
        return self.frame // _HOPS


def analyse(samples: np.ndarray, rate: int, order: int, pitch_hz: tuple[float, float]) -> LpcModel:
    """Fit the model to samples (T,) at `rate` Hz."""
    from scipy.signal import lfilter, medfilt

    frame = _HOPS * round(_FRAME_S * rate / _HOPS)
    hop, window = frame // _HOPS, _hann(frame)
    count = -(-len(samples) // hop) + _HOPS
    padded = np.zeros((count - 1) * hop + frame)
    padded[frame // 2 : frame // 2 + len(samples)] = samples
    raw = sliding_window_view(padded, frame)[::hop]
    flat = sliding_window_view(lfilter([1.0, -_PRE_EMPHASIS], [1.0], padded), frame)[::hop]
    quiet = 1e-3 * np.mean(np.square(raw)) * frame
    parts = []
    for at in range(0, count, _BLOCK):
        block = slice(at, at + _BLOCK)
        filters, error = levinson(autocorrelation(flat[block] * window)[:, : order + 1])
        gain = np.sqrt(error / np.sum(window**2))
        pitch, harmonicity = _pitch(raw[block] * window, window, rate, pitch_hz)
        audible = np.sum(np.square(raw[block]), axis=1) > quiet
        parts.append((filters, gain, pitch * audible, harmonicity))
    filters, gain, pitch, harmonicity = (np.concatenate(part) for part in zip(*parts, strict=True))
    return LpcModel(rate, frame, filters, gain, medfilt(pitch, 5), harmonicity)


def autocorrelation(frames: np.ndarray) -> np.ndarray:
    """(F, N) → (F, N), lags 0 to N - 1."""
    size = frames.shape[-1]
    return np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * size)) ** 2, 2 * size)[..., :size]


def levinson(correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve for all frames at once by Levinson and Durbin's recursion.

    Args:
        correlation: (F, order + 1).

    Returns:
        The prediction-error filters (F, order + 1), which are minimum-phase, and the energy of
        the prediction error (F,).
    """
    # A noise floor 50 dB down keeps the filters of silence and pure tones tame.
    correlation = correlation.copy()
    correlation[:, 0] = correlation[:, 0] * (1.0 + 1e-5) + 1e-12
    filters = np.zeros_like(correlation)
    filters[:, 0] = 1.0
    error = correlation[:, 0].copy()
    for i in range(1, correlation.shape[1]):
        reflection = -np.sum(filters[:, :i] * correlation[:, i:0:-1], axis=1) / error
        filters[:, 1 : i + 1] += reflection[:, None] * filters[:, i - 1 :: -1][:, :i]
        error *= 1.0 - reflection**2
    return filters, error


def excitation(model: LpcModel, rng: np.random.Generator) -> np.ndarray:
    """Unit-power pulses at the pitch where voiced, mixed with noise by harmonicity; noise else."""
    length = (len(model.gain) - 1) * model.hop + model.frame
    centres = np.arange(len(model.gain)) * model.hop + model.frame // 2
    at = np.arange(length)
    voiced = model.pitch > 0
    noise = rng.standard_normal(length)
    if not voiced.any():
        return noise
    pitch = np.interp(at, centres[voiced], model.pitch[voiced])
    pulses = np.diff(np.floor(np.cumsum(pitch / model.rate)), prepend=0.0)
    pulses -= pitch / model.rate  # no offset
    pulses *= np.sqrt(model.rate / pitch)
    share = np.interp(at, centres, np.where(voiced, model.harmonicity, 0.0))
    return np.sqrt(share) * pulses + np.sqrt(1.0 - share) * noise


def synthesise(model: LpcModel, source: np.ndarray) -> np.ndarray:
    """Each windowed frame of the source through its filter, overlapped and added."""
    frame, hop, size = model.frame, model.hop, 4 * model.frame  # room for the filter to ring out
    frames = sliding_window_view(source, frame)[::hop]
    window = 2.0 * _hann(frame) / _HOPS
    speech = np.zeros(len(source) + size)
    for at in range(0, len(frames), _BLOCK):
        block = slice(at, at + _BLOCK)
        driven = np.fft.rfft(frames[block] * window * model.gain[block, None], size)
        rung = np.fft.irfft(driven / np.fft.rfft(model.coefficients[block], size), size)
        for i, piece in enumerate(rung, start=at):
            speech[i * hop : i * hop + size] += piece
    return speech


def _pitch(
    windowed: np.ndarray, window: np.ndarray, rate: int, pitch_hz: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Pitch in Hz (0: unvoiced) and harmonicity of frames (F, N) that carry `window`."""
    shortest = max(1, int(rate / pitch_hz[1]))
    longest = min(int(np.ceil(rate / pitch_hz[0])), windowed.shape[1] // 2)
    found, own = autocorrelation(windowed), autocorrelation(window)
    curve = found / np.maximum(found[:, :1], 1e-12) / (own / own[0])
    # Of nearly equal peaks the shortest lag is the pitch: the others are its multiples.
    favour = 1.0 - 0.05 * np.log2(np.arange(shortest, longest + 1) / shortest)
    lag = shortest + np.argmax(curve[:, shortest : longest + 1] * favour, axis=1)
    strength = np.clip(curve[np.arange(len(lag)), lag], 0.0, 1.0)
    return np.where(strength > _VOICED, rate / lag, 0.0), strength


def _hann(size: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
