"""Voice-cloning TTS engines that have a command line: Coqui, F5-TTS, Spark-TTS, Fish Speech."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, TypeVar

from forensics.generators.base import GeneratorParams, SpeechKind, register_generator
from forensics.generators.speech.external.base import ExternalGenerator, ExternalParams, Job
from forensics.requirements import LocalWeights, Requirement

_XTTS_LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar")
_XTTS_LANGUAGES += ("ja", "hu", "ko", "hi")


class ModelParams(ExternalParams):
    """`model` is the local folder of the engine's weights."""

    model: str | None = None


M = TypeVar("M", bound=ModelParams)


class ModelEngine(ExternalGenerator[M]):
    """Base of engines whose weights lie in one folder."""

    kind: ClassVar[SpeechKind] = "tts"
    files: ClassVar[tuple[str, ...]]
    source: ClassVar[str]
    Params: ClassVar[type[GeneratorParams]] = ModelParams

    def weights(self) -> tuple[Requirement, ...]:
        return (LocalWeights(self.params.model, self.files, "model", self.source),)

    def weight_files(self) -> list[Path]:
        return [self.model]

    @property
    def model(self) -> Path:
        """The folder of the weights; `check` has told of a missing one."""
        return Path(self.params.model or "").expanduser().resolve()


class _Coqui(ModelEngine[ModelParams]):
    """TTS/bin/synthesize.py of coqui-ai/TTS and its continuation idiap/coqui-ai-TTS."""

    module = "TTS"
    install = "pip install coqui-tts"
    checkpoint: ClassVar[str]
    idx: ClassVar[dict[str, str]]

    def commands(self, job: Job) -> list[list[str]]:
        return [
            [
                "-m",
                "TTS.bin.synthesize",
                f"--text={job.text}",
                f"--model_path={self.model / self.checkpoint}",
                f"--config_path={self.model / 'config.json'}",
                f"--language_idx={self.idx[job.language]}",
                "--speaker_wav",
                str(job.reference),
                f"--out_path={job.out / 'speech.wav'}",
                f"--device={'cuda' if self.params.gpu else 'cpu'}",
            ]
        ]


@register_generator
class Xtts(_Coqui):
    """XTTS v2 (arXiv 2406.04904) through `tts`; 24 kHz.

    Code MPL-2.0; weights under the Coqui Public Model License, non-commercial. The weights' folder
    is what `tts --model_name tts_models/multilingual/multi-dataset/xtts_v2` downloads; naming the
    folder instead of the model keeps the program off the network.
    """

    name = "xtts"
    licence = "MPL-2.0 (code); Coqui Public Model License, non-commercial (weights)"
    summary = "XTTS v2, Coqui's cloning TTS in 17 languages (own environment)"
    files = ("config.json", "model.pth", "vocab.json")
    source = "the hub (coqui/XTTS-v2)"
    checkpoint = ""
    idx = {code: code for code in _XTTS_LANGUAGES} | {"zh": "zh-cn"}
    languages = frozenset(idx)


@register_generator
class YourTts(_Coqui):
    """YourTTS (arXiv 2112.02418) through `tts`; 16 kHz.

    Code MPL-2.0; weights CC-BY-NC-ND-4.0 (from memory). The folder is what `tts --model_name
    tts_models/multilingual/multi-dataset/your_tts` downloads; its config names the speaker encoder
    by absolute paths, which that download sets. The checkpoint's file name is from memory.
    """

    name = "yourtts"
    licence = "MPL-2.0 (code); CC-BY-NC-ND-4.0 (weights)"
    summary = "YourTTS, Coqui's VITS-based cloning TTS (own environment)"
    files = ("config.json", "model_file.pth")
    source = "tts --model_name tts_models/multilingual/multi-dataset/your_tts --text x"
    checkpoint = "model_file.pth"
    idx = {"en": "en", "fr": "fr-fr", "pt": "pt-br"}
    languages = frozenset(idx)


class F5Params(ModelParams):
    """Parameters of `f5_tts`.

    Attributes:
        architecture: what `f5-tts_infer-cli --model` is given.
        checkpoint: the weights' file in the `model` folder.
    """

    architecture: str = "F5TTS_v1_Base"
    checkpoint: str = "model_1250000.safetensors"


@register_generator
class F5Tts(ModelEngine[F5Params]):
    """F5-TTS (arXiv 2410.06885) through src/f5_tts/infer/infer_cli.py of SWivid/F5-TTS; 24 kHz.

    Code MIT, weights CC-BY-NC-4.0. Its vocoder `charactr/vocos-mel-24khz` must be in the local hub
    cache; so must Whisper when the reference's transcript is not known.
    """

    name = "f5_tts"
    licence = "MIT (code); CC-BY-NC-4.0 (weights)"
    summary = "F5-TTS, flow-matching cloning TTS (own environment)"
    module = "f5_tts"
    install = "pip install f5-tts"
    languages = frozenset({"en", "zh"})
    source = "the hub (SWivid/F5-TTS, folder F5TTS_v1_Base)"
    Params: ClassVar[type[GeneratorParams]] = F5Params

    def weights(self) -> tuple[Requirement, ...]:
        files = (self.params.checkpoint, "vocab.txt")
        return (LocalWeights(self.params.model, files, "model", self.source),)

    def commands(self, job: Job) -> list[list[str]]:
        return [
            [
                "-m",
                "f5_tts.infer.infer_cli",
                f"--model={self.params.architecture}",
                f"--ckpt_file={self.model / self.params.checkpoint}",
                f"--vocab_file={self.model / 'vocab.txt'}",
                f"--ref_audio={job.reference}",
                f"--ref_text={job.request.reference_text or ''}",
                f"--gen_text={job.text}",
                f"--output_dir={job.out}",
                "--output_file=speech.wav",
            ]
        ]


@register_generator
class SparkTts(ModelEngine[ModelParams]):
    """Spark-TTS (arXiv 2503.01710) through cli/inference.py of SparkAudio/Spark-TTS; 16 kHz.

    Code Apache-2.0, weights CC-BY-NC-SA-4.0 (from memory). `repo` is the clone.
    """

    name = "sparktts"
    licence = "Apache-2.0 (code); CC-BY-NC-SA-4.0 (weights)"
    summary = "Spark-TTS, LLM-based cloning TTS (own environment)"
    module = "cli.SparkTTS"
    install = "git clone https://github.com/SparkAudio/Spark-TTS, install its requirements.txt"
    languages = frozenset({"en", "zh"})
    files = ("config.yaml",)
    source = "the hub (SparkAudio/Spark-TTS-0.5B)"

    def commands(self, job: Job) -> list[list[str]]:
        said = job.request.reference_text
        return [
            [
                "-m",
                "cli.inference",
                f"--text={job.text}",
                f"--model_dir={self.model}",
                f"--save_dir={job.out}",
                f"--prompt_speech_path={job.reference}",
                *([f"--prompt_text={said}"] if said else []),
                "--device=0",
            ]
        ]


@register_generator
class FishSpeech(ModelEngine[ModelParams]):
    """Fish Speech / OpenAudio S1-mini through the three scripts of fishaudio/fish-speech; 44.1 kHz.

    Interface: docs/en/inference.md, fish_speech/models/{dac,text2semantic}/inference.py. Code
    Apache-2.0, weights CC-BY-NC-SA-4.0 (from memory; later releases have their own licence). It
    clones when the reference's transcript is known, else it takes a random voice. `repo` is the
    clone.
    """

    name = "fish_speech"
    licence = "Apache-2.0 (code); CC-BY-NC-SA-4.0 (weights)"
    summary = "Fish Speech, LLM-based cloning TTS (own environment)"
    module = "fish_speech"
    install = "git clone https://github.com/fishaudio/fish-speech, pip install -e it"
    files = ("config.json", "codec.pth")
    source = "the hub (fishaudio/openaudio-s1-mini)"

    def weights(self) -> tuple[Requirement, ...]:
        scripts = ("fish_speech/models/dac/inference.py",)
        clone = LocalWeights(self.params.repo, scripts, "repo", "github.com/fishaudio/fish-speech")
        return (*super().weights(), clone)

    def commands(self, job: Job) -> list[list[str]]:
        models = Path(self.params.repo or "").expanduser().resolve() / "fish_speech" / "models"
        device = f"--device={'cuda' if self.params.gpu else 'cpu'}"
        codec = [str(models / "dac" / "inference.py"), f"--checkpoint-path={self.model}/codec.pth"]
        speak = [
            str(models / "text2semantic" / "inference.py"),
            f"--checkpoint-path={self.model}",
            f"--text={job.text}",
            f"--seed={job.request.seed % 2**31}",
            f"--output-dir={job.folder / 'codes'}",
            device,
        ]
        decode = [
            *codec,
            f"--input-path={job.folder / 'codes' / 'codes_0.npy'}",
            f"--output-path={job.out / 'speech.wav'}",
            device,
        ]
        if not job.request.reference_text:
            return [speak, decode]
        prompt = job.inputs / "prompt.wav"  # its tokens are written beside it, as .npy
        encode = [
            *codec, f"--input-path={job.reference}", f"--output-path={prompt}", device
        ]  # fmt: skip
        speak += [
            f"--prompt-text={job.request.reference_text}",
            f"--prompt-tokens={prompt.with_suffix('.npy')}",
        ]
        return [encode, speak, decode]
