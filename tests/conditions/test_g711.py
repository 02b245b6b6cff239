"""G.711 against codewords of the recommendation, libsndfile and its own definition."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from forensics.conditions.g711 import G711, decode, encode, round_trip
from forensics.media.audio import Waveform

LAWS = ("mulaw", "alaw")
EVERY_OCTET = np.arange(256, dtype=np.uint8)

# (PCM, octet, PCM after decoding). Mu-law: 14-bit values of table 2 times 4; A-law: 13-bit values
# of table 1 times 8; octets with the inversions of the line.
GOLDEN = {
    "mulaw": [
        (0, 0xFF, 0), (-1, 0x7F, 0), (3, 0xFF, 0), (4, 0xFE, 8), (8, 0xFE, 8), (11, 0xFE, 8),
        (12, 0xFD, 16), (120, 0xF0, 120), (124, 0xEF, 132), (132, 0xEF, 132), (1000, 0xCE, 988),
        (-1000, 0x4E, -988), (32124, 0x80, 32124), (32767, 0x80, 32124), (-32124, 0x00, -32124),
        (-32768, 0x00, -32124),
    ],
    "alaw": [
        (0, 0xD5, 8), (8, 0xD5, 8), (15, 0xD5, 8), (16, 0xD4, 24), (-1, 0x55, -8), (-16, 0x55, -8),
        (-17, 0x54, -24), (504, 0xCA, 504), (512, 0xF5, 528), (1000, 0xFA, 1008),
        (-1000, 0x7A, -1008), (32767, 0xAA, 32256), (-32768, 0x2A, -32256),
    ],
}  # fmt: skip


@pytest.mark.parametrize("law", LAWS)
def test_golden_codewords(law):
    pcm, octets, decoded = (np.array(column) for column in zip(*GOLDEN[law], strict=True))
    np.testing.assert_array_equal(encode(pcm.astype(np.int16), law), octets)
    np.testing.assert_array_equal(decode(octets.astype(np.uint8), law), decoded)


@pytest.mark.parametrize(("law", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW")])
def test_every_codeword_decodes_as_libsndfile_does(law, subtype):
    raw = io.BytesIO(EVERY_OCTET.tobytes())
    theirs, _ = soundfile.read(
        raw, dtype="int16", samplerate=8000, channels=1, format="RAW", subtype=subtype
    )
    np.testing.assert_array_equal(decode(EVERY_OCTET, law), theirs)


@pytest.mark.parametrize("law", LAWS)
def test_codewords_survive_another_round_trip(law):
    again = encode(decode(EVERY_OCTET, law), law)
    # Mu-law has two zeros; only the positive one is ever sent for 0.
    expected = np.where((EVERY_OCTET == 0x7F) & (law == "mulaw"), 0xFF, EVERY_OCTET)
    np.testing.assert_array_equal(again, expected)


def decision_values(law: str) -> list[int]:
    """Where the octet of a positive int16 changes: segments of 16 steps, each twice as wide."""
    # Mu-law, 14-bit PCM: 1, 3, ... 31, 35, ... 95, 103, ... 7903 (8159 is the overload point).
    # A-law, 13-bit PCM: 2, 4, ... 64, 68, ... 128, 136, ... 3968 (4096 is the overload point).
    first, scale, counts = (1, 4, [15] + [16] * 7) if law == "mulaw" else (2, 8, [31] + [16] * 6)
    values = [first]
    for doubling, count in enumerate(counts):
        values += [values[-1] + (2 << doubling) * (k + 1) for k in range(count)]
    return [value * scale for value in values[:-1]]


@pytest.mark.parametrize("law", LAWS)
def test_decision_values(law):
    positive = np.arange(32768).astype(np.int16)
    octets = encode(positive, law)
    changes = np.flatnonzero(np.diff(octets.astype(int))) + 1
    np.testing.assert_array_equal(changes, decision_values(law))
    assert len(set(octets.tolist())) == 128
    np.testing.assert_array_equal(encode(~positive, law), octets ^ 0x80)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("level", (0.9, 0.1, 0.02))
def test_snr_on_a_sine(law, level):
    sine = level * np.sin(2 * np.pi * 1004 * np.arange(8000) / 8000)
    error = round_trip(sine, law) - sine
    assert 10 * np.log10(np.mean(sine**2) / np.mean(error**2)) > 30


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("rate", (8000, 16_000, 48_000))
def test_condition_on_a_sine_at_any_rate(law, rate):
    sine = (0.5 * np.sin(2 * np.pi * 1004 * np.arange(rate) / rate)).astype(np.float32)
    coded, drawn = G711(laws=(law,)).apply(Waveform(sine, rate), np.random.default_rng(0))
    assert drawn == {"law": law}
    inner = slice(rate // 20, -rate // 20)  # off the resampler's edges
    error = coded.samples[inner] - sine[inner]
    assert 30 < 10 * np.log10(np.mean(sine**2) / np.mean(error**2)) < 60
