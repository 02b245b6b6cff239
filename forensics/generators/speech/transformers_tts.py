"""Text to speech with any `transformers` model that is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from forensics.generators.base import GeneratorParams, SpeechRequest, register_generator
from forensics.generators.speech import transformers_voices as voices
from forensics.generators.speech.neural import (
    TorchGenerator,
    TorchParams,
    read_config,
)
from forensics.requirements import (
    LocalWeights,
    Package,
    Requirement,
    SafetensorsModel,
    find_model,
    model_folder,
)

_VOICES: dict[str, type[voices.Voice]] = {
    "vits": voices.Vits,
    "speecht5": voices.SpeechT5,
    "bark": voices.Bark,
    "fastspeech2_conformer": voices.FastSpeech2,
    "fastspeech2_conformer_with_hifigan": voices.FastSpeech2,
}
_SPECTROGRAM_MODELS = ("speecht5", "fastspeech2_conformer")
# What a tokenizer class imports besides transformers.
_TOKENIZER_PACKAGES = {
    "SpeechT5Tokenizer": Package("sentencepiece", "sentencepiece"),
    "FastSpeech2ConformerTokenizer": Package("g2p_en", "g2p-en"),
}


class TtsParams(TorchParams):
    """Parameters of `transformers_tts`, besides those of every torch engine.

    Attributes:
        vocoder: of models that make spectrograms (SpeechT5, FastSpeech2Conformer without HiFi-GAN):
            the folder or cached hub id of their HiFi-GAN.
        voices: what each item's voice is drawn from: VITS and FastSpeech2 speaker numbers, Bark
            preset names. Empty: all that the model has (Bark: those of the request's language).
        speaker_embeddings: `.npy` or `.safetensors` file, float (N, D) or (D,), of which one row is
            drawn per item. Without it SpeechT5 and FastSpeech2 get a random direction, which is a
            consistent voice for a seed but nobody's.
        sampling_rate: Hz, for models whose config has none (FastSpeech2Conformer: 22 050).
    """

    vocoder: str | None = None
    voices: tuple[int | str, ...] = ()
    speaker_embeddings: str | None = None
    sampling_rate: int | None = Field(default=None, gt=0)


@register_generator
class TransformersTts(TorchGenerator[TtsParams]):
    """VITS/MMS, SpeechT5, Bark and FastSpeech2Conformer; any other text-to-waveform model runs
    through transformers' own text-to-speech pipeline in its default voice.

    Each item is made alone under its own seed: dropout, durations and sampling do not depend on
    its neighbours. The request's reference is not used: these models do not clone.
    """

    name = "transformers_tts"
    version = "1"
    kind = "tts"
    licence = "Apache-2.0 (code); weights: see the model's card"
    summary = "Any text-to-speech model of transformers: VITS/MMS, SpeechT5, Bark, FastSpeech2"
    example: ClassVar[str] = "facebook/mms-tts-eng"
    Params: ClassVar[type[GeneratorParams]] = TtsParams

    def requirements(self) -> tuple[Requirement, ...]:
        model = SafetensorsModel(self.params.model, example=self.example)
        folder = find_model(self.params.model) if self.params.model is not None else None
        if folder is None:
            return (model,)
        needed: list[Requirement] = [model, *_tokenizer_packages(folder)]
        if read_config(folder).get("model_type") in _SPECTROGRAM_MODELS:
            needed.append(
                SafetensorsModel(self.params.vocoder, "vocoder", "microsoft/speecht5_hifigan")
            )
        if self.params.speaker_embeddings is not None:
            needed.append(
                LocalWeights(
                    self.params.speaker_embeddings, (), "speaker_embeddings", "your x-vectors"
                )
            )
        return tuple(needed)

    def folders(self) -> list[Path]:
        named = (self.params.model, self.params.vocoder)
        return [model_folder(named[0]), *(model_folder(v) for v in named[1:] if v is not None)]

    def fingerprint(self) -> str:
        file = self.params.speaker_embeddings
        return super().fingerprint() + (f"-{voices.file_digest(file)}" if file else "")

    def load(self) -> None:
        folder = model_folder(self.params.model)
        family = _VOICES.get(read_config(folder).get("model_type", ""), voices.AnyVoice)
        vocoder = self.params.vocoder
        self._voice = family(
            folder,
            voices.Settings(
                device=self.params.device,
                vocoder=model_folder(vocoder) if vocoder is not None else None,
                voices=self.params.voices,
                embeddings=voices.read_embeddings(self.params.speaker_embeddings),
                sampling_rate=self.params.sampling_rate,
            ),
        )

    def forge(self, request: SpeechRequest) -> tuple[Any, int, dict[str, Any]]:
        return self._voice.speak(request)


class BarkParams(TtsParams):
    model: str | None = "suno/bark-small"


@register_generator
class Bark(TransformersTts):
    """Suno's Bark (https://github.com/suno-ai/bark): GPT-style tokens, decoded by EnCodec, 24 kHz.

    Code and weights MIT. The hub's folder holds pickled weights (from memory): `check` says how to
    turn them into safetensors.
    """

    name = "bark"
    licence = "MIT (code and weights)"
    summary = "Bark, through transformers"
    example = "suno/bark-small"
    Params: ClassVar[type[GeneratorParams]] = BarkParams


class VitsParams(TtsParams):
    model: str | None = "facebook/mms-tts-eng"


@register_generator
class Vits(TransformersTts):
    """VITS (arXiv 2106.06103) through transformers; the default weights are MMS English, 16 kHz.

    `kakao-enterprise/vits-vctk` has 109 speakers, and needs the packages phonemizer and espeak-ng.
    """

    name = "vits"
    licence = "MIT (VITS), Apache-2.0 (transformers); default weights CC-BY-NC-4.0 (MMS)"
    summary = "VITS, through transformers; one MMS language or a multi-speaker model"
    Params: ClassVar[type[GeneratorParams]] = VitsParams


def _tokenizer_packages(folder: Path) -> list[Requirement]:
    config = read_config(folder, "tokenizer_config.json")
    name = config.get("tokenizer_class", "")
    needed: list[Requirement] = []
    if name in _TOKENIZER_PACKAGES:
        needed.append(_TOKENIZER_PACKAGES[name])
    if name == "VitsTokenizer" and config.get("phonemize", True):
        needed.append(Package("phonemizer", "phonemizer"))
    if name == "VitsTokenizer" and config.get("is_uroman", False):
        needed.append(Package("uroman", "uroman"))
    return needed
