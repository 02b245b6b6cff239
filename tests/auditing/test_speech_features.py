"""Each trivial feature answers its own question and is deaf to the others."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from forensics.auditing.features import ItemFacts
from forensics.auditing.speech_features import SPEECH, speech_features
from forensics.errors import MediaError

RATE = 16_000
FACTS = ItemFacts("a1-b2", "wav", None, {"language": "en"})


def encoded(samples, rate=RATE, container="WAV", subtype="PCM_16", **tags) -> bytes:
    buffer = io.BytesIO()
    buffer.name = f"x.{container.lower()}"
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(buffer, "w", rate, channels, subtype, format=container) as file:
        for name, value in tags.items():
            setattr(file, name, value)
        file.write(samples)
    return buffer.getvalue()


def of(samples, facts=FACTS, **how):
    return speech_features(encoded(samples, **how), facts)


@pytest.fixture
def clip(speech_like):
    return speech_like(1.5, RATE, seed=4)


def differing(a, b):
    return {key.partition(".")[0] for key in a.keys() | b.keys() if a.get(key) != b.get(key)}


def test_every_feature_belongs_to_a_family(clip):
    families = {family.name for family in SPEECH.families}
    found = {key.partition(".")[0] for key in of(clip, container="FLAC")}
    assert found == families


def test_gain_moves_the_level_alone(clip):
    assert differing(of(clip), of(clip * 0.5)) == {"level"}
    assert of(clip)["level.rms_dbfs"] - of(clip * 0.5)["level.rms_dbfs"] == pytest.approx(6.02, 0.1)


def test_offset_moves_dc(clip):
    rms = 10 ** (of(clip)["level.rms_dbfs"] / 20)
    assert of(clip)["dc.offset"] == pytest.approx(0, abs=0.01)
    moved = of(clip + np.float32(0.05 * rms))
    assert moved["dc.offset"] == pytest.approx(0.05, abs=0.005)


def test_silence_at_the_edges_is_measured_in_seconds(clip):
    rng = np.random.default_rng(0)
    tone = np.sin(np.arange(RATE) * 0.2) * 0.3
    quiet = 1e-4 * rng.standard_normal(RATE)
    found = of(np.concatenate([quiet[:4_800], tone, quiet[:3_200]]))
    assert found["silence.leading_s"] == pytest.approx(0.3, abs=0.011)
    assert found["silence.trailing_s"] == pytest.approx(0.2, abs=0.011)
    assert found["silence.zero_share"] == 0
    assert found["duration.seconds"] == 1.5


def test_digital_zeros_are_told_from_quiet(clip):
    holed = clip.copy()
    holed[8_000:8_160] = 0
    assert of(clip)["silence.longest_zero_s"] == 0
    assert of(holed)["silence.longest_zero_s"] == pytest.approx(0.01, abs=0.001)
    assert of(holed)["silence.zero_share"] == pytest.approx(160 / len(clip), rel=0.05)


def test_clipping_is_seen(clip):
    assert of(clip)["level.clipped_share"] == 0
    assert of(clip * 8)["level.clipped_share"] > 0.01


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_bits_in_use_are_counted(bits):
    noise = np.random.default_rng(0).normal(0, 0.2, RATE)
    step = 2.0 ** (bits - 1)
    found = of(np.clip(np.round(noise * step), -step, step - 1) / step)
    assert found["container.bits_used"] == bits
    assert found["container.odd_share"] == (0.5 if bits == 16 else 0.0)


def test_a_past_sampling_rate_leaves_a_cliff():
    import soxr

    rng = np.random.default_rng(0)
    narrow = soxr.resample(rng.normal(0, 0.1, 16_000), 8_000, RATE)
    found, wide = of(narrow), of(rng.normal(0, 0.1, 2 * RATE))
    assert found["bandwidth.edge_hz"] == pytest.approx(3_950, abs=250)
    assert found["bandwidth.edge_db"] > 30
    assert wide["bandwidth.edge_db"] == 0 and wide["bandwidth.edge_hz"] == 8_000
    assert wide["spectrum.rolloff_95_hz"] == pytest.approx(7_600, abs=100)


def test_length_of_pcm_says_nothing_about_the_container(clip):
    assert "container" not in differing(of(clip), of(clip[: RATE // 2]))
    flac = [of(part, container="FLAC") for part in (clip, clip[: RATE // 2])]
    assert "container" not in differing(*flac)
    assert "compression.bits_per_sample" in flac[0]


def test_containers_and_tags_tell():
    noise = np.random.default_rng(0).normal(0, 0.1, RATE)
    assert "container" in differing(of(noise), of(noise, container="FLAC"))
    assert "container" in differing(of(noise), of(noise, rate=22_050))
    tagged = of(noise, software="encoder 1.0")
    assert "encoder 1.0" in str(tagged["container.tag_software"])
    assert tagged["container.header_bytes"] > of(noise)["container.header_bytes"]
    lossy = of(noise, container="OGG", subtype="VORBIS")
    assert "container.bits_used" not in lossy and 1 < lossy["container.bits_per_sample"] < 16


def test_names_and_metadata_come_from_the_facts(clip):
    drawn = ({"use": "noise", "snr_db": 12.5, "kind": "babble"}, {"use": "opus", "kbps": 16})
    found = of(clip, ItemFacts("fake-07", "wav", 0.25, {"language": "de"}, drawn))
    assert (found["name.length"], found["name.digits"], found["name.count_a"]) == (7, 2, 1)
    assert found["name.position"] == 0.25
    assert found["metadata.language"] == "de"
    assert found["metadata.noise.snr_db"] == 12.5 and found["metadata.noise.kind"] == "babble"
    assert found["metadata.has_opus"] == 1 and found["metadata.conditions"] == 2


@pytest.mark.parametrize("count", [1, 2, 50, 300, 511, 600])
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_odd_clips_have_finite_features(count, value):
    found = of(np.full(count, value))
    found.pop("container.odd_share", None)  # too few samples to tell: NaN is the answer
    assert all(isinstance(value, str) or np.isfinite(value) for value in found.values())


def test_what_is_not_audio_is_an_error():
    with pytest.raises(MediaError):
        speech_features(b"not audio at all", FACTS)
