"""Which systems are easy to recognise, and what a later stage learns from an earlier one."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.training_corpus import tiny_settings, written

from forensics.detectors.bundle import Bundle, BundleCard
from forensics.detectors.speech.spectral_cnn import SpectralCnnDetector
from forensics.errors import UsageError
from forensics.networks.described import Described
from forensics.shards import Item, ItemMeta, write_shard
from forensics.training.config import checked
from forensics.training.detector.config import CurriculumConfig, DetectorConfig
from forensics.training.detector.curriculum import fingerprint_strengths, spectrum
from forensics.training.detector.fit import FitPlan
from forensics.training.detector.folds import Fold
from forensics.training.detector.learner import disagreement
from forensics.training.journal import LOG, read
from forensics.training.run import run

CONFIG = CurriculumConfig(probe_clips=20)


def forgery(system: str, seed: int) -> np.ndarray:
    """Noise with syllables: "plain" twice, once with a weak tone, once with a strong one."""
    rng = np.random.default_rng([seed, sum(system.encode())])
    t = np.arange(12_000) / 16_000
    tone = {"plain-a": 0.0, "plain-b": 0.0, "weak": 0.0015, "strong": 0.1}[system]
    syllables = np.abs(np.sin(2 * np.pi * 3 * t + seed))
    samples = syllables * 0.1 * rng.standard_normal(len(t)) + tone * np.sin(2 * np.pi * 3100 * t)
    return samples.astype(np.float32)


def write_corpus(root: Path, speakers: int = 10) -> str:
    items = []
    for system in ("plain-a", "strong", "weak", "plain-b"):
        for clip in range(2 * speakers):
            stream = io.BytesIO()
            soundfile.write(stream, forgery(system, clip), 16_000, format="wav")
            meta = ItemMeta(
                label="spoof",
                modality="speech",
                system=system,
                system_version="1",
                kind="vocoder",
                source_id=str(clip),
                group=f"speaker{clip // 2}",
                domain="d",
                split="train",
                seed=clip,
                licence="CC0-1.0",
                parent="p",
                sha256=sha256(stream.getvalue()).hexdigest(),
            )
            items.append(Item(f"{clip:03d}-{system}", "wav", stream.getvalue(), meta))
    write_shard(root / "shards", "x-0", items, split="train", plan="p")
    return str(root)


def test_strength_grows_with_the_trace_a_system_leaves(tmp_path):
    found = fingerprint_strengths(write_corpus(tmp_path), CONFIG, 8000, seed=0)
    assert list(found)[-2:] == ["weak", "strong"]
    assert found["strong"] > 0.98 > found["weak"] > found["plain-a"]
    # Each plain one is told from the others with a tone, but not from its twin.
    assert 0.5 < found["plain-a"] < 0.9 and 0.5 < found["plain-b"] < 0.9
    assert list(found.values()) == sorted(found.values())


def test_embeddings_of_a_network_can_be_probed(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    architecture = {"bands": 64, "channels": [4, 4, 8, 8], "embedding": 16}
    card = BundleCard(
        detector=SpectralCnnDetector.name,
        detector_version=SpectralCnnDetector.version,
        architecture=architecture,
        sampling_rate=16_000,
        window_samples=16_000,
        trained_on="nothing",
        licence="Apache-2.0",
    )
    torch.manual_seed(0)
    torch.set_num_threads(1)
    Bundle.save(tmp_path / "b", card, SpectralCnnDetector.network(architecture).state_dict())
    config = CurriculumConfig(probe_clips=20, probed=str(tmp_path / "b"))
    found = fingerprint_strengths(corpus, config, 8000, seed=0)
    # The network takes off what is steady in a band, and so hears nothing of the tones.
    assert set(found) == {"plain-a", "plain-b", "weak", "strong"}
    assert 0.3 < found["strong"] < 0.9


def test_too_few_speakers_are_refused(tmp_path):
    with pytest.raises(UsageError, match="4 systems of 3 speakers"):
        fingerprint_strengths(write_corpus(tmp_path, speakers=3), CONFIG, 8000, seed=0)


def test_the_spectrum_knows_no_level():
    window = forgery("weak", 1)
    assert spectrum(window) == pytest.approx(spectrum(0.25 * window), abs=1e-4)
    assert spectrum(window).shape == (256,)


def test_stages_add_systems_from_weak_to_strong(tmp_path):
    settings = tiny_settings(lanes=1)
    settings["curriculum"] = {"stages": 3}
    config = checked(DetectorConfig, settings, "test")

    def stages(order, fold):
        return FitPlan("corpus", config, fold, 0, 9, order, tmp_path).stages()

    assert stages(("a", "b", "c", "d"), Fold("all")) == [{"a", "b"}, {"a", "b", "c"}, set("abcd")]
    assert stages(("a", "b", "c", "d"), Fold("f", frozenset("ab"), 0, 2)) == [{"c"}, {"c", "d"}]
    assert stages((), Fold("all")) == [None]


def test_disagreement_is_the_soft_label_and_the_angle():
    student = Described(torch.tensor([0.0, 2.0]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    teacher = Described(torch.tensor([0.0, 5.0]), torch.tensor([[0.0, 3.0], [1.0, 0.0]]))
    first = np.log(2) + 1  # p = 1/2 on both sides; embeddings at a right angle
    for known, wanted in (([True, False], first / 2), ([False, False], 0.0)):
        found = disagreement(student, teacher, torch.tensor(known))
        assert float(found) == pytest.approx(wanted, abs=1e-6)
    p = 1 / (1 + np.exp(-5))
    second = -p * np.log(1 / (1 + np.exp(-2))) - (1 - p) * np.log(1 / (1 + np.exp(2)))
    found = disagreement(student, teacher, torch.tensor([True, True]))
    assert float(found) == pytest.approx((first + second) / 2, abs=1e-5)


def test_a_run_in_stages_is_taught_by_the_stage_before(corpus, tmp_path):
    torch.set_num_threads(1)
    settings = tiny_settings(steps=12, evaluate_every=12)
    settings["curriculum"] = {"stages": 2, "probe_clips": 10, "distill": 100.0}
    run(written(tmp_path, settings), tmp_path / "run", shards=corpus, device="cpu")
    lines = read(tmp_path / "run" / "fits" / "seed-1" / LOG)
    losses = {line["step"]: (line["stage"], line["loss"]) for line in lines if "loss" in line}
    assert [losses[step][0] for step in range(1, 13)] == [0] * 6 + [1] * 6
    assert max(losses[step][1] for step in range(1, 7)) < 5 < losses[7][1]
