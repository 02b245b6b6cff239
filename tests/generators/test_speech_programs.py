"""flite and festival, the real programs; skipped where they are not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from forensics.errors import ForensicsError, UsageError
from forensics.generators.base import SpeechRequest
from forensics.generators.speech.common import ascii_text, speak_to_file
from forensics.generators.speech.festival import Festival, voice_folders
from forensics.generators.speech.flite import Flite

ASK = SpeechRequest("k", 3, "Good morning, how are you today?", "en", None)

needs_flite = pytest.mark.skipif(
    shutil.which("flite") is None, reason="needs flite: apt-get install flite"
)
needs_festival = pytest.mark.skipif(
    shutil.which("text2wave") is None or "kal_diphone" not in voice_folders(),
    reason="needs festival and kal_diphone: apt-get install festival festvox-kallpc16k",
)
ENGINES = [pytest.param(Flite, marks=needs_flite), pytest.param(Festival, marks=needs_festival)]


def speak(generator, **changes):
    (result,) = generator.generate([replace(ASK, **changes)])
    if isinstance(result, Exception):
        raise result
    return result


def loaded(cls, **params):
    generator = cls(**params)
    generator.load()
    return generator


@pytest.mark.parametrize("cls", ENGINES)
def test_text_never_reaches_a_shell_or_an_option(cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = loaded(cls)
    for text in ("$(touch a) `touch b` hello", "hello; touch c", "-o d hello", "hello' (exit) \"x"):
        assert speak(generator, text=text).waveform.duration_s > 0.3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cls", ENGINES)
def test_stretch_is_heard_and_reported(cls):
    quick, slow = (speak(loaded(cls, stretch=[s, s])) for s in (0.8, 1.5))
    assert slow.waveform.duration_s > 1.3 * quick.waveform.duration_s
    assert slow.details["stretch"] == 1.5


@pytest.mark.parametrize("cls", ENGINES)
def test_other_languages_are_refused(cls):
    with pytest.raises(UsageError, match="the text is 'de'"):
        speak(loaded(cls), language="de")
    with pytest.raises(UsageError, match="no text to speak"):
        speak(loaded(cls), text="早上好")


@pytest.mark.parametrize("cls", ENGINES)
def test_typographic_text_reads_as_plain_text(cls):
    generator = loaded(cls)
    fancy = speak(generator, text="“Don’t go to the café,” she said.").waveform.samples
    plain = speak(generator, text='"Don\'t go to the cafe," she said.').waveform.samples
    assert np.array_equal(fancy, plain)


@pytest.mark.parametrize("cls", ENGINES)
def test_too_slow_is_an_error_of_the_item(cls):
    (result,) = cls(timeout_s=0.001).generate([ASK])
    assert isinstance(result, ForensicsError) and "timeout_s" in (result.fix or "")


@needs_flite
def test_flite_voices():
    generator = loaded(Flite)
    made = [speak(generator, seed=seed) for seed in range(12)]
    assert {g.details["voice"] for g in made} == {"kal16", "slt", "rms", "awb"}
    assert {g.waveform.sampling_rate for g in made} == {16_000}
    assert speak(loaded(Flite, voices=["kal"])).waveform.sampling_rate == 8000


@needs_flite
@pytest.mark.parametrize(
    "voice", ["nobody", "http://localhost/voice.flitevox", "/no/such.flitevox"]
)
def test_flite_unknown_voice(voice):
    # flite itself speaks with its 8 kHz voice and exits with 0, or fetches the address.
    with pytest.raises(UsageError) as caught:
        loaded(Flite, voices=[voice])
    assert "slt" in (caught.value.fix or "")


@needs_flite
def test_flite_voice_from_a_file(tmp_path):
    file = tmp_path / "slt.flitevox"
    subprocess.run(
        ["flite", "-voice", "slt", "-voicedump", str(file), "-t", "x", "none"], timeout=60
    )
    if not file.is_file():
        pytest.skip("this flite cannot dump a voice")
    from_file = loaded(Flite, voices=[str(file)], stretch=[1, 1])
    built_in = loaded(Flite, voices=["slt"], stretch=[1, 1])
    assert np.array_equal(speak(from_file).waveform.samples, speak(built_in).waveform.samples)
    before = from_file.fingerprint()
    assert before != built_in.fingerprint()
    file.write_bytes(file.read_bytes() + b"x")
    assert from_file.fingerprint() != before


@needs_festival
def test_festival_voice_that_is_not_installed():
    (lack,) = Festival(voices=["kal_diphone", "no_such_voice"]).check()
    assert "no_such_voice" in lack.what and "festvox" in (lack.fix or "")


@needs_festival
def test_festival_fingerprint_names_release_and_voice():
    fingerprint = Festival().fingerprint()
    assert "Festival Speech Synthesis System" in fingerprint
    assert len(fingerprint.rpartition(";")[2]) == 64


def test_festival_voice_names_cannot_be_code():
    with pytest.raises(ValueError, match="no Festival voice name"):
        Festival(voices=['x) (system "touch y"'])


@needs_festival
def test_the_users_start_up_file_is_not_read(tmp_path, monkeypatch):
    expected = speak(loaded(Festival)).waveform.samples
    (tmp_path / ".festivalrc").write_text("(Parameter.set 'Synth_Method 'none) (exit)")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert np.array_equal(speak(loaded(Festival)).waveform.samples, expected)


def test_a_program_that_writes_nothing_is_an_error():
    with pytest.raises(ForensicsError, match="wrote no audio for 'hello'"):
        speak_to_file("hello", lambda text, wav: ["true", text, wav], timeout_s=10)


def test_text_reaches_a_program_as_a_file():
    script = (
        "import sys, soundfile, numpy; said = open(sys.argv[1], encoding='utf-8').read();"
        "soundfile.write(sys.argv[2], numpy.full(len(said), 0.5), 8000)"
    )
    wave = speak_to_file("ab", lambda t, w: [sys.executable, "-c", script, t, w], timeout_s=60)
    assert (len(wave.samples), wave.sampling_rate) == (len("ab\n"), 8000)


def test_ascii_text():
    assert (
        ascii_text("Zoë’s naïve “plan” – 5 €… Straße 北") == 'Zoe\'s naive "plan" - 5 ... Strasse '
    )
