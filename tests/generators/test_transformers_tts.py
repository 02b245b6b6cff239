"""Text to speech through transformers, with tiny models that are built here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from forensics.errors import MediaError, UsageError
from forensics.generators.base import GENERATORS, SpeechRequest
from forensics.media.audio import Waveform

torch = pytest.importorskip("torch")
tiny = pytest.importorskip("helpers.tiny_speech_models")

TEXTS = ("hello there", "a much longer sentence than the first one")


def request(text=TEXTS[0], seed=5, language="en"):
    silence = Waveform(np.zeros(8000, np.float32), 16_000)
    return SpeechRequest(f"k{seed}", seed, text, language, silence)


@pytest.fixture(scope="module", autouse=True)
def quick():
    torch.manual_seed(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("tiny-tts")
    torch.manual_seed(1)
    return {
        "vits": tiny.build_vits(tmp / "vits", 1),
        "vits-speakers": tiny.build_vits(tmp / "vits-speakers", 5),
        "speecht5": tiny.build_speecht5(tmp / "speecht5"),
        "fastspeech2": tiny.build_fastspeech2(tmp / "fastspeech2"),
        "bark": tiny.build_bark(tmp / "bark"),
    }


@pytest.fixture(scope="module")
def ready(models):
    def make(name, use="transformers_tts", **more):
        generator = GENERATORS.get(use)(**models[name], **more)
        assert generator.check() == []
        generator.load()
        return generator

    return make


NAMES = ("vits", "vits-speakers", "speecht5", "fastspeech2", "bark")
RATES = dict(zip(NAMES, (16_000, 16_000, 16_000, 22_050, 24_000), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_speaks_and_depends_on_the_request_alone(ready, name):
    generator = ready(name)
    first, second = request(seed=5), request(TEXTS[1], seed=6)
    alone = generator.generate([first])[0]
    together = generator.generate([second, first])
    assert alone.waveform.sampling_rate == RATES[name]
    samples = alone.waveform.samples
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) > 500 and np.isfinite(samples).all() and samples.std() > 1e-6
    assert np.array_equal(samples, together[1].waveform.samples)
    assert alone.details == together[1].details
    other = together[0].waveform.samples
    assert len(other) != len(samples) or not np.array_equal(other, samples)


@pytest.mark.parametrize("name", ["vits", "speecht5", "bark"])
def test_another_seed_is_another_reading(ready, name):
    generator = ready(name)
    one, two = generator.generate([request(seed=1), request(seed=2)])
    assert not np.array_equal(one.waveform.samples[:500], two.waveform.samples[:500])


def test_the_caller_keeps_its_random_state_and_threads(ready):
    generator = ready("vits")
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    generator.generate([request()])
    assert torch.equal(torch.rand(4), expected)
    assert torch.get_num_threads() == 1


def test_longer_text_is_longer_speech(ready):
    short, long = ready("vits").generate([request(TEXTS[0]), request(TEXTS[1])])
    assert long.waveform.duration_s > 1.5 * short.waveform.duration_s


@pytest.mark.parametrize(
    ("name", "voices", "drawn", "seeds"),
    [
        ("vits-speakers", (), {0, 1, 2, 3, 4}, 24),
        ("vits-speakers", (1, 3), {1, 3}, 8),
        ("fastspeech2", (), {0, 1, 2}, 16),
        ("speecht5", (), {0, 1, 2, 3}, 16),
        ("bark", (), {"v2/en_speaker_0", "v2/en_speaker_1"}, 5),
        ("bark", ("v2/de_speaker_0",), {"v2/de_speaker_0"}, 2),
    ],
)
def test_voices_are_drawn_from_the_seed(ready, name, voices, drawn, seeds):
    generator = ready(name, voices=voices)
    made = generator.generate([request("hi", seed=seed) for seed in range(seeds)])
    assert {one.details["voice"] for one in made} == drawn


def test_voices_differ(ready):
    zero, one = (ready("vits-speakers", voices=(v,)).generate([request()])[0] for v in (0, 1))
    shared = min(len(zero.waveform.samples), len(one.waveform.samples))
    assert not np.array_equal(zero.waveform.samples[:shared], one.waveform.samples[:shared])


def test_a_voice_that_the_model_lacks_is_refused(models):
    generator = GENERATORS.get("vits")(**models["vits-speakers"], voices=(7,))
    with pytest.raises(UsageError, match=r"\[7\]"):
        generator.load()


def test_without_x_vectors_the_seed_is_the_voice(models):
    params = {k: v for k, v in models["speecht5"].items() if k != "speaker_embeddings"}
    generator = GENERATORS.get("transformers_tts")(**params)
    generator.load()
    one, again = generator.generate([request(), request()])
    assert np.array_equal(one.waveform.samples, again.waveform.samples)
    assert one.details == {}


def test_wrong_x_vectors_are_named(models, tmp_path):
    np.save(tmp_path / "wrong.npy", np.ones((2, 9)))
    params = models["speecht5"] | {"speaker_embeddings": str(tmp_path / "wrong.npy")}
    generator = GENERATORS.get("transformers_tts")(**params)
    generator.load()
    (error,) = generator.generate([request()])
    assert isinstance(error, UsageError) and "9 values, the model takes 6" in str(error)


def test_pickled_x_vectors_are_not_read(models, tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    params = models["speecht5"] | {"speaker_embeddings": str(tmp_path / "evil.npy")}
    with pytest.raises(UsageError, match="no speaker embeddings"):
        GENERATORS.get("transformers_tts")(**params).load()


def test_text_that_cannot_be_read_fails_alone(ready):
    nothing, long, fine = ready("speecht5").generate(
        [request("..."), request("word " * 40), request()]
    )
    assert isinstance(nothing, UsageError)
    assert isinstance(long, MediaError) and long.reason == "too_long"
    assert fine.waveform.duration_s > 0
    (cyrillic,) = ready("vits").generate([request("привет")])
    assert isinstance(cyrillic, MediaError) and cyrillic.reason == "unsupported"


def test_any_other_model_goes_through_the_pipeline(models):
    from forensics.generators.speech import transformers_voices as voices

    voice = voices.AnyVoice(
        voices.Path(models["vits"]["model"]), voices.Settings("cpu", None, (), None, None)
    )
    samples, rate, details = voice.speak(request())
    assert rate == 16_000 and np.asarray(samples).size > 500 and details == {}


def test_weights_are_part_of_the_fingerprint(models, tmp_path):
    import shutil

    cls = GENERATORS.get("vits")
    before = cls(**models["vits"]).fingerprint()
    copy = tmp_path / "copy"
    shutil.copytree(models["vits"]["model"], copy)
    assert cls(model=str(copy)).fingerprint() == before
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"noise_scale": 0.1}))
    assert cls(model=str(copy)).fingerprint() != before


def test_check_names_what_is_missing(tmp_path, models):
    cls = GENERATORS.get("transformers_tts")
    (unnamed,) = cls().check()
    assert "parameter 'model'" in unnamed.what and "facebook/mms-tts-eng" in str(unnamed.fix)
    (absent,) = GENERATORS.get("bark")(model="nobody/nothing").check()
    assert absent.fix == "hf download nobody/nothing"
    no_vocoder = {"model": models["speecht5"]["model"]}
    (vocoder,) = cls(**no_vocoder).check()
    assert "'vocoder'" in vocoder.what
    (tmp_path / "config.json").write_text('{"model_type": "vits"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    (pickled,) = cls(model=str(tmp_path)).check()
    assert "no safetensors" in pickled.what and "save_pretrained" in str(pickled.fix)


def test_packages_of_the_tokenizer_are_asked_for(tmp_path):
    import importlib.util

    for name, package in (("SpeechT5Tokenizer", "sentencepiece"), ("VitsTokenizer", "phonemizer")):
        if importlib.util.find_spec(package):
            continue
        (tmp_path / "config.json").write_text('{"model_type": "vits"}')
        (tmp_path / "model.safetensors").write_bytes(b"")
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
        lacks = GENERATORS.get("transformers_tts")(model=str(tmp_path)).check()
        assert [lack.fix for lack in lacks] == [f"pip install '{package}'"]
