"""Published HiFi-GAN checkpoints: converted, and given the mel spectrogram of their training."""

from __future__ import annotations

import json
import os

import librosa
import numpy as np
import pytest
import torch
from helpers import published_hifigan
from typer.testing import CliRunner

from forensics.cli import app
from forensics.detectors.importing_hifigan import import_hifigan
from forensics.errors import MediaError, UsageError
from forensics.generators.base import GENERATORS, SpeechRequest
from forensics.media.audio import Waveform


@pytest.fixture
def published(tmp_path):
    return published_hifigan.publish(tmp_path / "published")


@pytest.fixture
def imported(published, tmp_path):
    done = import_hifigan(tmp_path / "published/g.pth", tmp_path / "hifigan")
    assert done.sampling_rate == 16_000 and done.keys == 2 * (1 + 2 + 16 + 1)
    assert done.licence == "unknown" and "g.pth" in done.origin
    return GENERATORS.get("hifigan")(model=str(tmp_path / "hifigan"))


def spoken(samples, rate=16_000):
    return SpeechRequest("k", 1, "", "en", Waveform(samples, rate))


def test_the_imported_network_is_the_published_one(published, imported, speech_like):
    assert imported.check() == []
    imported.load()
    samples = speech_like(0.73, 16_000)
    (made,) = imported.generate([spoken(samples)])
    # The front end in NumPy: reflected ends, frames that are not centred, Slaney's filters.
    padded = np.pad(np.pad(samples, (0, 32)), 48, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 128)[::32]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(128) / 128)
    amplitudes = np.sqrt(np.abs(np.fft.rfft(frames * window)) ** 2 + 1e-9)
    filters = librosa.filters.mel(sr=16_000, n_fft=128, n_mels=12, fmin=0, fmax=8000)
    mel = np.log(np.maximum(filters @ amplitudes.T, 1e-5)).astype(np.float32)
    with torch.inference_mode():
        expected = published(torch.from_numpy(mel)[None]).numpy().reshape(-1)
    assert made.waveform.sampling_rate == 16_000
    assert len(made.waveform.samples) == len(samples)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(made.waveform.samples, expected[: len(samples)], atol=2e-5)


def test_the_command_says_what_it_did(published, tmp_path):
    argv = ["import-weights", "hifigan", str(tmp_path / "published/g.pth")]
    done = CliRunner().invoke(app, [*argv, "--out", str(tmp_path / "new"), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["vocoder"] == "hifigan" and said["keys_matched"] == 40
    assert json.loads((tmp_path / "new/config.json").read_text())["mel"]["fmax"] == 8000
    again = CliRunner().invoke(app, [*argv, "--out", str(tmp_path / "new")])
    assert isinstance(again.exception, UsageError)
    assert "already holds weights" in str(again.exception)


def test_what_cannot_be_imported_is_told(published, tmp_path):
    source, out = tmp_path / "published", tmp_path / "out"
    with pytest.raises(MediaError, match="no such file"):
        import_hifigan(tmp_path / "none.pth", out)
    config = published_hifigan.CONFIG
    for changes, said in (
        ({"resblock": "2"}, "resblock"),
        ({"upsample_initial_channel": 1 << 30}, "less than or equal to 8192"),
        ({"upsample_kernel_sizes": [16]}, "differ in length"),
        ({"hop_size": 64}, "not the product"),
        ({"num_mels": 13}, r"conv_pre.weight is \(16, 12, 7\), not \(16, 13, 7\)"),
        ({"resblock_kernel_sizes": [3, 7]}, r"resblocks.1.convs1.0.weight is .* not \(8, 8, 7\)"),
    ):
        (source / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(UsageError, match=said):
            import_hifigan(source / "g.pth", out)
    (source / "config.json").unlink()
    with pytest.raises(MediaError, match=r"config\.json: no such file"):
        import_hifigan(source / "g.pth", out)
    assert not out.exists()


def test_a_missing_norm_and_a_hostile_pickle_are_refused(published, tmp_path):
    source = tmp_path / "published"
    state = torch.load(source / "g.pth", weights_only=True)["generator"]
    torch.save(
        {"generator": {k: v for k, v in state.items() if k != "ups.0.weight_g"}}, source / "g.pth"
    )
    with pytest.raises(UsageError, match=r"no upsampler\.0\.weight"):
        import_hifigan(source / "g.pth", tmp_path / "out")

    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"generator": state | {"x": Payload()}}, source / "g.pth")
    with pytest.raises(UsageError, match=r"refused.*would run posix\.system"):
        import_hifigan(source / "g.pth", tmp_path / "out")
    assert not (tmp_path / "ran").exists()
