"""FARGAN, the neural vocoder inside Opus since its version 1.5 (opus-codec.org).

Valin, Mustafa & Büthe, "Very low complexity speech synthesis using framewise autoregressive GAN
(FARGAN) with pitch prediction", arXiv 2405.21069.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from forensics.draws import Range, log_uniform, uniform, within
from forensics.errors import ForensicsError
from forensics.generators.base import (
    Generated,
    GeneratorParams,
    SpeechGenerator,
    SpeechKind,
    SpeechRequest,
    register_generator,
)
from forensics.generators.speech.common import each, reference_of, run_program, weights_digest
from forensics.media.audio import Waveform
from forensics.requirements import Program, Requirement

_PROGRAM = "fargan_demo"
_INSTALL = (
    "unpack a release of Opus from 1.5 on (opus-codec.org, or `apt-get source opus` where it is "
    "new enough), ./configure --enable-deep-plc && make, then put its fargan_demo on PATH or set "
    "'program' to it"
)
_RATE = 16_000
_MIN_S = 0.1
_LEAD = 560  # samples by which what comes out is early: 35 ms, found by comparing spectrograms
_TAIL = 1600  # the last frames are not given back, so they are silence
_WIDTH, _CEPSTRUM, _PITCH = 36, 18, 18  # floats a frame of 10 ms: 18 cepstra, then the pitch
_SHORTEST, _LONGEST = 32.0, 256.0  # periods in samples that the network was made for


class FarganParams(GeneratorParams):
    """Parameters of `fargan`.

    Attributes:
        program: name or path of Opus's `fargan_demo`.
        pitch: [low, high] of the factor on the fundamental frequency (0.5 to 2), one per item.
        smoothing: [low, high] of the standard deviation, in frames of 10 ms, of what smooths the
            cepstra over time (0 to 5), as the means that an acoustic model predicts are smooth.
        timeout_s: seconds after which an utterance is given up.
    """

    program: str = _PROGRAM
    pitch: Annotated[Range, within(0.5, 2.0)] = (1.0, 1.0)
    smoothing: Annotated[Range, within(0.0, 5.0)] = (0.0, 0.0)
    timeout_s: float = Field(60.0, gt=0)


@register_generator
class Fargan(SpeechGenerator):
    """Re-synthesised at 16 kHz from 18 Bark cepstra, pitch and voicing every 10 ms; the
    reference's duration is kept. The weights are compiled into the program."""

    name: ClassVar[str] = "fargan"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "vocoder"
    licence: ClassVar[str] = "BSD-3-Clause (code and weights)"
    summary: ClassVar[str] = "FARGAN, the neural vocoder of Opus 1.5"
    Params: ClassVar[type[GeneratorParams]] = FarganParams
    params: FarganParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (Program(self.params.program, _INSTALL),)

    def fingerprint(self) -> str:
        found = shutil.which(self.params.program)
        return f"{self.version};{weights_digest(Path(found)) if found else ''}"

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._copy)

    def _copy(self, request: SpeechRequest) -> Generated:
        rng = np.random.default_rng(request.seed)
        factor = round(log_uniform(rng, self.params.pitch), 3)
        smoothing = round(uniform(rng, self.params.smoothing), 3)
        samples = reference_of(request, _MIN_S).resampled(_RATE).samples
        with tempfile.TemporaryDirectory(prefix="forensics-") as folder:
            pcm, features = Path(folder, "speech.pcm"), Path(folder, "features.f32")
            padded = np.pad(samples, (_LEAD, _TAIL))
            np.round(np.clip(padded, -1, 1) * 32767).astype("<i2").tofile(pcm)
            self._run("-features", pcm, features)
            frames = np.fromfile(features, "<f4").reshape(-1, _WIDTH)
            changed(frames, factor, smoothing).astype("<f4").tofile(features)
            self._run("-fargan-synthesis", features, pcm)
            made = np.fromfile(pcm, "<i2").astype(np.float32) / 32768
        if len(made) < len(samples):
            raise ForensicsError(
                f"{self.params.program} gave {len(made)} samples of {len(samples)}", _INSTALL
            )
        wave = Waveform(made[: len(samples)].copy(), _RATE)
        return Generated(wave, {"pitch": factor, "smoothing": smoothing})

    def _run(self, what: str, source: Path, target: Path) -> None:
        argv = [self.params.program, what, str(source), str(target)]
        run_program(argv, self.params.timeout_s)


def changed(frames: np.ndarray, factor: float, smoothing: float) -> np.ndarray:
    """Features with the pitch scaled and the cepstra smoothed over time.

    Args:
        frames: float32 (N, 36): 18 cepstra, the pitch p with a period of 256 / 2^(p + 1.5) samples,
            and more.
    """
    from scipy.ndimage import gaussian_filter1d

    frames = frames.copy()
    if smoothing > 0:
        cepstra = frames[:, :_CEPSTRUM]
        frames[:, :_CEPSTRUM] = gaussian_filter1d(cepstra, smoothing, axis=0, mode="nearest")
    if factor != 1:
        low, high = (math.log2(_LONGEST / period) - 1.5 for period in (_LONGEST, _SHORTEST))
        frames[:, _PITCH] = np.clip(frames[:, _PITCH] + math.log2(factor), low, high)
    return frames
