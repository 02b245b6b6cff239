"""Our vocoders as networks: Fourier frames that invert, shapes, folders that cannot be swapped."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError

from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.networks.vocoders.build import build_vocoder
from forensics.networks.vocoders.flow import FlowConfig
from forensics.networks.vocoders.folder import copy_synthesis, load_vocoder, save_vocoder
from forensics.networks.vocoders.fourier import FourierConfig
from forensics.networks.vocoders.frames import FourierFrames, LogMel, MelConfig
from forensics.networks.vocoders.upsampling import UpsamplingConfig

MEL = MelConfig(n_fft=256, hop=64, n_mels=20)
CONFIGS = {
    "upsampling": UpsamplingConfig(mel=MEL, rates=(8, 8), width=16),
    "fourier": FourierConfig(mel=MEL, width=32, layers=2),
    "flow": FlowConfig(mel=MEL, width=32, layers=2, steps=2),
}


@pytest.mark.parametrize(("n_fft", "hop"), [(1024, 256), (512, 128), (256, 32)])
def test_fourier_frames_invert(n_fft, hop):
    samples = torch.randn(2, 16 * hop)
    frames = FourierFrames(n_fft, hop)
    spectra = frames(samples)
    assert spectra.shape == (2, n_fft // 2 + 1, 16)
    assert torch.allclose(frames.inverse(spectra), samples, atol=1e-5)


def test_log_mel_of_a_tone_peaks_in_its_band():
    config = MelConfig()
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(16_384) / 16_000)
    mel = LogMel(config)(tone[None])
    assert mel.shape == (1, 80, 64)
    # Slaney's scale is linear to 1 kHz: 15 mel there, 45.245 at 8 kHz, 81 steps between 82 edges.
    assert int(mel[0, :, 32].argmax()) == round(15 / (45.245 / 81)) - 1


@pytest.mark.parametrize("family", CONFIGS)
def test_copy_has_the_length_of_the_recording_whatever_it_is(family):
    network = build_vocoder(CONFIGS[family]).eval()
    for length in (640, 641, 1000):
        made = copy_synthesis(network, LogMel(MEL), MEL.hop, 0.1 * torch.randn(length))
        assert made.shape == (length,)
        assert made.isfinite().all()


def test_flow_draws_from_torch_and_nothing_else():
    network = build_vocoder(CONFIGS["flow"]).eval()
    mel = LogMel(MEL)(0.1 * torch.randn(1, 640))
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(network(mel))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_flow_integrates_a_constant_velocity_exactly():
    """Euler's steps along a straight line end where one step would."""
    config = CONFIGS["flow"]
    network = build_vocoder(config).eval()
    target = torch.randn(1, MEL.n_fft + 2, 10)

    def straight(x, at, mel, envelope):
        return target - network.start

    def remember(like):
        network.start = torch.ones_like(like) * network._envelope(mel)
        return torch.ones_like(like)

    mel = torch.zeros(1, MEL.n_mels, 10)
    network._velocity = straight
    original = torch.randn_like
    torch.randn_like = remember
    try:
        made = network(mel)
    finally:
        torch.randn_like = original
    from forensics.networks.vocoders.flow import _expanded

    assert torch.allclose(made, network.frames.inverse(_expanded(target)), atol=1e-4)


@pytest.mark.parametrize("family", CONFIGS)
def test_folder_gives_back_what_was_saved(family, tmp_path):
    network = build_vocoder(CONFIGS[family]).eval()
    save_vocoder(tmp_path, network, CONFIGS[family], 3, "noise", "none", None)
    loaded, card = load_vocoder(tmp_path)
    assert (card.network, card.steps, card.trained_on) == (CONFIGS[family], 3, "noise")
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())


def test_altered_weights_and_configs_are_refused(tmp_path):
    folder = tmp_path / "v"
    save_vocoder(folder, build_vocoder(CONFIGS["flow"]), CONFIGS["flow"], 1, "-", "-", None)
    weights = folder / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(CorpusError, match="does not match"):
        load_vocoder(folder)
    weights.write_bytes(good)
    config = json.loads((folder / "config.json").read_text())
    config["network"]["width"] = 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CorpusError, match="do not fit"):
        load_vocoder(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="not a vocoder"):
        load_vocoder(folder)
    with pytest.raises(MissingRequirement, match="not a trained vocoder"):
        load_vocoder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: UpsamplingConfig(rates=(8, 8, 2)),
        lambda: UpsamplingConfig(rates=(16, 16), kernels=(4,)),
        lambda: MelConfig(n_fft=1024, hop=300),
        lambda: MelConfig(n_fft=128, hop=32, n_mels=80),  # bands between two bins
        lambda: UpsamplingConfig(rates=(4, 4, 4, 2, 2), width=24),
        lambda: UpsamplingConfig(kernels=()),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValidationError):
        wrong()
