"""Vocoder training: every shipped config runs, a kill changes nothing, losses are what they say."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
import torch
import yaml
from pydantic import ValidationError

from forensics import resources
from forensics.errors import MachineError, UsageError
from forensics.locks import alone
from forensics.training.vocoder.config import VocoderConfig
from forensics.training.vocoder.loop import train
from forensics.training.vocoder.quality import log_spectral_distance, mel_distance
from forensics.training.vocoder.segments import SpeechSegments, read_recordings

SHIPPED = [
    name
    for name in resources.names("configs")
    if yaml.safe_load(resources.find("configs", name).read_text()).get("task") == "vocoder"
]
TINY = {
    "steps": 4,
    "checkpoint_every": 2,
    "batch": 2,
    "network": {
        "family": "fourier",
        "width": 32,
        "layers": 1,
        "mel": {"n_fft": 256, "hop": 64, "n_mels": 20},
    },
    "segment": 2048,
    "adversarial": {"from_step": 2, "periods": [2], "n_ffts": [256], "width": 4},
}
CHILD = """
import sys
from pathlib import Path
from forensics.training.vocoder.config import VocoderConfig
from forensics.training.vocoder.loop import train
config = VocoderConfig.model_validate_json(sys.argv[1])
train(config, sys.argv[2], Path(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def speech(tmp_path_factory, speech_like):
    root = tmp_path_factory.mktemp("speech")
    for speaker in range(12):
        (root / f"s{speaker}").mkdir()
        samples = speech_like(1.2, 16_000, seed=speaker)
        soundfile.write(root / f"s{speaker}" / "a.flac", samples, 16_000)
    return root


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_config_trains(name, speech, tmp_path):
    settings = yaml.safe_load(resources.find("configs", name).read_text())
    if settings.get("adversarial"):
        settings["adversarial"]["from_step"] = 1
    config = VocoderConfig.model_validate({**settings, "steps": 2, "batch": 2})
    card = train(config, str(speech), tmp_path)
    assert card.network == config.network
    assert card.quality is not None
    assert {"vocoder", "run.yaml", "log.jsonl", "copies.png", "copy.wav", "recording.wav"} <= {
        path.name for path in tmp_path.iterdir()
    }
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert line["step"] == 2
    assert math.isfinite(line["loss"])
    if settings.get("adversarial"):
        assert line["judging"] > 0


def test_shipped_configs_cover_three_families():
    families = {
        yaml.safe_load(resources.find("configs", name).read_text())["network"]["family"]
        for name in SHIPPED
    }
    assert families == {"upsampling", "fourier", "flow"}


def test_training_learns_the_spectra(speech, tmp_path):
    config = VocoderConfig.model_validate(
        {
            **TINY,
            "steps": 80,
            "checkpoint_every": 20,
            "adversarial": None,
            "warmup": 5,
            "learning_rate": 0.003,
        }
    )
    train(config, str(speech), tmp_path)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").open()]
    assert losses[-1] < 0.7 * losses[0]


def test_killed_run_goes_on_as_if_nothing_had_happened(speech, tmp_path):
    config = VocoderConfig.model_validate({**TINY, "steps": 60})
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(config, str(speech), whole)
    child = [sys.executable, "-c", CHILD, config.model_dump_json(), str(speech), str(cut)]
    process = subprocess.Popen(child, stderr=subprocess.DEVNULL, env={**os.environ})
    deadline = time.monotonic() + 60
    while not (cut / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "vocoder").exists()
    subprocess.run(child, check=True, capture_output=True)

    def curve(folder):
        lines = [json.loads(line) for line in (folder / "log.jsonl").open()]
        return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]

    assert [line["step"] for line in curve(cut)] == list(range(2, 61, 2))
    for mine, theirs in zip(curve(cut), curve(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


def test_another_config_in_the_same_folder_is_refused(speech, tmp_path):
    train(VocoderConfig.model_validate({**TINY, "steps": 1}), str(speech), tmp_path)
    with pytest.raises(UsageError, match="another config"):
        train(VocoderConfig.model_validate({**TINY, "steps": 2}), str(speech), tmp_path)


def test_source_without_long_enough_recordings_is_refused(speech, tmp_path):
    config = VocoderConfig.model_validate({**TINY, "segment": 64_000})
    with pytest.raises(UsageError, match="no recording of 4 s or more"):
        train(config, str(speech), tmp_path)


def test_recordings_that_cannot_be_decoded_are_passed_over(speech, tmp_path, caplog):
    """Their headers are whole, so that only decoding tells."""
    source = tmp_path / "speech"
    shutil.copytree(speech, source)
    _, heard, held = read_recordings(str(source), None, 0.4, 1.0)
    for one in (heard[0], held[0]):
        data = bytearray((source / one.path).read_bytes())
        data[len(data) // 3 :] = bytes(len(data) - len(data) // 3)
        (source / one.path).write_bytes(bytes(data))
    config = VocoderConfig.model_validate({**TINY, "steps": 6, "held_out_share": 0.4})
    card = train(config, str(source), tmp_path / "run")
    assert card.quality is not None
    assert card.quality.clips == len(held) - 1
    assert held[0].path in caplog.text
    found, heard, _ = read_recordings(str(source), None, 0.4, 1.0)
    segments = SpeechSegments(found.root, heard, 16_000, 1)
    assert segments.readable(heard) == heard[1:]
    with pytest.raises(UsageError, match="can be decoded"):
        SpeechSegments(found.root, heard[:1], 16_000, 1).batch(0, 1, 1, 2048)


def test_holding_out_every_speaker_is_refused_by_name(speech):
    with pytest.raises(UsageError, match="keeps back all speakers"):
        read_recordings(str(speech), None, 0.9999, 1.0)


def test_losses_that_are_lost_end_the_run(speech, tmp_path):
    config = VocoderConfig.model_validate(
        {**TINY, "learning_rate": 1e30, "warmup": 0, "adversarial": None}
    )
    with pytest.raises(UsageError, match="loss is not finite any more at step"):
        train(config, str(speech), tmp_path)
    assert not (tmp_path / "vocoder").exists()


def test_folders_that_cannot_be_had(speech, tmp_path):
    config = VocoderConfig.model_validate({**TINY, "steps": 1})
    with (
        alone(tmp_path / "busy", "training"),
        pytest.raises(UsageError, match="another training is running"),
    ):
        train(config, str(speech), tmp_path / "busy")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MachineError, match="cannot write"):
        train(config, str(speech), tmp_path / "file" / "run")


def test_held_out_speakers_are_not_trained_on(speech):
    _, heard, held = read_recordings(str(speech), None, 0.4, 1.0)
    assert len(heard) + len(held) == 12
    assert heard
    assert held
    assert not {one.group for one in heard} & {one.group for one in held}


def test_batches_depend_on_their_step_alone(speech):
    found, heard, _ = read_recordings(str(speech), None, 0.0, 1.0)
    first = SpeechSegments(found.root, heard, 16_000, cache_mb=64)
    second = SpeechSegments(found.root, heard, 16_000, cache_mb=0)
    first.batch(1, 1, 4, 2048)
    assert torch.equal(first.batch(1, 7, 4, 2048), second.batch(1, 7, 4, 2048))
    assert not torch.equal(first.batch(1, 7, 4, 2048), first.batch(1, 8, 4, 2048))


def test_distances_of_a_copy_at_half_the_level():
    """Halved samples: every log mel falls by ln 2, every level by 6.02 dB."""
    from forensics.networks.vocoders.frames import LogMel, MelConfig

    recorded = torch.from_numpy(np.random.default_rng(0).standard_normal(16_384) * 0.1).float()
    assert mel_distance(LogMel(MelConfig()), recorded / 2, recorded, 256) == pytest.approx(
        math.log(2), rel=1e-3
    )
    assert log_spectral_distance(recorded / 2, recorded) == pytest.approx(6.0206, rel=1e-3)
    assert log_spectral_distance(recorded, recorded) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"segment": 2050},
        {"network": {"family": "flow"}, "segment": 2048},
        {"network": {"family": "wavenet"}},
        {"speed": 3},
        {"seed": -1},
        {"segment": 1024},  # the losses mirror half a spectrum of 2048 samples
        {"segment": 2048, "adversarial": {"n_ffts": [4096]}},
    ],
)
def test_wrong_configs_are_refused(wrong):
    with pytest.raises(ValidationError):
        VocoderConfig.model_validate({**TINY, **wrong})
