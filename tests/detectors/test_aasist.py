from __future__ import annotations

import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from forensics.detectors.base import DETECTORS
from forensics.detectors.bundle import Bundle
from forensics.detectors.speech.aasist import AasistDetector, AasistLDetector
from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.media.audio import read_audio
from forensics.networks.aasist import PUBLISHED, Aasist, ResidualBlock, sinc_filters

TONE = 0.1 * np.sin(2 * np.pi * 220 * np.arange(64_600) / 16_000)

# Logits [spoof, bona fide] of the published models in the authors' code.
GOLDEN = {
    "AASIST": [[0.6756, -1.5647], [-3.0082, 1.4436]],
    "AASIST-L": [[4.2350, -3.5351], [0.2354, 0.2518]],
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def random_folder(random_card, random_weights, tmp_path):
    Bundle.save(tmp_path / "weights", random_card, random_weights)
    return tmp_path / "weights"


@pytest.mark.parametrize(("name", "parameters"), [("aasist", 297_866), ("aasist-l", 85_306)])
def test_parameter_counts(name, parameters):
    network = DETECTORS.get(name).network()
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("name", ["AASIST", "AASIST-L"])
def test_published_weights_give_the_golden_logits(published, name):
    detector = DETECTORS.get(name.lower()).from_folder(published(name))
    windows = np.stack([TONE, np.zeros(64_600)]).astype(np.float32)
    scores = detector.score(windows)
    assert scores.dtype == np.float64
    expected = np.array(GOLDEN[name])
    assert scores == pytest.approx(expected[:, 1] - expected[:, 0], abs=2e-4)
    network = type(detector).trained_network(detector.bundle)
    with torch.inference_mode():
        assert network(torch.from_numpy(windows)).numpy() == pytest.approx(expected, abs=1e-4)


def test_published_weights_on_real_clips(published, shared_data):
    folder = shared_data("speech_dev")
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    windows = []
    for row in rows[:: len(rows) // 10][:10]:
        samples = read_audio(folder / row["path"], 16_000).samples
        windows.append(np.resize(samples, 64_600))
    scores = AasistDetector.from_folder(published("AASIST")).score(np.stack(windows))
    assert scores.shape == (10,) and np.isfinite(scores).all()
    assert len(np.unique(scores)) == 10


def test_a_window_scores_alone_as_in_a_batch(random_folder, speech_like):
    detector = AasistLDetector.from_folder(random_folder)
    windows = np.stack([speech_like(0.5, seed=seed) for seed in range(3)])
    singles = [detector.score(window[None])[0] for window in windows]
    assert detector.score(windows).tolist() == singles
    assert detector.score(windows[::-1]).tolist() == singles[::-1]


def test_windows_of_another_length_are_refused(random_folder):
    with pytest.raises(ValueError, match="8000"):
        AasistLDetector.from_folder(random_folder).score(np.zeros((1, 64_600), np.float32))


def test_no_windows_give_no_scores(random_folder):
    scores = AasistLDetector.from_folder(random_folder).score(np.zeros((0, 8_000), np.float32))
    assert scores.shape == (0,)


@pytest.mark.parametrize("length", [1160, 1161, 1162, 385, 30])
@pytest.mark.parametrize("widths", [(1, 32), (8, 8), (8, 6)])
def test_tiles_equal_the_plain_block(widths, length):
    # 1160 to 1162 columns: three tiles, the last of which ends with, before or after the maps
    torch.manual_seed(0)
    block = ResidualBlock(*widths, first=widths[0] == 1)
    block.bn2.running_mean.normal_()
    block.bn2.running_var.uniform_(0.5, 2)
    block.eval()
    maps = torch.randn(2, widths[0], 7, length)
    plain = block(maps)
    assert plain.requires_grad
    with torch.no_grad():
        tiled = block(maps)
    assert tiled.shape == (2, widths[1], 7, length // 3)
    assert torch.allclose(plain, tiled, atol=1e-5)


def test_the_discarded_normalisation_of_later_blocks_changes_nothing(random_weights):
    network = Aasist(PUBLISHED["aasist-l"]).eval()
    network.load_state_dict(random_weights)
    waveforms = torch.from_numpy(TONE[None, :8_000]).float()
    with torch.no_grad():
        before = network(waveforms)
        for block in list(network.encoder)[1:]:
            block[0].bn1.weight.fill_(7)
            block[0].bn1.running_mean.fill_(3)
        assert torch.equal(network(waveforms), before)
        network.encoder[1][0].bn2.weight.mul_(1.5)
        assert not torch.equal(network(waveforms), before)


def test_every_parameter_but_the_discarded_ones_learns():
    torch.manual_seed(0)
    network = Aasist(PUBLISHED["aasist-l"]).train()
    logits = network(torch.randn(4, 6_000) * 0.1)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0, 1])).backward()
    idle = {name for name, p in network.named_parameters() if p.grad is None}
    assert idle == {f"encoder.{i}.0.bn1.{p}" for i in range(1, 6) for p in ("weight", "bias")}
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def test_sinc_filters_pass_their_own_band():
    response = np.abs(np.fft.rfft(sinc_filters().squeeze(1).numpy(), 4096, axis=1))
    centres = response.argmax(axis=1) * 16_000 / 4096
    assert response.shape[0] == 70
    # 129 taps cannot tell the lowest bands apart
    assert (np.diff(centres[4:]) > 0).all()
    assert centres[0] < 200 and centres[-1] > 7_500


def test_weights_of_another_detector_are_refused(random_folder):
    with pytest.raises(UsageError, match="aasist-l"):
        AasistDetector.from_folder(random_folder)


def test_weights_that_do_not_fit_their_architecture_are_refused(
    random_card, random_weights, tmp_path
):
    card = random_card.model_copy(update={"architecture": {}})
    Bundle.save(tmp_path / "wide", card, random_weights)
    with pytest.raises(CorpusError, match="do not fit"):
        AasistLDetector.from_folder(tmp_path / "wide")
    card = random_card.model_copy(update={"architecture": {"layers": 3}})
    Bundle.save(tmp_path / "odd", card, random_weights)
    with pytest.raises(UsageError, match="layers"):
        AasistLDetector.from_folder(tmp_path / "odd")


def test_devices_that_are_not_there_are_refused(random_folder):
    with pytest.raises(UsageError, match="not supported"):
        AasistLDetector.from_folder(random_folder, device="meta")
    with pytest.raises(UsageError, match="no device"):
        AasistLDetector.from_folder(random_folder, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(MissingRequirement, match="CUDA"):
            AasistLDetector.from_folder(random_folder, device="cuda")


def test_damaged_weights_are_refused_before_they_are_parsed(random_folder, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(random_folder, damaged)
    data = bytearray((damaged / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(data)
    with pytest.raises(CorpusError, match="SHA-256"):
        AasistLDetector.from_folder(damaged)


def test_listing_detectors_imports_no_torch():
    code = (
        "import sys; from forensics.detectors.base import DETECTORS;"
        "assert {'aasist', 'aasist-l'} <= set(DETECTORS.names());"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_describe_agrees_with_the_logits():
    torch.manual_seed(0)
    network = AasistLDetector.network().eval()
    samples = 0.1 * torch.randn(2, 8_000)
    described = network.describe(samples)
    logits = network(samples)
    torch.testing.assert_close(described.score, logits[:, 1] - logits[:, 0])
    torch.testing.assert_close(network.out_layer(described.embedding), logits)
    assert described.projection is None
