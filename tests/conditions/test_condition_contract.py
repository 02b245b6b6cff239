"""What every registered condition promises, whichever it is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.conditions.base import CONDITIONS, Condition
from forensics.media.audio import Waveform

REPO = Path(__file__).resolve().parents[2]
RATES = (8000, 16_000, 24_000, 48_000)
every_condition = pytest.mark.parametrize("name", CONDITIONS.names())


def build(name: str) -> Condition:
    condition = CONDITIONS.get(name)()
    for missing in condition.check():
        pytest.skip(str(missing))
    return condition


def assert_sound(before: Waveform, after: Waveform) -> None:
    assert after.sampling_rate == before.sampling_rate
    assert after.samples.shape == before.samples.shape
    assert after.samples.dtype == np.float32
    assert np.isfinite(after.samples).all()
    assert np.abs(after.samples).max(initial=0) < 6


def lag_s(before: Waveform, after: Waveform) -> float:
    """Where the cross-correlation peaks, in seconds; positive when `after` is late."""
    size = 2 * len(before.samples)
    spectrum = np.fft.rfft(after.samples, size) * np.conj(np.fft.rfft(before.samples, size))
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return (peak if peak < size // 2 else peak - size) / before.sampling_rate


def bright(speech_like, seconds: float, rate: int) -> Waveform:
    """Speech-like with most energy inside the telephone band, so that every channel passes it."""
    from scipy.signal import butter, sosfiltfilt

    band = butter(2, [500, 3000], "bandpass", fs=rate, output="sos")
    samples = sosfiltfilt(band, speech_like(seconds, rate))
    return Waveform((0.5 * samples / np.abs(samples).max()).astype(np.float32), rate)


def test_the_documented_conditions_are_registered():
    assert set(CONDITIONS.names()) >= {
        "amr", "g711", "gain", "mp3", "noise", "opus", "rawboost",
        "resample", "room", "telephone", "vorbis",
    }  # fmt: skip


@every_condition
@pytest.mark.parametrize("rate", RATES)
def test_speech_at_every_rate(name, rate, speech_like):
    condition, wave = build(name), Waveform(speech_like(0.7, rate), rate)
    kept = wave.samples.copy()
    for seed in range(3):
        after, drawn = condition.apply(wave, np.random.default_rng(seed))
        assert_sound(wave, after)
        json.dumps(drawn, allow_nan=False)
    np.testing.assert_array_equal(wave.samples, kept)  # the input is not written to
    assert not np.shares_memory(after.samples, wave.samples)


@every_condition
@pytest.mark.parametrize("rate", (16_000, 44_100))
@pytest.mark.parametrize("kind", ("silence", "short", "clipping", "beyond full scale"))
def test_awkward_input(name, rate, kind, speech_like):
    condition = build(name)
    speech = speech_like(0.6, rate)
    samples = {
        "silence": np.zeros(rate // 2, np.float32),
        "short": speech[rate // 5 : rate // 5 + rate // 10],
        "clipping": np.clip(20 * speech, -1, 1),
        "beyond full scale": 5 * speech,
    }[kind]
    wave = Waveform(samples, rate)
    for seed in range(4):
        after, _ = condition.apply(wave, np.random.default_rng(seed))
        assert_sound(wave, after)
        if kind == "silence":  # G.711 A-law, as the real one, has no code for zero
            assert np.abs(after.samples).max() < 1e-3


@every_condition
def test_deterministic_under_the_seed_and_different_for_another(name, speech_like):
    condition, wave = build(name), Waveform(speech_like(0.6), 16_000)
    first, drawn = condition.apply(wave, np.random.default_rng(1))
    again, redrawn = condition.apply(wave, np.random.default_rng(1))
    np.testing.assert_array_equal(first.samples, again.samples)
    assert drawn == redrawn
    others = [condition.apply(wave, np.random.default_rng(seed)) for seed in range(2, 14)]
    assert any(d != drawn for _, d in others)
    assert any(not np.array_equal(o.samples, first.samples) for o, _ in others)


@every_condition
@pytest.mark.parametrize("rate", (16_000, 44_100))
def test_alignment_is_kept(name, rate, speech_like):
    condition, wave = build(name), bright(speech_like, 1.2, rate)
    if not condition.keeps_time:
        pytest.skip(f"{name} moves what is heard, and says so")
    for seed in range(4):
        after, drawn = condition.apply(wave, np.random.default_rng(seed))
        assert abs(lag_s(wave, after)) <= 0.002, drawn


@every_condition
@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(1, 3000),
    rate=st.sampled_from((*RATES, 11_025, 44_100)),
    dtype=st.sampled_from((np.float32, np.float64)),
    strided=st.booleans(),
    seed=st.integers(0, 2**63),
)
def test_any_length_and_layout(name, length, rate, dtype, strided, seed):
    rng = np.random.default_rng(seed)
    samples = (0.2 * rng.standard_normal(2 * length)).astype(dtype)
    wave = Waveform(samples[::2] if strided else samples[:length], rate)
    after, _ = build(name).apply(wave, rng)
    assert_sound(wave, after)


@every_condition
def test_unknown_parameters_and_reversed_ranges_are_refused(name):
    kind = CONDITIONS.get(name)
    with pytest.raises(ValueError, match="no_such_parameter"):
        kind(no_such_parameter=1)
    ranges = [
        field
        for field, info in kind.model_fields.items()
        if isinstance(info.default, tuple) and info.annotation == tuple[float, float]
    ]
    for field in ranges:
        low, high = kind.model_fields[field].default
        with pytest.raises(ValueError, match="low <= high"):
            kind(**{field: (high + 1, low)})
        with pytest.raises(ValueError, match=field):
            kind(**{field: (float("nan"), high)})


def digests() -> dict[str, str]:
    rng = np.random.default_rng(5)
    samples = 0.3 * np.sin(np.arange(12_000) ** 1.3 / 90) + 0.05 * rng.standard_normal(12_000)
    wave = Waveform(samples.astype(np.float32), 16_000)
    found = {}
    for name in CONDITIONS.names():
        condition = CONDITIONS.get(name)()
        if condition.check():
            continue
        done, drawn = condition.apply(wave, np.random.default_rng(99))
        content = done.samples.tobytes() + json.dumps(drawn, sort_keys=True).encode()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def run_here(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPO,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_same_bytes_in_another_process():
    load = (
        "import importlib.util, json;"
        f"spec = importlib.util.spec_from_file_location('contract', {str(Path(__file__))!r});"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module);"
        "print(json.dumps(module.digests()))"
    )
    assert json.loads(run_here(load, PYTHONHASHSEED="17")) == digests()


def test_listing_conditions_imports_nothing_heavy():
    code = (
        "import sys; from forensics.conditions.base import CONDITIONS; CONDITIONS.names();"
        "import forensics.conditions.draw;"
        "print([m for m in ('torch', 'scipy.signal', 'scipy.fft', 'av') if m in sys.modules])"
    )
    assert run_here(code).strip() == "[]"
