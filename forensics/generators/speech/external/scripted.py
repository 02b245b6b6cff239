"""TTS engines with a Python interface only; `runner/drive.py` calls it in their environment."""

from __future__ import annotations

from forensics.generators.base import register_generator
from forensics.generators.speech.external.base import DRIVE, Job
from forensics.generators.speech.external.cloning import ModelEngine, ModelParams


class _Scripted(ModelEngine[ModelParams]):
    def commands(self, job: Job) -> list[list[str]]:
        request = job.request
        said = request.reference_text
        return [
            [
                DRIVE,
                self.name,
                f"--model={self.model}",
                f"--text={job.text}",
                f"--language={job.language}",
                *([f"--reference={job.reference}"] if request.reference is not None else []),
                *([f"--reference-text={said}"] if said else []),
                f"--device={'cuda' if self.params.gpu else 'cpu'}",
                f"--out={job.out / 'speech.wav'}",
            ]
        ]


@register_generator
class ChatTts(_Scripted):
    """ChatTTS, after the README and ChatTTS/core.py of 2noise/ChatTTS; 24 kHz.

    Code AGPL-3.0, weights CC-BY-NC-4.0 (from memory). It clones when the reference's transcript is
    known, else the seed draws a speaker. Its authors say that they added noise to the weights.
    """

    name = "chattts"
    licence = "AGPL-3.0 (code); CC-BY-NC-4.0 (weights)"
    summary = "ChatTTS, conversational TTS (own environment)"
    module = "ChatTTS"
    install = "pip install ChatTTS librosa"
    languages = frozenset({"en", "zh"})
    clones = False
    files = ("asset/Decoder.safetensors",)
    source = "the hub (2Noise/ChatTTS)"


@register_generator
class CosyVoice(_Scripted):
    """CosyVoice 1 to 3 (arXiv 2407.05407, 2412.10117), after example.py of FunAudioLLM/CosyVoice.

    Code and weights Apache-2.0. Zero-shot when the reference's transcript is known, else
    cross-lingual. `repo` is the clone with its submodules.
    """

    name = "cosyvoice"
    licence = "Apache-2.0 (code and weights)"
    summary = "CosyVoice, LLM and flow-matching cloning TTS (own environment)"
    module = "cosyvoice"
    install = (
        "git clone --recursive https://github.com/FunAudioLLM/CosyVoice, install its "
        "requirements.txt"
    )
    languages = frozenset({"en", "zh", "ja", "ko", "de", "es", "fr", "it", "ru"})
    files = ("llm.pt", "flow.pt")
    source = "the hub (FunAudioLLM/CosyVoice2-0.5B)"


@register_generator
class OpenVoice(_Scripted):
    """OpenVoice v2 (arXiv 2312.01479), after demo_part3.ipynb and openvoice/api.py of
    myshell-ai/OpenVoice; MeloTTS speaks, the tone colour converter gives the voice.

    Code and weights MIT. The converter's audio watermark is left out, because it would mark one
    class of a corpus. MeloTTS's own weights must be in the local hub cache.
    """

    name = "openvoice"
    licence = "MIT (code and weights)"
    summary = "OpenVoice v2 on MeloTTS (own environment)"
    module = "openvoice"
    install = "pip install git+https://github.com/myshell-ai/OpenVoice, and MeloTTS as it says"
    languages = frozenset({"en", "es", "fr", "zh", "ja", "ko"})
    files = ("converter/config.json", "converter/checkpoint.pth")
    source = "OpenVoice's docs/USAGE.md (checkpoints_v2)"


@register_generator
class Zonos(_Scripted):
    """Zonos v0.1, after the README and zonos/model.py of Zyphra/Zonos; 44.1 kHz.

    Code and weights Apache-2.0. It needs eSpeak NG, and `descript/dac_44khz` and
    `Zyphra/Zonos-v0.1-speaker-embedding` in the local hub cache.
    """

    name = "zonos"
    licence = "Apache-2.0 (code and weights)"
    summary = "Zonos v0.1, cloning TTS over DAC tokens (own environment)"
    module = "zonos"
    install = "pip install git+https://github.com/Zyphra/Zonos librosa, and espeak-ng"
    languages = frozenset({"en", "ja", "zh", "fr", "de"})
    files = ("config.json", "model.safetensors")
    source = "the hub (Zyphra/Zonos-v0.1-transformer)"
