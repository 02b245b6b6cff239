"""Our vocoders as engines: blurred spectrograms, shared levels, folders of a user's own, chains."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forensics.errors import MediaError, MissingRequirement, UsageError
from forensics.generators.base import SpeechRequest
from forensics.generators.speech.chain import Chain
from forensics.generators.speech.neural import blurred
from forensics.generators.speech.own_vocoders import (
    FlowVocoder,
    FourierVocoder,
    UpsamplingVocoder,
    between,
    shipped_vocoders,
)
from forensics.media.audio import Waveform
from forensics.networks.vocoders.build import build_vocoder
from forensics.networks.vocoders.folder import save_vocoder
from forensics.networks.vocoders.fourier import FourierConfig
from forensics.networks.vocoders.frames import MelConfig

SHIPPED = (UpsamplingVocoder, FourierVocoder, FlowVocoder)


def request(samples, seed=1):
    reference = None if samples is None else Waveform(samples, 16_000)
    return SpeechRequest("k", seed, "The birch canoe slid.", "en", reference)


def made(engine, samples, seed=1):
    engine.load()
    (result,) = engine.generate([request(samples, seed)])
    assert not isinstance(result, Exception), result
    return result


def test_every_vocoder_of_the_package_copies(speech_like):
    samples = speech_like(0.6)
    engines = {engine.family: engine for engine in SHIPPED}
    assert set(engines) <= set(shipped_vocoders())
    for name in shipped_vocoders():
        copy = made(engines[name.split("-")[0]](model=name), samples).waveform.resampled(16_000)
        assert abs(len(copy.samples) - len(samples)) <= 1, name
        spectra = [np.abs(np.fft.rfft(one[:9000])) for one in (copy.samples, samples)]
        assert np.corrcoef(*spectra)[0, 1] > 0.3, name


def test_a_vocoder_runs_at_a_rate_that_is_drawn(speech_like):
    samples = speech_like(0.6)
    result = made(FourierVocoder(rate_hz=(20_000, 24_000)), samples)
    rate = result.waveform.sampling_rate
    assert 20_000 <= rate <= 24_000 and result.details["rate_hz"] == rate
    assert len(result.waveform.samples) == pytest.approx(0.6 * rate, abs=2)
    again = made(FourierVocoder(rate_hz=(20_000, 24_000)), samples)
    assert np.array_equal(again.waveform.samples, result.waveform.samples)
    other = made(FourierVocoder(rate_hz=(20_000, 24_000)), samples, seed=2)
    assert other.waveform.sampling_rate != rate


def test_blur_keeps_a_flat_spectrogram_and_spreads_a_peak():
    flat = torch.full((1, 20, 30), -3.0)
    assert torch.allclose(blurred(flat, 1.5), flat, atol=1e-5)
    peak = torch.zeros(1, 21, 31)
    peak[0, 10, 15] = 1
    spread = blurred(peak, 1.5)
    assert spread.sum() == pytest.approx(1, abs=1e-4)
    # A Gaussian of deviation 1.5 frames: a frame away the weight is exp(-1 / 4.5) of the peak's.
    assert spread[0, 10, 16] / spread[0, 10, 15] == pytest.approx(np.exp(-1 / 4.5), rel=1e-4)
    assert spread[0, 10, 16] > spread[0, 11, 15]
    assert blurred(peak, 0) is peak


def test_share_moves_levels_from_the_recording_to_the_copy():
    generator = torch.Generator().manual_seed(0)
    recording = torch.randn(1, 8192, generator=generator)
    copy = 0.1 * torch.randn(1, 8192, generator=generator)

    def level(samples):
        return float(20 * samples.square().mean().sqrt().log10())

    assert between(recording, copy, 512, 1.0) is copy
    half = level(between(recording, copy, 512, 0.5))
    assert level(copy) < half < level(recording)
    nearly = level(between(recording, copy, 512, 0.0))
    assert abs(nearly - level(recording)) < 3  # the foreign phase costs some


@pytest.mark.parametrize("engine", SHIPPED, ids=lambda engine: engine.name)
def test_shipped_weights_copy_speech_intelligibly(engine, shared_data):
    """Held to spectra: a copy is nearer to its recording than Griffin-Lim from 20 bands is."""
    import csv

    import soundfile

    from forensics.generators.speech.griffinlim import GriffinLim

    root = shared_data("speech")
    with (root / "manifest.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["shippable"] == "True")
    samples, _ = soundfile.read(root / row["path"], dtype="float32")
    samples = samples[: 4 * 16_000]

    def distance(copy):
        window = torch.hann_window(512)
        a, b = (
            torch.stft(torch.from_numpy(x), 512, 128, window=window, return_complex=True).abs()
            for x in (copy, samples)
        )
        floor = b.max() * 1e-3
        return float((a.clamp(min=floor).log() - b.clamp(min=floor).log()).abs().mean())

    ours = made(engine(), samples).waveform.samples
    rough = made(GriffinLim(n_mels=20), samples).waveform.samples
    assert distance(ours) < distance(rough)


def test_folder_of_another_family_is_refused(tmp_path):
    config = FourierConfig(width=32, layers=1)
    save_vocoder(tmp_path, build_vocoder(config), config, 1, "-", "-", None)
    with pytest.raises(UsageError, match="family fourier"):
        FlowVocoder(model=str(tmp_path)).load()
    assert FourierVocoder(model=str(tmp_path)).check() == []


def test_recording_shorter_than_a_spectrum_is_refused(tmp_path):
    config = FourierConfig(width=32, layers=1, mel=MelConfig(n_fft=4096, hop=256))
    save_vocoder(tmp_path, build_vocoder(config), config, 1, "-", "-", None)
    engine = FourierVocoder(model=str(tmp_path), share=(0.5, 0.5))
    engine.load()
    (result,) = engine.generate([request(np.full(2000, 0.1, np.float32))])
    assert isinstance(result, MediaError)
    assert result.reason == "too_short"
    assert len(made(engine, np.full(4096, 0.1, np.float32)).waveform.samples) == 4096


def test_missing_folder_says_how_to_get_one(tmp_path):
    (missing,) = FlowVocoder(model=str(tmp_path / "no")).check()
    assert "no" in missing.what
    with pytest.raises(MissingRequirement):
        FlowVocoder(model=str(tmp_path / "no")).load()


def test_chain_reads_and_copies():
    chain = made(Chain(tts={"use": "espeak"}, vocoder={"use": "griffinlim"}), None)
    plain = made(Chain(tts={"use": "espeak"}, vocoder={"use": "lpc"}), None)
    assert set(chain.details) == {"espeak", "griffinlim"}
    assert len(chain.waveform.samples) == len(plain.waveform.samples)
    assert not np.array_equal(chain.waveform.samples, plain.waveform.samples)


def test_chain_of_the_wrong_kinds_is_refused():
    with pytest.raises(UsageError, match="'lpc' is a vocoder"):
        Chain(tts={"use": "lpc"})
    with pytest.raises(UsageError, match="'espeak' is a tts"):
        Chain(vocoder={"use": "espeak"})


def test_chain_needs_what_its_parts_need():
    (missing,) = Chain(vocoder={"use": "lyra"}).check()
    assert "weights" in missing.what
