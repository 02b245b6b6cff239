"""How each family of `transformers` text-to-speech models is loaded and called (5.x)."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forensics.errors import MediaError, UsageError
from forensics.generators.base import SpeechRequest
from forensics.generators.speech.common import primary_language, spoken_text
from forensics.generators.speech.neural import LOCAL_ONLY, loaded

Spoken = tuple[Any, int, dict[str, Any]]
# ESPnet's LJSpeech recipes, which the FastSpeech2Conformer checkpoints come from.
_FASTSPEECH2_RATE = 22_050
_BARK_MAX_TOKENS = 256
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")


@dataclass(frozen=True)
class Settings:
    """What a voice is loaded with. `embeddings` is float32 (N, D) or None."""

    device: str
    vocoder: Path | None
    voices: tuple[int | str, ...]
    embeddings: np.ndarray | None
    sampling_rate: int | None


class Voice(ABC):
    """One loaded model. `speak` runs seeded, without gradients, one item at a time."""

    def __init__(self, folder: Path, settings: Settings):
        self.settings = settings
        self.device = settings.device
        self.load(folder)

    @abstractmethod
    def load(self, folder: Path) -> None: ...

    @abstractmethod
    def speak(self, request: SpeechRequest) -> Spoken:
        """Samples (T,), their rate in Hz, and what was drawn.

        Raises:
            MediaError: the model cannot read this text.
        """

    def draw(self, request: SpeechRequest, choices: list[Any]) -> Any:
        """One of `choices` by the request's seed alone; None when there are none."""
        if not choices:
            return None
        return choices[int(np.random.default_rng(request.seed).integers(len(choices)))]

    def speakers(self, count: int) -> list[int]:
        """The speaker numbers to draw from, of `count` that the model has; none of one.

        Raises:
            UsageError: `voices` names a speaker that the model does not have.
        """
        if count <= 1:
            return []
        named = [int(v) for v in self.settings.voices if str(v).isdigit()]
        wrong = [v for v in self.settings.voices if not str(v).isdigit() or int(v) >= count]
        if wrong:
            raise UsageError(f"the model has no voices {wrong}", f"speakers are 0 to {count - 1}")
        return named or list(range(count))

    def embedding(self, request: SpeechRequest, size: int) -> tuple[Any, int | None]:
        """A speaker embedding (1, size) on the device, and the row of the file it is, if any."""
        import torch

        rng = np.random.default_rng(request.seed)
        if self.settings.embeddings is None:
            vector, row = rng.standard_normal(size).astype(np.float32), None
            vector /= np.linalg.norm(vector)
        else:
            row = int(rng.integers(len(self.settings.embeddings)))
            vector = self.settings.embeddings[row]
        if vector.shape != (size,):
            raise UsageError(
                f"speaker embeddings have {vector.shape[-1]} values, the model takes {size}",
                "name another speaker_embeddings file",
            )
        return torch.from_numpy(vector.copy())[None].to(self.device), row

    def tokens(self, request: SpeechRequest, at_most: int | None = None) -> Any:
        """The tokenizer's tensors for the text, on the device."""
        inputs = self.tokenizer(spoken_text(request), return_tensors="pt")
        _check_length(inputs["input_ids"].shape[-1], at_most)
        return inputs.to(self.device)

    def load_tokenizer(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), **LOCAL_ONLY)


class Vits(Voice):
    """VITS and MMS-TTS. Characters that the vocabulary lacks are dropped by the tokenizer."""

    def load(self, folder: Path) -> None:
        from transformers import VitsModel

        self.load_tokenizer(folder)
        self.model = loaded(VitsModel, folder, self.device)
        self.choices = self.speakers(self.model.config.num_speakers)

    def speak(self, request: SpeechRequest) -> Spoken:
        inputs = self.tokens(request)
        speaker = self.draw(request, self.choices)
        made = self.model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            speaker_id=speaker,
        )
        details = {} if speaker is None else {"voice": speaker}
        return made.waveform[0], self.model.config.sampling_rate, details


class SpeechT5(Voice):
    """SpeechT5 (arXiv 2110.07205) with its HiFi-GAN; the voice is a 512-d x-vector."""

    def load(self, folder: Path) -> None:
        from transformers import SpeechT5ForTextToSpeech, SpeechT5HifiGan

        self.load_tokenizer(folder)
        self.model = loaded(SpeechT5ForTextToSpeech, folder, self.device)
        self.vocoder = loaded(SpeechT5HifiGan, _needed(self.settings.vocoder), self.device)

    def speak(self, request: SpeechRequest) -> Spoken:
        config = self.model.config
        inputs = self.tokens(request, config.max_text_positions)
        vector, row = self.embedding(request, config.speaker_embedding_dim)
        made = self.model.generate(
            inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            speaker_embeddings=vector,
            vocoder=self.vocoder,
        )
        details = {} if row is None else {"voice": row}
        return made, self.vocoder.config.sampling_rate, details


class FastSpeech2(Voice):
    """FastSpeech2Conformer, with its HiFi-GAN inside the same folder or named as `vocoder`."""

    def load(self, folder: Path) -> None:
        import transformers

        self.load_tokenizer(folder)
        if self.settings.vocoder is None:
            both = loaded(transformers.FastSpeech2ConformerWithHifiGan, folder, self.device)
            self.model, self.vocoder = both.model, both.vocoder
        else:
            self.model = loaded(transformers.FastSpeech2ConformerModel, folder, self.device)
            self.vocoder = loaded(
                transformers.FastSpeech2ConformerHifiGan, self.settings.vocoder, self.device
            )
        self.choices = self.speakers(self.model.config.num_speakers or 1)

    def speak(self, request: SpeechRequest) -> Spoken:
        import torch

        config = self.model.config
        given: dict[str, Any] = {"input_ids": self.tokens(request)["input_ids"]}
        details: dict[str, Any] = {}
        if self.choices:
            details["voice"] = self.draw(request, self.choices)
            given["speaker_ids"] = torch.tensor([[details["voice"]]], device=self.device)
        if config.speaker_embed_dim:
            given["speaker_embedding"], row = self.embedding(request, config.speaker_embed_dim)
            details |= {} if row is None else {"embedding": row}
        made = self.model(**given, return_dict=True)
        rate = self.settings.sampling_rate or _FASTSPEECH2_RATE
        return self.vocoder(made.spectrogram)[0], rate, details


class Bark(Voice):
    """Bark: semantic, coarse and fine tokens, sampled; voices are presets in the model's folder."""

    def load(self, folder: Path) -> None:
        from transformers import BarkModel, BarkProcessor

        self.processor: Any = BarkProcessor.from_pretrained(str(folder), **LOCAL_ONLY)
        self.model = loaded(BarkModel, folder, self.device)
        self.presets = sorted(self.processor.available_voice_presets)
        wrong = [v for v in self.settings.voices if v not in self.presets]
        if wrong:
            raise UsageError(f"the model has no voices {wrong}", f"it has: {self.presets}")

    def speak(self, request: SpeechRequest) -> Spoken:
        _check_length(
            len(self.processor.tokenizer.tokenize(spoken_text(request))), _BARK_MAX_TOKENS
        )
        preset = self.draw(request, self._presets(request.language))
        inputs = self.processor(spoken_text(request), voice_preset=preset)
        made = self.model.generate(**{name: v.to(self.device) for name, v in inputs.items()})
        details = {} if preset is None else {"voice": preset}
        return made[0], self.model.generation_config.sample_rate, details

    def _presets(self, language: str) -> list[Any]:
        if self.settings.voices:
            return list(self.settings.voices)
        mark = f"{primary_language(language)}_speaker"
        return [name for name in self.presets if name.rpartition("/")[2].startswith(mark)]


class AnyVoice(Voice):
    """Every other text-to-waveform model, through transformers' text-to-speech pipeline."""

    def load(self, folder: Path) -> None:
        import transformers

        # A processor where the model has one; it brings its tokenizer along.
        has_processor = any((folder / name).is_file() for name in _PROCESSORS)
        reads = {"processor": transformers.AutoProcessor} if has_processor else {}
        reads |= {"tokenizer": transformers.AutoTokenizer}
        make: Any = transformers.pipeline  # its overloads do not name this task
        self.pipe: Any = make(
            "text-to-speech",
            model=loaded(transformers.AutoModelForTextToWaveform, folder, self.device),
            device=self.device,
            **{part: cls.from_pretrained(str(folder), **LOCAL_ONLY) for part, cls in reads.items()},
        )

    def speak(self, request: SpeechRequest) -> Spoken:
        made = self.pipe(spoken_text(request))
        rate = made["sampling_rate"] or self.settings.sampling_rate
        if rate is None:
            raise UsageError("the model's config has no sampling rate", "set 'sampling_rate'")
        audio = np.atleast_2d(made["audio"])  # (channels, T)
        return audio.mean(axis=0), rate, {}


def read_embeddings(path: str | None) -> np.ndarray | None:
    """Speaker embeddings as float32 (N, D), from `.npy` or the one tensor of a `.safetensors`.

    Raises:
        UsageError: not such a file.
    """
    if path is None:
        return None
    file = Path(path).expanduser()
    try:
        if file.suffix == ".npy":
            found = [np.load(file, allow_pickle=False)]
        else:
            from safetensors.numpy import load_file

            found = list(load_file(file).values())
    except Exception as error:
        raise UsageError(
            f"{file}: no speaker embeddings ({error})", "name .npy or .safetensors"
        ) from error
    if len(found) != 1 or found[0].ndim not in (1, 2):
        raise UsageError(f"{file}: must hold one array (N, D) or (D,)", "save it again")
    return np.atleast_2d(found[0]).astype(np.float32)


def file_digest(path: str) -> str:
    """SHA-256 (16 hex digits) of a file."""
    return hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()[:16]


def _check_length(count: int, at_most: int | None) -> None:
    if count <= 1:
        raise MediaError("unsupported", "the model's vocabulary has nothing of this text", None)
    if at_most is not None and count > at_most:
        raise MediaError(
            "too_long", f"{count} text tokens, the model takes {at_most}", "give it a shorter text"
        )


def _needed(vocoder: Path | None) -> Path:
    if vocoder is None:
        raise UsageError(
            "this model makes spectrograms and no vocoder is named", "set the parameter 'vocoder'"
        )
    return vocoder
