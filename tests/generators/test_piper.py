"""Piper, the real engine, with voices small enough to be built here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_piper

from forensics.errors import UsageError
from forensics.generators.base import SpeechRequest
from forensics.generators.speech.piper import Piper

ASK = SpeechRequest("k", 3, "Good morning. How are you today?", "en", None)


def loaded(**params):
    generator = Piper(**params)
    generator.load()
    return generator


def speak(generator, **changes):
    (result,) = generator.generate([replace(ASK, **changes)])
    if isinstance(result, Exception):
        raise result
    return result


def test_missing_voices_are_named(tmp_path):
    assert any("no Piper voice is named" in error.what for error in Piper().check())
    graph = tmp_path / "voice.onnx"
    graph.write_bytes(b"")
    (error,) = [e for e in Piper(voice=str(graph)).check() if "voice" in e.what]
    assert str(graph) + ".json" in error.what and error.what.count("no /") == 1
    assert "piper.download_voices" in (error.fix or "")


class TestEngine:
    @pytest.fixture(autouse=True)
    def needs_piper(self):
        pytest.importorskip("piper", reason="needs piper: pip install 'forensics[piper]'")

    def test_noise_is_seeded_per_item(self, tmp_path):
        # A session kept from one item to the next would draw on.
        generator = loaded(voice=tiny_piper.build(tmp_path), stretch=[1, 1])
        first = speak(generator).waveform.samples
        other = speak(generator, seed=4).waveform.samples
        assert np.array_equal(speak(generator).waveform.samples, first)
        assert len(other) == len(first) and not np.array_equal(other, first)

    def test_stretch_is_heard(self, tmp_path):
        voice = tiny_piper.build(tmp_path)
        plain, slow = (speak(loaded(voice=voice, stretch=[s, s])) for s in (1.0, 1.5))
        assert slow.waveform.duration_s == pytest.approx(1.5 * plain.waveform.duration_s)
        assert slow.details == {"speaker": 0, "stretch": 1.5}

    def test_the_text_is_read_by_its_phonemes(self, tmp_path):
        generator = loaded(voice=tiny_piper.build(tmp_path), stretch=[1, 1])
        spoken, spelled = (speak(generator, text=text) for text in ("the knight", "the night"))
        assert np.array_equal(spoken.waveform.samples, spelled.waveform.samples)

    def test_speakers_are_drawn(self, tmp_path):
        voice = tiny_piper.build(tmp_path, speakers=3)
        seen = {speak(loaded(voice=voice), seed=seed).details["speaker"] for seed in range(12)}
        assert seen == {0, 1, 2}
        chosen = loaded(voice=voice, speakers=[2])
        assert {speak(chosen, seed=seed).details["speaker"] for seed in range(5)} == {2}
        with pytest.raises(UsageError, match="no speaker 3"):
            loaded(voice=voice, speakers=[3])

    def test_the_voice_has_one_language(self, tmp_path):
        generator = loaded(voice=tiny_piper.build(tmp_path))
        speak(generator, language="en-GB")
        with pytest.raises(UsageError, match="reads 'en_US', the text is 'fr'"):
            speak(generator, language="fr")

    def test_voices_that_would_download_are_refused(self, tmp_path):
        voice = tiny_piper.build(tmp_path, phoneme_type="pinyin")
        with pytest.raises(UsageError, match="downloads its own models"):
            loaded(voice=voice)

    def test_the_fingerprint_covers_graph_and_settings(self, tmp_path):
        voice = tiny_piper.build(tmp_path)
        before = Piper(voice=voice).fingerprint()
        settings = Path(f"{voice}.json")
        settings.write_text(settings.read_text() + " ")
        changed = Piper(voice=voice).fingerprint()
        Path(voice).write_bytes(Path(voice).read_bytes() + b"\0")
        assert len({before, changed, Piper(voice=voice).fingerprint()}) == 3
