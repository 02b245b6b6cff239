"""Copy synthesis through transformers' vocoders and codecs and Vocos, with tiny models."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from forensics.errors import MediaError, UsageError
from forensics.generators.base import GENERATORS, SpeechRequest
from forensics.media.audio import Waveform

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
tiny = pytest.importorskip("helpers.tiny_speech_models")


@pytest.fixture(scope="module", autouse=True)
def quick():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    pytest.importorskip("vocos")
    tmp = tmp_path_factory.mktemp("tiny-vocoders")
    torch.manual_seed(1)
    return {
        "hifigan": tiny.build_hifigan(tmp / "hifigan"),
        "fastspeech2": tiny.build_hifigan(tmp / "fastspeech2", "FastSpeech2ConformerHifiGan"),
        "univnet": tiny.build_univnet(tmp / "univnet"),
        "encodec": tiny.build_encodec(tmp / "encodec", 1),
        "encodec-stereo": tiny.build_encodec(tmp / "encodec-stereo", 2),
        "dac": tiny.build_dac(tmp / "dac"),
        "mimi": tiny.build_mimi(tmp / "mimi"),
        "vocos": tiny.build_vocos(tmp / "vocos"),
    }


ENGINES = {
    "hifigan": ("hifigan", 16_000),
    "fastspeech2": ("transformers_vocoder", 22_050),
    "univnet": ("univnet", 24_000),
    "encodec": ("transformers_codec", 24_000),
    "encodec-stereo": ("transformers_codec", 24_000),
    "dac": ("transformers_codec", 16_000),
    "mimi": ("transformers_codec", 24_000),
    "vocos": ("vocos", 24_000),
}
# Those whose output follows the seed: noise in, or a drawn bit rate.
SEEDED = ("univnet", "encodec", "dac", "mimi")


@pytest.fixture(scope="module")
def ready(models):
    def make(name, **more):
        generator = GENERATORS.get(ENGINES[name][0])(**models[name], **more)
        assert generator.check() == []
        generator.load()
        return generator

    return make


@pytest.fixture
def request_of(speech_like):
    def make(seconds=0.7, seed=5, rate=16_000, voice=0):
        wave = Waveform(speech_like(seconds, rate, voice), rate)
        return SpeechRequest(f"k{seed}", seed, "", "en", wave)

    return make


@pytest.mark.parametrize("name", list(ENGINES))
def test_keeps_the_duration_and_depends_on_the_request_alone(ready, request_of, name):
    generator = ready(name)
    first, second = request_of(0.7013), request_of(1.3, seed=6, rate=22_050, voice=1)
    (alone,) = generator.generate([first])
    other, together = generator.generate([second, first])
    rate = ENGINES[name][1]
    for made, asked in ((alone, first), (other, second)):
        assert made.waveform.sampling_rate == rate
        assert len(made.waveform.samples) == len(asked.reference.resampled(rate).samples)
        assert made.waveform.samples.dtype == np.float32
        assert np.isfinite(made.waveform.samples).all() and made.waveform.samples.std() > 1e-7
    assert np.array_equal(alone.waveform.samples, together.waveform.samples)
    assert alone.details == together.details


@pytest.mark.parametrize("name", list(ENGINES))
def test_the_seed_matters_where_something_is_drawn(ready, request_of, name):
    generator = ready(name)
    made = generator.generate([request_of(0.5, seed=seed) for seed in range(8)])
    distinct = {one.waveform.samples.tobytes() for one in made}
    assert (len(distinct) > 1) == (name in SEEDED or name == "encodec-stereo")


def test_univnet_hears_more_than_ten_seconds(ready, request_of):
    (made,) = ready("univnet").generate([request_of(11.0)])
    tail = made.waveform.samples[-12_000:]
    assert made.waveform.duration_s == pytest.approx(11.0) and np.abs(tail).max() > 1e-6


def test_mel_is_that_of_the_feature_extractor(ready, request_of):
    samples = request_of(0.5).reference.samples
    extractor = transformers.SpeechT5FeatureExtractor()
    expected = extractor(audio_target=samples, sampling_rate=16_000)["input_values"][0]
    mel = ready("hifigan")._vocoder.mel(samples)
    np.testing.assert_allclose(mel, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["hifigan", "univnet"])
def test_a_smoothed_spectrogram_is_what_the_network_gets(ready, request_of, name):
    generator = ready(name, smoothing=(1.0, 2.0))
    network, seen = generator._vocoder.model, []
    network.register_forward_pre_hook(
        lambda _, args, given: seen.append((args or (given["input_features"],))[0]),
        with_kwargs=True,
    )
    (made,) = generator.generate([request_of(0.5)])
    plain = ready(name)
    plain._vocoder.model = network
    plain.generate([request_of(0.5)])
    rough = [float(mel.diff(dim=-2).abs().mean()) for mel in seen]
    assert 1.0 <= made.details["smoothing"] <= 2.0
    assert seen[0].shape == seen[1].shape and rough[0] < 0.8 * rough[1]
    means = [float(mel.mean()) for mel in seen]
    assert means[0] == pytest.approx(means[1], rel=0.05)


def test_copy_synthesis_is_aligned_with_its_reference(ready):
    """A decoder that is loud where the mel is loud must be so at the reference's own time."""

    class Loudness(torch.nn.Module):
        def forward(self, mel):
            return mel.exp().mean(1).repeat_interleave(128, dim=1)

    generator = ready("vocos")
    generator._model.backbone, generator._model.head = torch.nn.Identity(), Loudness()
    burst = np.zeros(16_000, np.float32)
    burst[8000:8400] = 0.5
    (made,) = generator.generate([SpeechRequest("k", 1, "", "en", Waveform(burst, 16_000))])
    centre_s = np.average(np.arange(24_000) / 24_000, weights=made.waveform.samples - 1e-7)
    assert abs(centre_s - 8200 / 16_000) < 0.01


@pytest.mark.parametrize(
    ("name", "params", "key", "levels"),
    [
        ("encodec", {}, "bandwidth_kbps", {1.5, 3.0}),
        ("encodec", {"bandwidths": (3.0,)}, "bandwidth_kbps", {3.0}),
        ("dac", {}, "codebooks", {1, 2, 3}),
        ("dac", {"codebooks": (1, 3)}, "codebooks", {1, 3}),
        ("mimi", {}, "codebooks", {1, 2, 3, 4}),
    ],
)
def test_bit_rates_are_drawn_from_the_seed(ready, request_of, name, params, key, levels):
    generator = ready(name, **params)
    made = generator.generate([request_of(0.2, seed=seed) for seed in range(16)])
    assert {one.details[key] for one in made} == levels


def test_a_bit_rate_that_the_codec_lacks_is_refused(models):
    with pytest.raises(UsageError, match="no level"):
        GENERATORS.get("transformers_codec")(**models["dac"], codebooks=(9,)).load()


def test_the_wrong_sort_of_model_is_refused(models):
    with pytest.raises(UsageError, match="not a codec"):
        GENERATORS.get("transformers_codec")(**models["univnet"]).load()
    with pytest.raises(UsageError, match="not a vocoder"):
        GENERATORS.get("transformers_vocoder")(**models["mimi"]).load()


@pytest.mark.parametrize("name", list(ENGINES))
def test_references_that_cannot_be_used_fail_alone(ready, request_of, name):
    nothing = SpeechRequest("k", 1, "hello", "en", None)
    short = request_of(0.02)
    none, tiny, fine = ready(name).generate([nothing, short, request_of(0.3)])
    assert isinstance(none, UsageError)
    assert isinstance(tiny, MediaError) and tiny.reason == "too_short"
    assert fine.waveform.duration_s == pytest.approx(0.3)


def test_vocos_builds_only_its_own_classes(models, tmp_path):
    for part, path in (
        ("feature_extractor", "vocos.feature_extractors.EncodecFeatures"),
        ("head", "os.system"),
    ):
        config = tiny.vocos_config()
        config[part] = {"class_path": path, "init_args": {"command": "touch owned"}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(UsageError, match="not built here"):
            GENERATORS.get("vocos")(model=str(tmp_path)).load()


def test_vocos_says_how_to_convert_pickled_weights(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny.vocos_config()))
    torch.save({}, tmp_path / "pytorch_model.bin")
    (lack,) = GENERATORS.get("vocos")(model=str(tmp_path)).check()
    assert "no safetensors" in lack.what
    assert "torch.load('pytorch_model.bin', weights_only=True)" in str(lack.fix)


def test_vocos_weights_must_fit(models, tmp_path):
    from safetensors.numpy import save_file

    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny.vocos_config()))
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match="Missing key"):
        GENERATORS.get("vocos")(model=str(tmp_path)).load()
