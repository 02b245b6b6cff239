"""A tiny corpus to train on: synthetic voices through two systems that are alike, no channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import yaml

from forensics import build_dataset, resources

SYSTEMS = ("lpc-a", "lpc-b")  # alike, so that a few steps on one of them tell the other apart


def build(root: Path, voices: int = 20) -> str:
    """The folder of the corpus."""
    rows = ["path,speaker"]
    for voice in range(voices):
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


def tiny_settings(**fit) -> dict:
    """A config of a few steps of a small network, with everything that is drawn switched on."""
    return {
        "task": "detector",
        "detector": "spectral-cnn",
        "architecture": {"bands": 32, "channels": [4, 4, 8, 8], "embedding": 8},
        "window_samples": 16_000,
        "seeds": [1],
        "fit": {
            "steps": 12,
            "evaluate_every": 6,
            "log_every": 1,
            "batch": 8,
            "learning_rate": 0.01,
            "window_samples": 8000,
            "warmup": 2,
            "sampling": {"kind": "pairs", "pool": 4, "draws_per_family": 3},
            "augment": {"probability": 0.5, "choose": [{"use": "rawboost"}]},
            **fit,
        },
    }


def written(folder: Path, settings: dict) -> str:
    """The path of a config file with these settings."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)
