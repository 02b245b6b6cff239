"""What every registered generator keeps, whoever wrote it.

A generator that is ready as it is gets tested without further ado. One that needs weights is
tested when `READY_PARAMS` says how to make it ready; a new adapter adds its line there, and its
name to `DRAWS_NOTHING` or `UNTRAINED` where that holds.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tiny_piper

from forensics.errors import ForensicsError
from forensics.generators.base import GENERATORS, Generated, SpeechRequest
from forensics.media.audio import Waveform


@dataclass(frozen=True)
class Materials:
    """`shared("weights")`: that folder of the shared data, or a skip. `folder`: empty, to fill."""

    shared: Callable[[str], Path]
    folder: Path


def _piper(materials: Materials) -> dict[str, Any]:
    pytest.importorskip("piper")
    return {"voice": tiny_piper.build(materials.folder)}


def _kokoro(materials: Materials) -> dict[str, Any]:
    pytest.importorskip("hibari")
    return {"graph": pytest.importorskip("helpers.tiny_kokoro").build(materials.folder)}


def _tiny(family: str) -> Callable[[Materials], dict[str, Any]]:
    """A tiny neural model with random weights, of `helpers.tiny_speech_models`."""

    def make(materials: Materials) -> dict[str, Any]:
        models = pytest.importorskip("helpers.tiny_speech_models")
        models.torch.manual_seed(1)
        return getattr(models, f"build_{family}")(materials.folder)

    return make


NEURAL = {
    "bark": "bark",
    "hifigan": "hifigan",
    "transformers_codec": "encodec",
    "transformers_tts": "speecht5",
    "transformers_vocoder": "univnet",
    "univnet": "univnet",
    "vits": "vits",
    "vocos": "vocos",
}

READY_PARAMS: dict[str, Callable[[Materials], dict[str, Any]]] = {
    "kokoro": _kokoro,
    "lyra": lambda materials: {"weights": str(materials.shared("weights") / "lyra_v2")},
    "piper": _piper,
    **{name: _tiny(family) for name, family in NEURAL.items()},
}
"""Generator → its parameters, from weights that lie here or that are built on the spot."""

DRAWS_NOTHING = {"fargan", "hifigan", "own-fourier", "own-upsampling", "vocos", "world"}
"""Engines whose output depends on the text or reference alone: every seed gives the same."""

UNTRAINED = set(NEURAL)
"""Those whose weights in READY_PARAMS are random: what comes out is sound, not speech."""

NAMES = GENERATORS.names()
SPEAKING = [name for name in NAMES if GENERATORS.get(name).kind == "tts"]
COPYING = [name for name in NAMES if GENERATORS.get(name).kind in ("vocoder", "codec")]
TEXTS = (
    "She had your dark suit in greasy wash water.",
    "Don't ask me.",
    "The birch canoe slid on the smooth planks, and nobody on the shore saw it go.",
)

# Runs every generator once more in a process of its own, in another order and company.
CHILD = """
import hashlib, json, sys
import numpy as np
from forensics.generators.base import GENERATORS, SpeechRequest
from forensics.media.audio import Waveform

GENERATORS.names()
heavy = {"torch", "torchaudio", "transformers", "scipy", "pyworld", "piper"} & set(sys.modules)
task = json.load(sys.stdin)
requests = [
    SpeechRequest(r["key"], r["seed"], r["text"], "en", Waveform(samples, 16000))
    for r, samples in zip(task["requests"], np.load(task["references"]).values(), strict=True)
]
digests = {}
for name, params in task["params"].items():
    generator = GENERATORS.get(name)(**params)
    generator.load()
    results = generator.generate(requests[::-1])[::-1]
    digests[name] = [
        repr(r) if isinstance(r, Exception) else hashlib.sha256(r.waveform.samples).hexdigest()
        for r in results
    ]
json.dump({"heavy": sorted(heavy), "digests": digests}, open(task["answer"], "w"))
"""


@pytest.fixture(scope="session")
def requests(speech_like) -> list[SpeechRequest]:
    return [
        SpeechRequest(
            f"k{i}", 11 + i, text, "en", Waveform(speech_like(1.2 + 0.3 * i, seed=i), 16_000)
        )
        for i, text in enumerate(TEXTS)
    ]


@pytest.fixture(scope="session")
def ready(shared_data, tmp_path_factory):
    """`ready("espeak")` → its parameters, or a skip that says what is missing."""
    known: dict[str, dict[str, Any]] = {}

    def params_of(name: str) -> dict[str, Any]:
        if name not in known:
            make = READY_PARAMS.get(name, lambda _: {})
            params = make(Materials(shared_data, tmp_path_factory.mktemp(name)))
            lacking = GENERATORS.get(name)(**params).check()
            if lacking:
                pytest.skip("; ".join(str(error) for error in lacking))
            known[name] = params
        return known[name]

    return params_of


@pytest.fixture(scope="session")
def loaded(ready):
    """`loaded("espeak")` → a new instance, loaded."""

    def make(name: str):
        generator = GENERATORS.get(name)(**ready(name))
        generator.load()
        return generator

    return make


@pytest.fixture(scope="session")
def forged(loaded, requests):
    """`forged("espeak")` → what one batch of all requests gave."""
    known: dict[str, list[Generated]] = {}

    def outputs(name: str) -> list[Generated]:
        if name not in known:
            results = loaded(name).generate(requests)
            assert len(results) == len(requests)
            for result in results:
                if isinstance(result, Exception):
                    raise result
            known[name] = results
        return known[name]

    return outputs


@pytest.fixture(scope="session")
def elsewhere(ready, requests, tmp_path_factory) -> dict[str, Any]:
    """What another process makes of the same requests: digests by name, and what it imported."""
    params = {}
    for name in NAMES:
        try:
            params[name] = ready(name)
        except pytest.skip.Exception:
            continue
    folder = tmp_path_factory.mktemp("elsewhere")
    references = {request.key: request.reference.samples for request in requests}
    np.savez(folder / "references.npz", **references)
    task = {
        "params": params,
        "requests": [{"key": r.key, "seed": r.seed, "text": r.text} for r in requests],
        "references": str(folder / "references.npz"),
        "answer": str(folder / "answer.json"),
    }
    subprocess.run([sys.executable, "-c", CHILD], input=json.dumps(task), text=True, check=True)
    return json.loads((folder / "answer.json").read_text())


def digest(result) -> str:
    assert isinstance(result, Generated), repr(result)
    return hashlib.sha256(result.waveform.samples).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_describes_itself(name):
    cls = GENERATORS.get(name)
    assert re.fullmatch(r"[a-z0-9_-]+", cls.name) and cls.name == name
    assert cls.kind in ("tts", "vocoder", "codec", "vc")
    assert cls.version and cls.licence
    assert cls.summary and "\n" not in cls.summary
    assert (cls.__doc__ or "").strip()


@pytest.mark.parametrize("name", NAMES)
def test_unknown_parameters_are_errors(name):
    with pytest.raises(ValueError, match="no_such_parameter"):
        GENERATORS.get(name)(no_such_parameter=1)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_comes_with_a_fix(name, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no program is found
    generator = GENERATORS.get(name)()
    lacking = generator.check()
    programs = [r for r in generator.requirements() if r.kind == "program"]
    assert all(program.missing() for program in programs)
    assert len(lacking) >= len(programs)
    for error in lacking:
        assert error.what and error.fix
        assert "\n" not in str(error)


def test_the_registry_imports_nothing_heavy(elsewhere):
    assert elsewhere["heavy"] == []


@pytest.mark.parametrize("name", NAMES)
def test_output_is_audible_mono_float32(name, forged):
    for result in forged(name):
        samples = result.waveform.samples
        assert samples.dtype == np.float32 and samples.ndim == 1
        assert np.isfinite(samples).all()
        assert result.waveform.sampling_rate >= 8000
        assert 1e-4 < np.sqrt(np.mean(samples**2)) < 1.0
        assert np.abs(samples).max() <= 1.5
        json.dumps(result.details)


@pytest.mark.parametrize("name", NAMES)
def test_neither_neighbours_nor_order_matter(name, forged, loaded, requests):
    whole = [digest(result) for result in forged(name)]
    generator = loaded(name)
    assert digest(generator.generate(requests[:1])[0]) == whole[0]
    backwards = generator.generate(requests[::-1])
    assert [digest(result) for result in backwards][::-1] == whole
    assert len(set(whole)) == len(whole)


@pytest.mark.parametrize("name", NAMES)
def test_another_process_agrees(name, forged, elsewhere):
    whole = [digest(result) for result in forged(name)]
    assert elsewhere["digests"][name] == whole


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_matters_where_something_is_drawn(name, forged, loaded, requests):
    others = loaded(name).generate([replace(requests[0], seed=seed) for seed in (101, 102, 103)])
    found = {digest(result) for result in [forged(name)[0], *others]}
    assert (len(found) == 1) == (name in DRAWS_NOTHING)


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_item_fails_alone(name, forged, loaded, requests):
    if GENERATORS.get(name).kind == "tts":
        bad = replace(requests[0], text=" \t.")
    else:
        bad = replace(requests[0], reference=Waveform(np.zeros(5, np.float32), 16_000))
    failure, result = loaded(name).generate([bad, requests[1]])
    assert isinstance(failure, ForensicsError), repr(failure)
    assert digest(result) == digest(forged(name)[1])


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprint_is_one_stable_line(name, ready):
    cls, params = GENERATORS.get(name), ready(name)
    fingerprint = cls(**params).fingerprint()
    assert cls(**params).fingerprint() == fingerprint
    assert cls.version in fingerprint and "\n" not in fingerprint


@pytest.mark.parametrize("name", SPEAKING)
def test_more_text_takes_longer(name, forged):
    if name in UNTRAINED:
        pytest.skip("random weights")
    middle, short, long = (result.waveform.duration_s for result in forged(name))
    assert short < middle < long


@pytest.mark.parametrize("name", COPYING)
def test_resynthesis_keeps_time_and_resembles_its_reference(name, forged, requests):
    for request, result in zip(requests, forged(name), strict=True):
        assert abs(result.waveform.duration_s - request.reference.duration_s) <= 0.02
        if name in UNTRAINED:
            continue
        heard = log_spectrum(result.waveform)
        meant = log_spectrum(request.reference)
        shuffled = meant[np.random.default_rng(0).permutation(len(meant))]
        assert distance(heard, meant) < 0.6 * distance(heard, shuffled)


def log_spectrum(wave: Waveform) -> np.ndarray:
    """(frames, 32): log power in 250 Hz bands of 32 ms frames, 10 ms apart, at 16 kHz."""
    samples = wave.resampled(16_000).samples
    frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::160] * np.hanning(512)
    power = np.abs(np.fft.rfft(frames))[:, :256] ** 2
    return np.log(power.reshape(len(power), 32, 8).sum(axis=2) + 1e-6)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute log-spectral difference, whatever the level."""
    count = min(len(a), len(b))
    difference = a[:count] - b[:count]
    return float(np.abs(difference - difference.mean()).mean())
