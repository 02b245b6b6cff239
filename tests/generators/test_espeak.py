"""eSpeak NG through its C API, in a process per utterance."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forensics.errors import ForensicsError, UsageError
from forensics.generators.base import SpeechRequest
from forensics.generators.speech.common import run_program
from forensics.generators.speech.espeak import Espeak
from forensics.generators.speech.espeak_voices import VoiceTable

espeakng_loader = pytest.importorskip("espeakng_loader")

ASK = SpeechRequest("k", 3, "Good morning, how are you today?", "en", None)


@pytest.fixture(scope="module")
def table():
    return VoiceTable.read(Path(espeakng_loader.get_data_path()))


def loaded(**params):
    generator = Espeak(**params)
    generator.load()
    return generator


def speak(generator, **changes):
    (result,) = generator.generate([replace(ASK, **changes)])
    if isinstance(result, Exception):
        raise result
    return result


def samples(generator, **changes):
    return speak(generator, **changes).waveform.samples


def fundamental(wave) -> float:
    """Hz, from the strongest peak of the autocorrelation of the loudest 50 ms."""
    rate, size = wave.sampling_rate, wave.sampling_rate // 20
    frames = np.lib.stride_tricks.sliding_window_view(wave.samples, size)[:: size // 4]
    frame = frames[np.argmax(np.sum(frames**2, axis=1))] * np.hanning(size)
    curve = np.correlate(frame, frame, "full")[size - 1 :]
    low, high = rate // 400, rate // 60
    return rate / (low + np.argmax(curve[low:high]))


def test_what_was_said_before_leaves_no_trace():
    # Whispers, echo and Klatt's synthesiser leave state behind within one engine process.
    generator = loaded(voices=["en-us+f3"])
    whisper, klatt = loaded(voices=["de+whisper"]), loaded(voices=["en-us+klatt"])
    first = samples(generator)
    samples(whisper, text="Guten Tag!", language="de")
    samples(klatt, text="Something else entirely, and for rather longer.")
    assert np.array_equal(samples(generator), first)


def test_rate_and_pitch_are_drawn_from_their_ranges_and_reported():
    generator = loaded(rate_wpm=[120, 260], pitch=[10, 90])
    drawn = [speak(generator, seed=seed).details for seed in range(12)]
    assert len({d["voice"] for d in drawn}) > 3
    assert all(120 <= d["rate_wpm"] <= 260 and 10 <= d["pitch"] <= 90 for d in drawn)
    assert len({d["rate_wpm"] for d in drawn}) > 8 and len({d["pitch"] for d in drawn}) > 8


def test_rate_and_pitch_are_heard():
    slow = speak(loaded(voices=["en-us"], rate_wpm=[100, 100], pitch=[20, 20]))
    fast = speak(loaded(voices=["en-us"], rate_wpm=[250, 250], pitch=[80, 80]))
    assert slow.waveform.duration_s > 1.7 * fast.waveform.duration_s
    assert fundamental(fast.waveform) > 1.3 * fundamental(slow.waveform)


def test_voice_and_variant_are_heard():
    heard = {
        hashlib.sha256(samples(loaded(voices=[voice]))).hexdigest()
        for voice in ("en-us", "en-gb", "en-us+f3", "en-us+m3", "en-gb-scotland")
    }
    assert len(heard) == 5


@pytest.mark.parametrize(
    ("language", "base"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("zh-CN", "zh"),
        ("pt-BR", "pt-br"),
        ("nb", "nb"),
        ("AM", "am"),
    ],
)
def test_other_languages_get_their_own_voice_and_keep_the_variants(language, base):
    detail = speak(loaded(voices=["en-us+f3", "en-gb+f3"]), language=language).details
    assert detail["voice"] == f"{base}+f3"


def test_named_voices_of_the_language_are_preferred():
    generator = loaded(voices=["en-us", "fr-be+f2", "en-gb"])
    assert {speak(generator, language="fr", seed=s).details["voice"] for s in range(6)} == {
        "fr-be+f2"
    }
    assert {speak(generator, language="en_GB", seed=s).details["voice"] for s in range(8)} == {
        "en-us",
        "en-gb",
    }


def test_a_language_that_it_does_not_speak():
    with pytest.raises(UsageError, match="does not speak 'xx'"):
        speak(loaded(), language="xx")


@pytest.mark.parametrize(
    ("voice", "hint"),
    [("en-zz", "en-us"), ("qq", "e.g. en-us"), ("en-us+nobody", "f3"), ("../voices/!v/f3", "")],
)
def test_an_unknown_voice_is_an_error_before_any_work(voice, hint):
    with pytest.raises(UsageError) as caught:
        Espeak(voices=[voice]).load()
    assert repr(voice) in caught.value.what and hint in (caught.value.fix or "")


def test_every_default_voice_exists(table):
    for voice in Espeak().params.voices:
        assert table.languages[table.file(voice).partition("+")[0]] == {"en"}


def test_text_is_text():
    generator = loaded(voices=["en-us"])
    plain = speak(generator, text="one two").waveform.duration_s
    assert np.array_equal(
        samples(generator, text=" one\n\ttwo \0 "), samples(generator, text="one two")
    )
    # Neither markup nor phoneme input is interpreted: the marks' names and letters are read out.
    marked = speak(generator, text='one <break time="9s"/> two').waveform.duration_s
    assert plain < marked < plain + 4


def test_a_data_folder_with_a_long_path(tmp_path, monkeypatch):
    # The engine cuts data paths at 160 characters and then looks where it was compiled.
    expected = samples(loaded(voices=["en-us"]))
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    (deep / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(deep / "espeak-ng-data"))
    assert np.array_equal(samples(loaded(voices=["en-us"])), expected)


def test_a_broken_data_folder_is_reported(tmp_path, monkeypatch):
    generator = loaded()
    generator._data = tmp_path / "espeak-ng-data"
    with pytest.raises(ForensicsError, match="cannot use its data folder"):
        speak(generator)


def test_programs_that_fail_or_hang_are_errors():
    with pytest.raises(ForensicsError, match="no luck"):
        run_program([sys.executable, "-c", "raise SystemExit('no luck')"], timeout_s=20)
    with pytest.raises(ForensicsError, match=r"longer than 0\.3 s"):
        run_program([sys.executable, "-c", "import time; time.sleep(30)"], timeout_s=0.3)
    with pytest.raises(ForensicsError, match="not on PATH"):
        run_program(["no-such-program-here"], timeout_s=1)
