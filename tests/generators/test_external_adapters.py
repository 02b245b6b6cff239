"""Engines of other environments: every adapter's commands, and what it asks for."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from forensics.errors import MissingRequirement, UsageError
from forensics.generators.base import GENERATORS, SpeechRequest
from forensics.generators.speech.external.base import DRIVE, Job
from forensics.media.audio import Waveform

W = "<weights>"
R = "<repo>"


def device(name):
    return f"--device={name}"


GOLDEN = {
    "xtts": [
        ["-m", "TTS.bin.synthesize", "--text=-hello", f"--model_path={W}",
         f"--config_path={W}/config.json", "--language_idx=en", "--speaker_wav",
         "<job>/in/reference.wav", "--out_path=<job>/out/speech.wav", "--device=cpu"],
    ],
    "yourtts": [
        ["-m", "TTS.bin.synthesize", "--text=-hello", f"--model_path={W}/model_file.pth",
         f"--config_path={W}/config.json", "--language_idx=en", "--speaker_wav",
         "<job>/in/reference.wav", "--out_path=<job>/out/speech.wav", "--device=cpu"],
    ],
    "f5_tts": [
        ["-m", "f5_tts.infer.infer_cli", "--model=F5TTS_v1_Base",
         f"--ckpt_file={W}/model_1250000.safetensors", f"--vocab_file={W}/vocab.txt",
         "--ref_audio=<job>/in/reference.wav", "--ref_text=what was said", "--gen_text=-hello",
         "--output_dir=<job>/out", "--output_file=speech.wav"],
    ],
    "sparktts": [
        ["-m", "cli.inference", "--text=-hello", f"--model_dir={W}", "--save_dir=<job>/out",
         "--prompt_speech_path=<job>/in/reference.wav", "--prompt_text=what was said",
         "--device=0"],
    ],
    "fish_speech": [
        [f"{R}/fish_speech/models/dac/inference.py", f"--checkpoint-path={W}/codec.pth",
         "--input-path=<job>/in/reference.wav", "--output-path=<job>/in/prompt.wav",
         "--device=cpu"],
        [f"{R}/fish_speech/models/text2semantic/inference.py", f"--checkpoint-path={W}",
         "--text=-hello", "--seed=5", "--output-dir=<job>/codes", "--device=cpu",
         "--prompt-text=what was said", "--prompt-tokens=<job>/in/prompt.npy"],
        [f"{R}/fish_speech/models/dac/inference.py", f"--checkpoint-path={W}/codec.pth",
         "--input-path=<job>/codes/codes_0.npy", "--output-path=<job>/out/speech.wav",
         "--device=cpu"],
    ],
    **{
        name: [
            [DRIVE, name, f"--model={W}", "--text=-hello", "--language=en",
             "--reference=<job>/in/reference.wav", "--reference-text=what was said",
             "--device=cpu", "--out=<job>/out/speech.wav"],
        ]
        for name in ("chattts", "cosyvoice", "openvoice", "zonos")
    },
    **{
        name: [
            [f"{R}/inference.py", f"--checkpoint_file={W}/g_01",
             "--input_wavs_dir=<job>/in", "--output_dir=<job>/out"],
        ]
        for name in ("bigvgan", "bigvsan")
    },
    **{
        name: [
            ["-m", "parallel_wavegan.bin.preprocess", "--config=<job>/config.yml",
             "--rootdir=<job>/in", "--dumpdir=<job>/raw"],
            ["-m", "parallel_wavegan.bin.normalize", "--config=<job>/config.yml",
             "--rootdir=<job>/raw", "--dumpdir=<job>/norm", f"--stats={W}/stats.h5"],
            ["-m", "parallel_wavegan.bin.decode", f"--checkpoint={W}/checkpoint-1000steps.pkl",
             "--config=<job>/config.yml", "--dumpdir=<job>/norm", "--outdir=<job>/out"],
        ]
        for name in (
            "parallel_wavegan", "melgan", "full_band_melgan", "multi_band_melgan", "style_melgan"
        )
    },
}  # fmt: skip

PWG_CONFIGS = {
    "parallel_wavegan": {},
    "melgan": {"generator_type": "MelGANGenerator", "generator_params": {"out_channels": 1}},
    "full_band_melgan": {"generator_type": "MelGANGenerator"},
    "multi_band_melgan": {
        "generator_type": "MelGANGenerator",
        "generator_params": {"out_channels": 4},
    },
    "style_melgan": {"generator_type": "StyleMelGANGenerator"},
}


def request(text, language="en", said=None):
    ramp = np.linspace(-0.5, 0.5, 800, dtype=np.float32)
    return SpeechRequest("k", 5, text, language, Waveform(ramp, 16_000), said)


@pytest.fixture
def adapter(tmp_path):
    """`adapter(name)` → the engine on stand-in files, and its job."""
    import yaml

    weights, repo = tmp_path / "weights", tmp_path / "repo"
    weights.mkdir()
    repo.mkdir()

    def make(name, said="what was said", **params):
        if name in PWG_CONFIGS:
            config = {"sampling_rate": 22_050, "trim_silence": True} | PWG_CONFIGS[name]
            (weights / "config.yml").write_text(yaml.safe_dump(config))
            for file in ("stats.h5", "checkpoint-900steps.pkl", "checkpoint-1000steps.pkl"):
                (weights / file).write_bytes(b"x")
        if name in ("bigvgan", "bigvsan"):
            named = {"checkpoint": str(weights / "g_01")}
        else:
            named = {"model": str(weights)}
        folder = tmp_path / f"job-{name}"
        folder.mkdir(exist_ok=True)
        generator = GENERATORS.get(name)(repo=str(repo), **(named | params))
        return generator, Job(request("-hello", said=said), "-hello", "en", folder)

    return make


def shown(commands, tmp_path, name):
    places = {
        str(tmp_path / f"job-{name}"): "<job>",
        str(tmp_path / "weights"): W,
        str(tmp_path / "repo"): R,
    }
    for place, mark in places.items():
        commands = [[word.replace(place, mark) for word in words] for words in commands]
    return commands


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_commands_are_those_of_the_documented_interface(adapter, tmp_path, name):
    generator, job = adapter(name)
    assert shown(generator.commands(job), tmp_path, name) == GOLDEN[name]


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("f5_tts", "--ref_text=what was said"),
        ("sparktts", "--prompt_text=what was said"),
        ("fish_speech", "--prompt-text=what was said"),
        ("zonos", "--reference-text=what was said"),
    ],
)
def test_an_unknown_transcript_is_left_out(adapter, tmp_path, name, gone):
    generator, job = adapter(name, said=None)
    words = [word for command in generator.commands(job) for word in command]
    assert gone not in words and not any("None" in word for word in words)
    assert ("--ref_text=" in words) == (name == "f5_tts")


@pytest.mark.parametrize("name", ["xtts", "fish_speech", "zonos"])
def test_a_gpu_is_asked_for_by_name(adapter, name):
    generator, job = adapter(name, gpu="0")
    assert "--device=cuda" in generator.commands(job)[-1]


def test_the_parallel_wavegan_config_keeps_silence_and_rate(adapter):
    import yaml

    generator, job = adapter("style_melgan")
    generator.commands(job)
    written = yaml.safe_load((job.folder / "config.yml").read_text())
    assert written["trim_silence"] is False and written["sampling_rate"] == 22_050
    assert generator.reference_rate() == 22_050


@pytest.mark.parametrize(
    ("name", "other"),
    [("melgan", "multi_band_melgan"), ("multi_band_melgan", "melgan"), ("style_melgan", "melgan")],
)
def test_a_folder_of_another_family_member_is_refused(adapter, name, other):
    adapter(other)
    generator, job = adapter(other)
    wrong = GENERATORS.get(name)(model=generator.params.model)
    with pytest.raises(UsageError, match=f"not {name}"):
        wrong.commands(job)


def test_a_parallel_wavegan_folder_without_checkpoint_is_named(adapter):
    generator, job = adapter("parallel_wavegan")
    for file in Path(generator.params.model).glob("*.pkl"):
        file.unlink()
    with pytest.raises(MissingRequirement, match="checkpoint"):
        generator.commands(job)


def test_languages_that_an_engine_lacks_are_refused_before_it_starts():
    generator = GENERATORS.get("f5_tts")(python=("/no/such/python",))
    (error,) = generator.generate([request("speak", "fi")])
    assert isinstance(error, UsageError) and "does not speak 'fi'" in error.what


def test_an_engine_that_clones_needs_a_reference():
    generator = GENERATORS.get("zonos")(python=("/no/such/python",))
    (error,) = generator.generate([SpeechRequest("k", 1, "hello", "en", None)])
    assert isinstance(error, UsageError) and "reference" in error.what


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_check_tells_what_is_missing_and_how_to_get_it(name):
    lacks = GENERATORS.get(name)(python=(sys.executable, "-S")).check()
    assert len(lacks) >= 2
    assert all(lack.what and lack.fix for lack in lacks)
    assert any("parameter" in lack.what for lack in lacks)


def test_weights_are_part_of_the_fingerprint(adapter):
    generator, _ = adapter("xtts")
    before = generator.fingerprint()
    Path(generator.params.model, "model.pth").write_bytes(b"other")
    assert generator.fingerprint() != before
    vocoder, _ = adapter("bigvgan")
    folder = Path(vocoder.params.checkpoint).parent
    (folder / "g_01").write_bytes(b"a")
    (folder / "config.json").write_text("{}")
    before = vocoder.fingerprint()
    (folder / "config.json").write_text('{"seed": 1}')
    assert vocoder.fingerprint() != before
