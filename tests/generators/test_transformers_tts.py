"""Text to speech through transformers, with tiny models that are built here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from forensics.errors import MediaError, UsageError
from forensics.generators.base import GENERATORS, SpeechRequest
from forensics.media.audio import Waveform

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

LETTERS = "abcdefghijklmnopqrstuvwxyz '"
TEXTS = ("hello there", "a much longer sentence than the first one")


def request(text=TEXTS[0], seed=5, language="en"):
    silence = Waveform(np.zeros(8000, np.float32), 16_000)
    return SpeechRequest(f"k{seed}", seed, text, language, silence)


def letters_tokenizer(folder):
    """A character tokenizer: neither sentencepiece nor a phonemiser is needed."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    vocab = {"<pad>": 0, "<unk>": 1} | {c: i + 2 for i, c in enumerate(LETTERS)}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    return len(vocab)


def hifigan(cls, mels, folder):
    config = cls.config_class(
        model_in_dim=mels, upsample_initial_channel=16, upsample_rates=[4, 4, 4, 4],
        upsample_kernel_sizes=[8, 8, 8, 8], resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]], initializer_range=0.3,
    )  # fmt: skip
    cls(config).save_pretrained(folder)


@pytest.fixture(scope="module", autouse=True)
def quick():
    torch.manual_seed(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build_vits(folder, speakers):
    vocab = folder / "letters.json"
    folder.mkdir()
    vocab.write_text(json.dumps({c: i for i, c in enumerate("_" + LETTERS)}))
    tokenizer = transformers.VitsTokenizer(
        vocab, pad_token="_", unk_token="_", phonemize=False, add_blank=True
    )
    tokenizer.save_pretrained(folder)
    config = transformers.VitsConfig(
        vocab_size=len(LETTERS) + 1, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        ffn_dim=16, flow_size=16, spectrogram_bins=9, upsample_initial_channel=16,
        upsample_rates=[8, 8], upsample_kernel_sizes=[16, 16], resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]], prior_encoder_num_flows=1,
        prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=1, duration_predictor_filter_channels=8,
        depth_separable_num_layers=1, num_speakers=speakers,
        speaker_embedding_size=8 if speakers > 1 else 0, initializer_range=0.3,
    )  # fmt: skip
    transformers.VitsModel(config).save_pretrained(folder)
    return {"model": str(folder)}


def build_speecht5(folder, tmp):
    size = letters_tokenizer(folder)
    config = transformers.SpeechT5Config(
        vocab_size=size, hidden_size=16, encoder_layers=1, encoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_layers=1, decoder_ffn_dim=16, decoder_attention_heads=2,
        num_mel_bins=8, speech_decoder_prenet_units=16, speech_decoder_postnet_layers=2,
        speech_decoder_postnet_units=16, speaker_embedding_dim=6, max_text_positions=60,
        conv_dim=[8], conv_stride=[2], conv_kernel=[3], num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, pad_token_id=0, initializer_range=0.3,
    )  # fmt: skip
    model = transformers.SpeechT5ForTextToSpeech(config)
    torch.nn.init.constant_(model.speech_decoder_postnet.prob_out.bias, -0.8)
    model.save_pretrained(folder)
    hifigan(transformers.SpeechT5HifiGan, 8, tmp / "speecht5-vocoder")
    np.save(tmp / "xvectors.npy", np.random.default_rng(0).standard_normal((4, 6)))
    return {
        "model": str(folder),
        "vocoder": str(tmp / "speecht5-vocoder"),
        "speaker_embeddings": str(tmp / "xvectors.npy"),
    }


def build_fastspeech2(folder):
    size = letters_tokenizer(folder)
    acoustic = transformers.FastSpeech2ConformerConfig(
        hidden_size=16, vocab_size=size, num_mel_bins=8, encoder_layers=1, encoder_linear_units=16,
        decoder_layers=1, decoder_linear_units=16, speech_decoder_postnet_layers=2,
        speech_decoder_postnet_units=8, duration_predictor_channels=8, energy_predictor_channels=8,
        pitch_predictor_channels=8, pitch_predictor_layers=1, num_speakers=3,
    )  # fmt: skip
    vocoder = transformers.FastSpeech2ConformerHifiGanConfig(
        model_in_dim=8, upsample_initial_channel=16, upsample_rates=[4, 4, 4, 4],
        upsample_kernel_sizes=[8, 8, 8, 8], resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]], initializer_range=0.3,
    )  # fmt: skip
    config = transformers.FastSpeech2ConformerWithHifiGanConfig(
        model_config=acoustic, vocoder_config=vocoder
    )
    model = transformers.FastSpeech2ConformerWithHifiGan(config)
    torch.nn.init.constant_(model.model.duration_predictor.linear.bias, 1.5)
    model.save_pretrained(folder)
    return {"model": str(folder)}


def build_bark(folder):
    size = letters_tokenizer(folder)
    sub = {"num_layers": 1, "num_heads": 2, "hidden_size": 8, "block_size": 1024}
    codes = 16
    config = transformers.BarkConfig(
        semantic_config=sub | {"input_vocab_size": size + 120, "output_vocab_size": size + 120},
        coarse_acoustics_config=sub | {"input_vocab_size": 200, "output_vocab_size": 200},
        fine_acoustics_config=sub
        | {"input_vocab_size": codes + 1, "output_vocab_size": codes + 1, "n_codes_total": 8},
        codec_config={
            "model_type": "encodec",
            "hidden_size": 8,
            "num_filters": 2,
            "codebook_size": codes,
            "codebook_dim": 8,
            "num_lstm_layers": 1,
        },
    )
    model = transformers.BarkModel(config)
    for layer in model.codec_model.quantizer.layers:  # untrained codebooks are all zero
        torch.nn.init.normal_(layer.codebook.embed)
    model.save_pretrained(folder)
    generation = bark_generation(codes).to_dict()
    (folder / "generation_config.json").write_text(json.dumps(generation, default=str))
    bark_presets(folder, codes)
    return {"model": str(folder)}


def bark_generation(codes):
    from transformers.models.bark.generation_configuration_bark import (
        BarkCoarseGenerationConfig,
        BarkFineGenerationConfig,
        BarkGenerationConfig,
        BarkSemanticGenerationConfig,
    )

    semantic = BarkSemanticGenerationConfig(
        eos_token_id=40, text_encoding_offset=45, text_pad_token=44, semantic_infer_token=43,
        semantic_vocab_size=40, max_new_tokens=24, max_input_semantic_length=256,
        semantic_rate_hz=49.9, do_sample=True, renormalize_logits=True,
    )  # fmt: skip
    coarse = BarkCoarseGenerationConfig(
        coarse_semantic_pad_token=120, coarse_infer_token=121, coarse_rate_hz=75,
        n_coarse_codebooks=2, max_coarse_history=60, max_coarse_input_length=32,
        sliding_window_len=30, do_sample=True, renormalize_logits=True,
    )  # fmt: skip
    fine = BarkFineGenerationConfig(max_fine_history_length=64, max_fine_input_length=128)
    return BarkGenerationConfig.from_sub_model_configs(
        semantic, coarse, fine, sample_rate=24_000, codebook_size=codes
    )


def bark_presets(folder, codes):
    paths = {"repo_or_path": "elsewhere"}
    rng = np.random.default_rng(0)
    for name in ("v2/en_speaker_0", "v2/en_speaker_1", "v2/de_speaker_0"):
        shapes = {"semantic_prompt": (40, 12), "coarse_prompt": (codes, (2, 18))}
        shapes["fine_prompt"] = (codes, (8, 18))
        paths[name] = {}
        for part, (high, shape) in shapes.items():
            file = folder / "speaker_embeddings" / f"{name}_{part}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, rng.integers(0, high, shape))
            paths[name][part] = str(file.relative_to(folder))
    (folder / "speaker_embeddings_path.json").write_text(json.dumps(paths))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("tiny-tts")
    torch.manual_seed(1)
    return {
        "vits": build_vits(tmp / "vits", 1),
        "vits-speakers": build_vits(tmp / "vits-speakers", 5),
        "speecht5": build_speecht5(tmp / "speecht5", tmp),
        "fastspeech2": build_fastspeech2(tmp / "fastspeech2"),
        "bark": build_bark(tmp / "bark"),
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
