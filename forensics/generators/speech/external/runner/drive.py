"""One utterance from an engine that has a Python interface but no command line.

    drive.py ENGINE --model FOLDER --text T --language L [--reference WAV] [--reference-text T]
             --device D --out WAV

Run by the engine's own Python. Each function follows the engine's README or example script, named
in its docstring.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import wave
from pathlib import Path


def chattts(job: argparse.Namespace) -> tuple:
    """README and ChatTTS/core.py of 2noise/ChatTTS: `Chat.load`, `Chat.infer`; 24 kHz.

    The voice is a random speaker, or the reference's when its transcript is known.
    """
    chat = importlib.import_module("ChatTTS").Chat()
    torch = importlib.import_module("torch")
    if not chat.load(source="custom", custom_path=job.model, device=torch.device(job.device)):
        raise SystemExit(f"ChatTTS could not load {job.model}")
    if job.reference and job.reference_text:
        voice = {
            "spk_smp": chat.sample_audio_speaker(_read(job.reference, 24_000)),
            "txt_smp": job.reference_text,
        }
    else:
        voice = {"spk_emb": chat.sample_random_speaker()}
    params = chat.InferCodeParams(**voice)
    return chat.infer([job.text], params_infer_code=params)[0], 24_000


def cosyvoice(job: argparse.Namespace) -> tuple:
    """example.py of FunAudioLLM/CosyVoice: `AutoModel`, zero-shot with a transcript, else
    cross-lingual. CosyVoice 3 wants its system prompt in front, as that example has it."""
    sys.path.append(str(_repository("cosyvoice") / "third_party" / "Matcha-TTS"))
    model = importlib.import_module("cosyvoice.cli.cosyvoice").AutoModel(model_dir=job.model)
    third = type(model).__name__ == "CosyVoice3"
    prompt = "You are a helpful assistant.<|endofprompt|>" if third else ""
    if job.reference_text:
        parts = model.inference_zero_shot(
            job.text, prompt + job.reference_text, job.reference, stream=False
        )
    else:
        parts = model.inference_cross_lingual(prompt + job.text, job.reference, stream=False)
    numpy = importlib.import_module("numpy")
    samples = numpy.concatenate([part["tts_speech"].cpu().numpy().reshape(-1) for part in parts])
    return samples, model.sample_rate


def openvoice(job: argparse.Namespace) -> tuple:
    """demo_part3.ipynb of myshell-ai/OpenVoice: MeloTTS speaks, the tone colour is converted.

    The audio watermark is left out: it would mark one class of a corpus.
    """
    torch = importlib.import_module("torch")
    converter = importlib.import_module("openvoice.api").ToneColorConverter(
        str(Path(job.model, "converter", "config.json")), device=job.device
    )
    converter.watermark_model = None
    converter.load_ckpt(str(Path(job.model, "converter", "checkpoint.pth")))
    names = {"en": "EN", "es": "ES", "fr": "FR", "zh": "ZH", "ja": "JP", "ko": "KR"}
    base = importlib.import_module("melo.api").TTS(language=names[job.language], device=job.device)
    speaker, number = next(iter(base.hps.data.spk2id.items()))
    base.tts_to_file(job.text, number, "base.wav", speed=1.0)
    tone = speaker.lower().replace("_", "-") + ".pth"
    converter.convert(
        audio_src_path="base.wav",
        src_se=torch.load(
            str(Path(job.model, "base_speakers", "ses", tone)),
            map_location=job.device,
            weights_only=True,
        ),
        tgt_se=converter.extract_se([job.reference]),
        output_path="converted.wav",
    )
    return _read("converted.wav", None), converter.hps.data.sampling_rate


def zonos(job: argparse.Namespace) -> tuple:
    """README and zonos/model.py of Zyphra/Zonos: speaker embedding, conditioning, DAC; 44.1 kHz."""
    torch = importlib.import_module("torch")
    model = importlib.import_module("zonos.model").Zonos.from_local(
        str(Path(job.model, "config.json")),
        str(Path(job.model, "model.safetensors")),
        device=job.device,
    )
    samples = _read(job.reference, 44_100)
    speaker = model.make_speaker_embedding(torch.from_numpy(samples)[None], 44_100)
    make = importlib.import_module("zonos.conditioning").make_cond_dict
    languages = {"en": "en-us", "fr": "fr-fr", "zh": "cmn"}
    given = make(
        text=job.text,
        speaker=speaker,
        language=languages.get(job.language, job.language),
        device=job.device,
    )
    codes = model.generate(model.prepare_conditioning(given), progress_bar=False)
    sound = model.autoencoder.decode(codes).cpu()[0]
    return sound.float().numpy().reshape(-1), model.autoencoder.sampling_rate


ENGINES = {f.__name__: f for f in (chattts, cosyvoice, openvoice, zonos)}


def write_wav(path: str, samples, rate: int) -> None:
    """16-bit mono; samples in [-1, 1] are clipped."""
    numpy = importlib.import_module("numpy")
    mono = numpy.asarray(samples, dtype=numpy.float64).reshape(-1)
    pcm = numpy.round(numpy.clip(mono, -1, 1) * 32767).astype("<i2")
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(int(rate))
        file.writeframes(pcm.tobytes())


def _read(path: str, rate):
    """Mono float32 (T,) at `rate` Hz, or at the file's own; every engine here installs librosa."""
    return importlib.import_module("librosa").load(path, sr=rate, mono=True)[0]


def _repository(package: str) -> Path:
    """The folder that a package without an installer was cloned to."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"no package {package!r}; is 'repo' its clone?")
    return Path(next(iter(spec.submodule_search_locations))).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=sorted(ENGINES))
    for name in ("model", "text", "language", "out"):
        parser.add_argument("--" + name, required=True)
    for name in ("reference", "reference-text"):
        parser.add_argument("--" + name)
    parser.add_argument("--device", default="cpu")
    job = parser.parse_args()
    samples, rate = ENGINES[job.engine](job)
    write_wav(job.out, samples, rate)


if __name__ == "__main__":
    main()
