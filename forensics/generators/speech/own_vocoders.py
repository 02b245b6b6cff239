"""Copy synthesis with the vocoders that this project trains itself.

Each family comes with small weights in the package, trained on LibriSpeech (CC BY 4.0), at one
or more sampling rates, and takes those of a user's own training instead: `model` is the folder
`vocoder/` of a run of `forensics train vocoder-…`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from forensics.draws import Range, uniform, within
from forensics.errors import UsageError
from forensics.generators.base import GeneratorParams, SpeechRequest, register_generator
from forensics.generators.speech.neural import (
    TorchGenerator,
    TorchParams,
    blurred,
    resynthesised,
)
from forensics.requirements import Requirement, SafetensorsModel, model_folder

_SHIPPED = Path(__file__).parent / "weights"
_SHORTEST_S = 0.1


class OwnVocoderParams(TorchParams):
    """Parameters.

    Attributes:
        model: folder of a trained vocoder, or the name of one in the package, as `upsampling-22k`
            (a folder of that name is written ./upsampling-22k); None for the family's first.
        rate_hz: the recording is resampled to a rate that is drawn from here per item and taken to
            be at the vocoder's own; what comes out is played at that rate again. A vocoder's traces
            lie at multiples of its frame rate, and vocoders in use run at 22 or 24 kHz and more.
            None: the vocoder's own rate.
        smoothing: how far the mel spectrogram is blurred before speech is made of it: standard
            deviation in frames, and a third of it in bands; one value is drawn per item. The
            acoustic models of TTS give spectrograms smoother than those of recordings (Ren et
            al., "Revisiting over-smoothness in text to speech", ACL 2022).
        share: how far the levels of the spectrum are the vocoder's, from 0 for the recording's to
            1; the phase is the vocoder's in any case. One value is drawn per item. Less than 1
            stands for a larger vocoder, trained for longer, whose levels are nearer.
    """

    rate_hz: Annotated[Range, within(8_000, 48_000)] | None = None
    smoothing: Annotated[Range, within(0.0, 10.0)] = (0.0, 0.0)
    share: Annotated[Range, within(0.0, 1.0)] = (1.0, 1.0)


class OwnVocoder(TorchGenerator[OwnVocoderParams]):
    """Subclasses name the family; the reference's duration is kept."""

    family: ClassVar[str]
    kind = "vocoder"
    licence = "Apache-2.0 (code and weights)"
    Params: ClassVar[type[GeneratorParams]] = OwnVocoderParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (SafetensorsModel(self._model),)

    def folders(self) -> list[Path]:
        return [model_folder(self._model)]

    @property
    def _model(self) -> str:
        named = self.params.model or self.family
        return str(_SHIPPED / named) if named in shipped_vocoders() else named

    def load(self) -> None:
        from forensics.networks.vocoders.folder import load_vocoder
        from forensics.networks.vocoders.frames import LogMel

        folder = self.folders()[0]
        network, card = load_vocoder(folder)
        if card.network.family != self.family:
            raise UsageError(
                f"{folder} holds a vocoder of the family {card.network.family}",
                f"name one of the family {self.family}",
            )
        self._mel_config = card.network.mel
        self._network = network.to(self.params.device)
        self._mel = LogMel(self._mel_config).to(self.params.device)

    def forge(self, request: SpeechRequest) -> tuple[Any, int, dict[str, Any]]:
        rng = np.random.default_rng(request.seed)
        smoothing, share = uniform(rng, self.params.smoothing), uniform(rng, self.params.share)
        rate, drawn = self._mel_config.sampling_rate, {}
        if self.params.rate_hz is not None:
            rate = round(uniform(rng, self.params.rate_hz))
            drawn = {"rate_hz": rate}
        # Spectra mirror half of their length at both ends.
        shortest = max(int(_SHORTEST_S * rate), self._mel_config.n_fft)
        samples = resynthesised(request, rate, shortest, lambda x: self._copy(x, smoothing, share))
        return samples, rate, {"smoothing": round(smoothing, 3), "share": round(share, 3)} | drawn

    def _copy(self, samples: np.ndarray, smoothing: float, share: float) -> Any:
        import torch

        hop = self._mel_config.hop
        padded = torch.from_numpy(np.pad(samples, (0, -len(samples) % hop)))
        recording = padded[None].to(self.params.device)
        made = self._network(blurred(self._mel(recording), smoothing))
        return between(recording, made, self._mel_config.n_fft, share)[0]


def shipped_vocoders() -> list[str]:
    """Names of the trained vocoders in the package."""
    return sorted(folder.name for folder in _SHIPPED.iterdir() if folder.is_dir())


def between(recording: Any, made: Any, n_fft: int, share: float) -> Any:
    """Samples (B, T) whose levels lie between those of two signals and whose phase is `made`'s."""
    import torch

    if share >= 1:
        return made
    window = torch.hann_window(n_fft, device=made.device)
    settings = {"n_fft": n_fft, "hop_length": n_fft // 4, "window": window}
    theirs, ours = (
        torch.stft(samples, **settings, return_complex=True) for samples in (recording, made)
    )
    gain = ((theirs.abs() + 1e-6) / (ours.abs() + 1e-6)) ** (1 - share)
    return torch.istft(ours * gain, **settings, length=made.shape[1])


@register_generator
class UpsamplingVocoder(OwnVocoder):
    """A small HiFi-GAN: transposed convolutions to samples."""

    name = "own-upsampling"
    version = "1"
    family = "upsampling"
    summary = "Our small HiFi-GAN-class vocoder"


@register_generator
class FourierVocoder(OwnVocoder):
    """A small Vocos: magnitudes and phases, then the inverse STFT."""

    name = "own-fourier"
    version = "1"
    family = "fourier"
    summary = "Our small Vocos-class vocoder"


@register_generator
class FlowVocoder(OwnVocoder):
    """A rectified flow on Fourier coefficients; the noise is drawn from the request's seed."""

    name = "own-flow"
    version = "1"
    family = "flow"
    summary = "Our small rectified-flow vocoder"
