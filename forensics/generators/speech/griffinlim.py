"""Copy synthesis from a mel spectrogram with Griffin-Lim, the vocoder of early neural TTS.

Griffin & Lim, "Signal estimation from modified short-time Fourier transform", 1984; with the
momentum of Perraudin, Balazs & Søndergaard, "A fast Griffin-Lim algorithm", WASPAA 2013.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

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
from forensics.generators.speech.neural import seeded
from forensics.media.samples import with_samples

_MIN_S = 0.1
_WINDOW_S = 0.05


class GriffinLimParams(GeneratorParams):
    """Parameters of `griffinlim`.

    Attributes:
        n_mels: mel bands from 0 to half the sampling rate (Slaney's scale).
        iterations: of the phase search; more sound less metallic.
    """

    n_mels: int = Field(80, ge=20, le=256)
    iterations: int = Field(32, ge=1, le=512)


@register_generator
class GriffinLim(SpeechGenerator):
    """Mel magnitudes, back to linear ones by the pseudo-inverse, phase by Griffin-Lim.

    Keeps the reference's rate and length. The first phase is drawn from the request's seed.
    """

    name: ClassVar[str] = "griffinlim"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "vocoder"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "Griffin-Lim from a mel spectrogram"
    Params: ClassVar[type[GeneratorParams]] = GriffinLimParams
    params: GriffinLimParams

    def fingerprint(self) -> str:
        return f"{self.version};{engine_version('torch')};{engine_version('torchaudio')}"

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._resynthesise)

    def _resynthesise(self, request: SpeechRequest) -> Generated:
        import torch
        from torchaudio.functional import griffinlim

        reference = reference_of(request, _MIN_S)
        rate = reference.sampling_rate
        n_fft = fft_length(rate)
        hop = n_fft // 4
        window = torch.hann_window(n_fft)
        with seeded(request.seed, "cpu", threads=1):
            wave = torch.from_numpy(reference.samples)
            magnitude = torch.stft(wave, n_fft, hop, window=window, return_complex=True).abs()
            filters, inverse = _mel_filters(rate, self.params.n_mels)
            restored = (inverse @ (filters @ magnitude)).clamp(min=0.0)
            speech = griffinlim(
                restored,
                window,
                n_fft,
                hop,
                n_fft,
                power=1.0,
                n_iter=self.params.iterations,
                momentum=0.99,
                length=len(reference.samples),
                rand_init=True,  # from torch's generator, which is seeded here
            )
        return Generated(with_samples(reference, speech.numpy()))


def fft_length(rate: int) -> int:
    """The power of two nearest to 50 ms: 1024 at 16 to 24 kHz, 2048 at 44.1 and 48 kHz."""
    return 1 << round(math.log2(_WINDOW_S * rate))


@functools.lru_cache(maxsize=8)
def _mel_filters(rate: int, n_mels: int) -> tuple[Any, Any]:
    """The mel filter bank (n_mels, n_fft/2 + 1) and its pseudo-inverse, float32 tensors."""
    import torch
    from torchaudio.functional import melscale_fbanks

    with torch.inference_mode():
        bank = melscale_fbanks(
            fft_length(rate) // 2 + 1,
            0.0,
            rate / 2,
            n_mels,
            rate,
            norm="slaney",
            mel_scale="slaney",
        ).T
        return bank.contiguous(), torch.linalg.pinv(bank.double()).float()
