"""The training script on a corpus of synthetic voices: real engines, a few steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from forensics import build_dataset, detect, resources
from forensics.detectors.bundle import Bundle
from forensics.errors import UsageError
from forensics.training import first_speech
from forensics.training.config import FirstSpeechConfig, Hiding, read_config
from forensics.training.crossed_fits import Fold
from forensics.training.fitting import hidden
from forensics.training.paired_windows import PairedWindows

SYSTEMS = ("lpc-a", "lpc-b")  # alike, so that a few steps on one of them tell the other apart


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twenty voices, each through two systems, without channels."""
    root = tmp_path_factory.mktemp("voices")
    rows = ["path,speaker"]
    for voice in range(20):
        rng = np.random.default_rng(voice)
        t = np.arange(24_000) / 16_000
        pitch = rng.uniform(90, 220) * (1 + 0.2 * np.sin(2 * np.pi * t + rng.uniform(0, 6)))
        phase = 2 * np.pi * np.cumsum(pitch) / 16_000
        tone = sum(np.sin(k * phase) / k for k in range(1, 25)) * (1.2 + np.sin(15 * t))
        samples = 0.1 * tone + 0.005 * rng.standard_normal(len(t))
        soundfile.write(root / f"{voice}.wav", samples.astype(np.float32), 16_000)
        rows.append(f"{voice}.wav,voice{voice}")
    (root / "voices.csv").write_text("\n".join(rows) + "\n")
    shipped = resources.find("pipelines", "audeter")
    recipe = yaml.safe_load(shipped.read_text())
    recipe["systems"] = [{"use": "lpc", "name": name} for name in SYSTEMS]
    recipe["sentences"] = str(shipped.parent / recipe["sentences"])
    recipe["conditions"] = {}
    recipe["splits"] = {"train": 0.5, "dev": 0.25, "test": 0.25}
    (root / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    build_dataset(str(root / "recipe.yaml"), root / "voices.csv", root / "corpus")
    return str(root / "corpus")


def small_config() -> FirstSpeechConfig:
    """The shipped one, cut down to a few steps of a small network."""
    shipped = read_config(FirstSpeechConfig, "first-speech").model_dump()
    shipped["network"] |= {"bands": 32, "channels": (4, 4, 8, 8), "embedding": 8}
    shipped["fit"] |= {
        "steps": 40,
        "evaluate_every": 20,
        "pairs": 6,
        "learning_rate": 0.01,
        "window_samples": 8000,
    }
    shipped["fit"] |= {"warmup": 1}
    shipped["fit"]["augment"] |= {"probability": 0.0}
    shipped |= {"window_samples": 16_000, "target_fpr": 0.3, "target_fnr": 0.3}
    shipped["leave_out"] = [[name] for name in SYSTEMS]
    return FirstSpeechConfig.model_validate(shipped)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = folder / "small.yaml"
    config.write_text(yaml.safe_dump(small_config().model_dump(mode="json")))
    code = first_speech.main(
        ["--shards", corpus, "--config", str(config), "--out", str(folder / "run")]
    )
    assert code == 0
    return folder / "run"


def test_bundle_says_where_it_comes_from(trained):
    config = Bundle.load(trained / "bundle").config
    assert all(name in config.trained_on for name in SYSTEMS)
    assert config.calibration is not None and config.thresholds
    assert any("test split" in figure.on for figure in config.measured)
    assert all(0 <= figure.value <= 1 for figure in config.measured)
    saved = yaml.safe_load((trained / "run.yaml").read_text())
    assert saved.pop("plan")
    assert FirstSpeechConfig.model_validate(saved) == small_config()
    looks = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert {look["fit"] for look in looks} == {"all systems", "without lpc-a", "without lpc-b"}


def test_detect_runs_on_what_was_trained(trained, speech_like):
    from forensics.media.audio import Waveform

    verdict = detect(Waveform(speech_like(2.0), 16_000), trained / "bundle")[0]
    assert verdict.label != "not_applicable"
    assert verdict.detectors[0].name == "spectral-cnn"


def test_a_second_run_keeps_the_first_and_goes_on_where_one_was_cut(trained, corpus, capsys):
    again = ["--shards", corpus, "--config", str(trained.parent / "small.yaml")]
    again += ["--out", str(trained)]
    assert first_speech.main(again) == UsageError.exit_code
    assert "already holds" in capsys.readouterr().err
    before = Bundle.load(trained / "bundle").config
    shutil.rmtree(trained / "bundle")
    log = (trained / "log.jsonl").read_text()
    assert first_speech.main(again) == 0
    assert (trained / "log.jsonl").read_text() == log  # no fit was done again
    after = Bundle.load(trained / "bundle").config
    assert after.model_dump(exclude={"measured"}) == before.model_dump(exclude={"measured"})
    assert [m.value for m in after.measured] == [m.value for m in before.measured]


def test_pairs_hold_one_of_each_and_no_more_than_is_kept(corpus):
    policy = small_config().fit.augment

    def pairs(keep):
        return PairedWindows(corpus, keep, 16_000, 8000, policy, 4, 2, seed=3)

    first = [pair for pair, _ in zip(pairs(lambda s, g: True), range(6), strict=False)]
    again = [pair for pair, _ in zip(pairs(lambda s, g: True), range(6), strict=False)]
    assert all(pair.shape == (2, 8000) and pair.abs().max() <= 1 for pair in first)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(UsageError, match="forged copy"):
        next(iter(pairs(lambda system, group: system == "bonafide")))


def test_folds_share_no_speaker_and_hear_nothing_they_are_judged_by():
    folds = [Fold("a", frozenset({"x"}), 0, 2), Fold("b", frozenset({"y"}), 1, 2)]
    voices = [f"voice{i}" for i in range(40)]
    parts = [{v for v in voices if fold.unheard_speaker(v)} for fold in folds]
    assert parts[0] and parts[1] and parts[0].isdisjoint(parts[1])
    assert parts[0] | parts[1] == set(voices)
    for fold in folds:
        for system in ("bonafide", "x", "y"):
            assert not any(fold.heard(system, v) and fold.unheard(system, v) for v in voices)
    assert Fold("all").heard("x", "voice1")


def test_hiding_covers_whole_bands_from_a_frequency_up():
    network = small_config().network
    only_top = Hiding(top_probability=1, lowest_top_hz=3500, band_share=0, time_share=0)
    seen = hidden(only_top, network, 50, 20, torch.Generator().manual_seed(0))
    assert seen.shape == (50, network.bands, 20)
    assert (seen.amin(dim=2) == seen.amax(dim=2)).all()
    bands = seen[:, :, 0]
    assert (bands.diff(dim=1) <= 0).all()
    assert (bands[:, : network.bands // 2] == 1).all() and (bands[:, -1] == 0).any()


def test_unknown_fields_are_named(tmp_path: Path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("leave_out: [[a], [b]]\nfit: {stepz: 3}\n")
    with pytest.raises(UsageError, match="stepz"):
        read_config(FirstSpeechConfig, str(wrong))
