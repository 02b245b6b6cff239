"""Copy synthesis with the neural vocoders of `transformers`: HiFi-GAN and UnivNet."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from forensics.draws import Range, uniform, within
from forensics.errors import UsageError
from forensics.generators.base import GeneratorParams, SpeechRequest, register_generator
from forensics.generators.speech.neural import (
    LOCAL_ONLY,
    TorchGenerator,
    TorchParams,
    blurred,
    loaded,
    read_config,
    resynthesised,
)
from forensics.requirements import Requirement, SafetensorsModel, model_folder

_WINDOW = 1024
_FMIN, _FMAX = 80.0, 7600.0
_FASTSPEECH2_RATE = 22_050


class VocoderParams(TorchParams):
    """Parameters of `transformers_vocoder`, besides those of every torch engine.

    Attributes:
        sampling_rate: Hz, for vocoders whose config has none (FastSpeech2ConformerHifiGan: 22 050).
        smoothing: how far the mel spectrogram is blurred before speech is made of it, as acoustic
            models of TTS would: standard deviation in frames, and a third of it in bands; one value
            is drawn per item.
    """

    sampling_rate: int | None = Field(default=None, gt=0)
    smoothing: Annotated[Range, within(0.0, 10.0)] = (0.0, 0.0)


@register_generator
class TransformersVocoder(TorchGenerator[VocoderParams]):
    """Re-synthesises the reference through a mel spectrogram and a neural vocoder.

    SpeechT5HifiGan and FastSpeech2ConformerHifiGan get log10 mel amplitudes as SpeechT5's feature
    extractor and ESPnet make them (centred frames of 1024 samples, 80 to 7600 Hz, Slaney
    filters). UnivNet gets its own feature extractor's mel and noise drawn from the seed. ESPnet
    normalises its features with statistics that the converted FastSpeech2 vocoder does not carry
    (from its conversion script), so that one is closest to its training inside a TTS. A folder of
    `forensics import-weights hifigan` says how the mel spectrogram of its training was made
    (natural logarithm, frames that are not centred), and gets that.
    The output has the model's own rate and exactly the reference's duration.
    """

    name = "transformers_vocoder"
    version = "1"
    kind = "vocoder"
    licence = "Apache-2.0 (code); weights: see the model's card"
    summary = "HiFi-GAN and UnivNet vocoders of transformers"
    Params: ClassVar[type[GeneratorParams]] = VocoderParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (SafetensorsModel(self.params.model, example="microsoft/speecht5_hifigan"),)

    def load(self) -> None:
        folder = model_folder(self.params.model)
        kind = (read_config(folder).get("architectures") or ["?"])[0]
        if kind == "SpeechT5HifiGan" and "mel" in read_config(folder):
            self._vocoder: _HifiGan | _UnivNet | _Imported = _Imported(folder, self.params)
        elif kind in ("SpeechT5HifiGan", "FastSpeech2ConformerHifiGan"):
            self._vocoder = _HifiGan(folder, kind, self.params)
        elif kind == "UnivNetModel":
            self._vocoder = _UnivNet(folder, self.params)
        else:
            raise UsageError(
                f"{folder} holds {kind}, not a vocoder that is known here",
                "name a SpeechT5HifiGan, FastSpeech2ConformerHifiGan or UnivNetModel",
            )

    def forge(self, request: SpeechRequest) -> tuple[Any, int, dict[str, Any]]:
        vocoder = self._vocoder
        smoothing = uniform(np.random.default_rng(request.seed), self.params.smoothing)
        samples = resynthesised(
            request, vocoder.rate, _WINDOW, lambda x: vocoder(x, request.seed, smoothing)
        )
        return samples, vocoder.rate, {"smoothing": round(smoothing, 3)}


class HifiganParams(VocoderParams):
    model: str | None = "microsoft/speecht5_hifigan"


@register_generator
class Hifigan(TransformersVocoder):
    """HiFi-GAN (arXiv 2010.05646) through transformers: SpeechT5's vocoder, 16 kHz, by default.

    The hub's folder holds pickled weights (from memory): `check` says how to turn them into
    safetensors. The authors' own checkpoints, 22.05 kHz, come in by `forensics import-weights
    hifigan`.
    """

    name = "hifigan"
    licence = "MIT (HiFi-GAN), Apache-2.0 (transformers); default weights MIT"
    summary = "HiFi-GAN, through transformers' SpeechT5HifiGan"
    Params: ClassVar[type[GeneratorParams]] = HifiganParams


class UnivnetParams(VocoderParams):
    model: str | None = "dg845/univnet-dev"


@register_generator
class Univnet(TransformersVocoder):
    """UnivNet-c32 (arXiv 2106.07889), 24 kHz, through transformers."""

    name = "univnet"
    licence = "BSD-3-Clause (maum-ai/univnet), Apache-2.0 (transformers); weights: see the card"
    summary = "UnivNet, through transformers"
    Params: ClassVar[type[GeneratorParams]] = UnivnetParams


class _HifiGan:
    def __init__(self, folder: Path, kind: str, params: VocoderParams):
        import transformers
        from transformers.audio_utils import mel_filter_bank, window_function

        self.model = loaded(getattr(transformers, kind), folder, params.device)
        config = self.model.config
        own = getattr(config, "sampling_rate", None)
        self.rate: int = params.sampling_rate or own or _FASTSPEECH2_RATE
        self.hop = math.prod(config.upsample_rates)
        self.window = window_function(_WINDOW, "hann_window", periodic=True)
        self.filters = mel_filter_bank(
            num_frequency_bins=_WINDOW // 2 + 1,
            num_mel_filters=config.model_in_dim,
            min_frequency=_FMIN,
            max_frequency=min(_FMAX, self.rate / 2),
            sampling_rate=self.rate,
            norm="slaney",
            mel_scale="slaney",
        )

    def mel(self, samples: np.ndarray) -> np.ndarray:
        """log10 mel amplitudes float32 (T // hop + 1, bins)."""
        from transformers.audio_utils import spectrogram

        mel = spectrogram(
            samples,
            window=self.window,
            frame_length=_WINDOW,
            hop_length=self.hop,
            fft_length=_WINDOW,
            mel_filters=self.filters,
            mel_floor=1e-10,
            log_mel="log10",
        )
        return mel.T.astype(np.float32)

    def __call__(self, samples: np.ndarray, seed: int, smoothing: float) -> Any:
        import torch

        mel = torch.from_numpy(self.mel(samples)).to(self.model.device)
        return self.model(_smooth(mel, smoothing))


class _Imported:
    """A vocoder of HiFi-GAN's authors, with the mel spectrogram that they trained it on."""

    def __init__(self, folder: Path, params: VocoderParams):
        import librosa
        import torch
        from transformers import SpeechT5HifiGan

        self.model = loaded(SpeechT5HifiGan, folder, params.device)
        self.rate: int = self.model.config.sampling_rate
        mel = read_config(folder)["mel"]
        self.n_fft, self.win, self.hop = (
            int(mel[name]) for name in ("n_fft", "win_length", "hop_length")
        )
        self.window = torch.hann_window(self.win)
        self.filters = torch.from_numpy(
            librosa.filters.mel(
                sr=self.rate,
                n_fft=self.n_fft,
                n_mels=self.model.config.model_in_dim,
                fmin=mel["fmin"],
                fmax=mel["fmax"],
            )
        )

    def mel(self, samples: np.ndarray) -> Any:
        """Natural logarithms of mel amplitudes, float32 (T // hop, bins)."""
        import torch

        beyond = (self.n_fft - self.hop) // 2
        padded = np.pad(samples, beyond, mode="reflect")
        spectrum = torch.stft(
            torch.from_numpy(padded),
            self.n_fft,
            self.hop,
            self.win,
            self.window,
            center=False,
            return_complex=True,
        )
        amplitudes = (spectrum.abs().square() + 1e-9).sqrt()
        return (self.filters @ amplitudes).clamp_min(1e-5).log().T

    def __call__(self, samples: np.ndarray, seed: int, smoothing: float) -> Any:
        padded = np.pad(samples, (0, self.hop))  # else the last partial frame is lost
        return self.model(_smooth(self.mel(padded).to(self.model.device), smoothing))


class _UnivNet:
    def __init__(self, folder: Path, params: VocoderParams):
        from transformers import UnivNetFeatureExtractor, UnivNetModel

        self.extractor: Any = UnivNetFeatureExtractor.from_pretrained(str(folder), **LOCAL_ONLY)
        self.model = loaded(UnivNetModel, folder, params.device)
        self.rate: int = self.extractor.sampling_rate

    def __call__(self, samples: np.ndarray, seed: int, smoothing: float) -> Any:
        # Without truncation=False the extractor cuts the input at ten seconds; the padded end
        # makes the output reach the last sample.
        inputs = self.extractor(
            samples,
            sampling_rate=self.rate,
            truncation=False,
            pad_end=True,
            generator=np.random.default_rng(seed),
            return_tensors="pt",
        ).to(self.model.device)
        return self.model(
            input_features=_smooth(inputs["input_features"][0], smoothing)[None],
            noise_sequence=inputs["noise_sequence"],
        ).waveforms[0]


def _smooth(mel: Any, frames: float) -> Any:
    """Log mel (T, bins), blurred by so many frames and a third in bins."""
    return blurred(mel.T[None], frames)[0].T
