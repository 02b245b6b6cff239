"""Kokoro's adapter, with a graph small enough to be built here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.generators.base import SpeechRequest
from forensics.generators.speech.kokoro import Kokoro

pytest.importorskip("hibari", reason="needs hibari: pip install 'forensics[hibari]'")
tiny_kokoro = pytest.importorskip("helpers.tiny_kokoro")

ASK = SpeechRequest("k", 3, "Good morning. How are you today?", "en", None)


def spoken(engine, **changes):
    engine.load()
    (made,) = engine.generate([replace(ASK, **changes)])
    if isinstance(made, Exception):
        raise made
    return made


def test_each_phoneme_is_read_with_the_style_of_its_count(tmp_path):
    engine = Kokoro(graph=tiny_kokoro.build(tmp_path, ("af_low",)), speed=(1, 1))
    assert engine.check() == []
    made = spoken(engine, text="Hello.")
    # həlˈO. — six phonemes between two ends, 600 samples each
    samples = made.waveform.samples
    assert made.waveform.sampling_rate == 24_000 and len(samples) == 8 * 600
    assert np.allclose(samples[:600], 6e-3) and np.allclose(samples[-600:], 6e-3)
    levels = samples.reshape(8, 600)
    assert np.ptp(levels, axis=1).max() == 0 and len(set(levels[:, 0])) == 7


def test_voices_and_speed_are_drawn_from_the_seed(tmp_path):
    graph = tiny_kokoro.build(tmp_path)
    engine = Kokoro(graph=graph, speed=(0.8, 1.25))
    drawn = [spoken(engine, seed=seed).details for seed in range(12)]
    assert {one["voice"] for one in drawn} == {"af_low", "am_high"}
    assert len({one["speed"] for one in drawn}) == 12
    assert spoken(engine, seed=5).details == drawn[5]
    one = spoken(Kokoro(graph=graph, voices=("am_high",)), seed=1)
    assert one.details["voice"] == "am_high"


def test_two_sentences_are_read_one_after_the_other(tmp_path):
    engine = Kokoro(graph=tiny_kokoro.build(tmp_path, ("bf_low",)), speed=(1, 1))
    both = spoken(engine, text="Hello. Good day.").waveform.samples
    parts = [spoken(engine, text=text).waveform.samples for text in ("Hello.", "Good day.")]
    assert np.array_equal(both, np.concatenate(parts))


def test_what_is_missing_or_wrong_is_told(tmp_path):
    assert "no Kokoro graph is named" in Kokoro().check()[0].what
    assert "no /nowhere.onnx" in Kokoro(graph="/nowhere.onnx").check()[0].what
    graph = tiny_kokoro.build(tmp_path, ("zf_low",))
    assert "no English voice" in Kokoro(graph=graph).check()[0].what
    (tmp_path / "voices/af_cut.bin").write_bytes(b"\0" * 1000)
    with pytest.raises(UsageError, match="250 numbers, not rows of 256"):
        Kokoro(graph=graph).load()
    named = Kokoro(graph=graph, voices=("af_none", "af_cut")).check()
    assert len(named) == 1 and "no voice af_none in" in named[0].what
