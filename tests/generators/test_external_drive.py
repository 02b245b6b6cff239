"""The script that calls Python-only engines, against stand-ins with their documented signatures.

The engines themselves are not installed here: this proves what is called and what is written, not
that the engines do as their documentation says.
"""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import soundfile

from forensics.generators.speech.external.runner import drive

torch = pytest.importorskip("torch")

TONE = np.sin(np.arange(2400) / 10).astype(np.float32)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """`job(engine, *more)` runs the script and returns what it wrote."""
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "voice.wav", TONE, 24_000)
    librosa = types.ModuleType("librosa")
    librosa.load = lambda path, sr, mono: (soundfile.read(path, dtype="float32")[0], sr)
    monkeypatch.setitem(sys.modules, "librosa", librosa)

    def run(engine, *more, language="en"):
        out = tmp_path / "out.wav"
        argv = ["drive.py", engine, f"--model={tmp_path}", "--text=-hello", f"--out={out}"]
        monkeypatch.setattr(sys, "argv", [*argv, f"--language={language}", *more])
        drive.main()
        return soundfile.read(out)

    return run


def module(monkeypatch, name, **members):
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if path not in sys.modules:
            monkeypatch.setitem(sys.modules, path, types.ModuleType(path))
    for key, value in members.items():
        monkeypatch.setattr(sys.modules[name], key, value, raising=False)


@pytest.mark.parametrize("said", [None, "what was said"])
def test_chattts(job, monkeypatch, said):
    class Chat:
        class InferCodeParams:
            def __init__(self, prompt="", spk_emb=None, spk_smp=None, txt_smp=None):
                self.given = (spk_emb, spk_smp, txt_smp)

        def load(self, source="local", custom_path=None, device=None):
            assert source == "custom" and custom_path and device == torch.device("cpu")
            return True

        def sample_random_speaker(self):
            return "random"

        def sample_audio_speaker(self, wav):
            assert wav.dtype == np.float32 and len(wav) == len(TONE)
            return "sampled"

        def infer(self, text, params_refine_text=None, params_infer_code=None):
            assert text == ["-hello"]
            wanted = (None, "sampled", said) if said else ("random", None, None)
            assert params_infer_code.given == wanted
            return [TONE]

    module(monkeypatch, "ChatTTS", Chat=Chat)
    more = ["--reference=voice.wav", *([f"--reference-text={said}"] if said else [])]
    samples, rate = job("chattts", *more)
    assert rate == 24_000
    np.testing.assert_allclose(samples, TONE, atol=1e-4)


def test_chattts_that_does_not_load_is_a_failure(job, monkeypatch):
    class Chat:
        def load(self, **kwargs):
            return False

    module(monkeypatch, "ChatTTS", Chat=Chat)
    with pytest.raises(SystemExit, match="could not load"):
        job("chattts")


@pytest.mark.parametrize("third", [False, True])
@pytest.mark.parametrize("said", [None, "what was said"])
def test_cosyvoice(job, monkeypatch, tmp_path, third, said):
    system = "You are a helpful assistant.<|endofprompt|>" if third else ""

    class Model:
        sample_rate = 24_000

        def inference_zero_shot(self, tts_text, prompt_text, prompt_wav, stream=False):
            assert (tts_text, prompt_text) == ("-hello", system + said)
            yield from self.pieces(prompt_wav)

        def inference_cross_lingual(self, tts_text, prompt_wav, stream=False):
            assert tts_text == system + "-hello" and said is None
            yield from self.pieces(prompt_wav)

        def pieces(self, prompt_wav):
            assert prompt_wav == "voice.wav"
            for half in (TONE[:1000], TONE[1000:]):
                yield {"tts_speech": torch.from_numpy(half)[None]}

    Model.__name__ = "CosyVoice3" if third else "CosyVoice2"
    (tmp_path / "cosyvoice").mkdir()
    (tmp_path / "cosyvoice" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("cosyvoice.cli", "cosyvoice.cli.cosyvoice"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["cosyvoice.cli.cosyvoice"].AutoModel = lambda model_dir: Model()
    more = ["--reference=voice.wav", *([f"--reference-text={said}"] if said else [])]
    samples, rate = job("cosyvoice", *more)
    assert rate == 24_000 and len(samples) == len(TONE)
    assert sys.path[-1] == str(tmp_path / "third_party" / "Matcha-TTS")
    sys.modules.pop("cosyvoice", None)


def test_openvoice(job, monkeypatch, tmp_path):
    (tmp_path / "base_speakers" / "ses").mkdir(parents=True)
    torch.save(torch.zeros(1, 4, 1), tmp_path / "base_speakers" / "ses" / "en-us.pth")

    class Converter:
        hps = types.SimpleNamespace(data=types.SimpleNamespace(sampling_rate=22_050))
        watermark_model = "set by the constructor"

        def __init__(self, config_path, device):
            assert config_path.endswith("converter/config.json") and device == "cpu"

        def load_ckpt(self, path):
            assert path.endswith("converter/checkpoint.pth")

        def extract_se(self, ref_wav_list):
            assert ref_wav_list == ["voice.wav"]
            return "target"

        def convert(self, audio_src_path, src_se, tgt_se, output_path=None, tau=0.3, message=""):
            assert self.watermark_model is None
            assert (tgt_se, tuple(src_se.shape)) == ("target", (1, 4, 1))
            sound, _ = soundfile.read(audio_src_path)
            soundfile.write(output_path, sound, 22_050)

    class Melo:
        hps = types.SimpleNamespace(data=types.SimpleNamespace(spk2id={"EN-US": 3}))

        def __init__(self, language, device):
            assert language == "EN"

        def tts_to_file(self, text, speaker_id, output_path, speed=1.0):
            assert (text, speaker_id) == ("-hello", 3)
            soundfile.write(output_path, TONE, 44_100)

    module(monkeypatch, "openvoice.api", ToneColorConverter=Converter)
    module(monkeypatch, "melo.api", TTS=Melo)
    samples, rate = job("openvoice", "--reference=voice.wav")
    assert rate == 22_050 and len(samples) == len(TONE)


def test_zonos(job, monkeypatch):
    class Model:
        autoencoder = types.SimpleNamespace(
            sampling_rate=44_100,
            decode=lambda codes: torch.from_numpy(TONE)[None, None] * codes,
        )

        @classmethod
        def from_local(cls, config_path, model_path, device):
            assert config_path.endswith("config.json") and model_path.endswith("model.safetensors")
            return cls()

        def make_speaker_embedding(self, wav, sr):
            assert wav.shape[0] == 1 and sr == 44_100
            return "speaker"

        def prepare_conditioning(self, cond_dict):
            return cond_dict

        def generate(self, prefix_conditioning, progress_bar=True):
            wanted = {"text": "-hello", "speaker": "speaker", "language": "en-us", "device": "cpu"}
            assert prefix_conditioning == wanted
            return 1.0

    module(monkeypatch, "zonos.model", Zonos=Model)
    module(monkeypatch, "zonos.conditioning", make_cond_dict=lambda **given: given)
    samples, rate = job("zonos", "--reference=voice.wav")
    assert rate == 44_100
    np.testing.assert_allclose(samples, TONE, atol=1e-4)


def test_samples_beyond_full_scale_are_clipped(tmp_path):
    drive.write_wav(str(tmp_path / "a.wav"), [0.5, 2.0, -2.0], 8_000)
    samples, rate = soundfile.read(tmp_path / "a.wav")
    assert rate == 8_000
    np.testing.assert_allclose(samples, [0.5, 1.0, -1.0], atol=1e-4)
