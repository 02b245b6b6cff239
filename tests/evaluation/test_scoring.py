"""Clips → scores: as a verdict has them, through channels, resumed, and in several processes."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import soundfile
from helpers import tiny_detector
from helpers.loudness_detector import Loudness, tone

from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.evaluation.clips import from_shards
from forensics.evaluation.contenders import contenders
from forensics.evaluation.protocols import read_protocol
from forensics.evaluation.scoring import score_clips
from forensics.evaluation.sweep import SWEEP, checked_conditions, degraded, fingerprint
from forensics.media.audio import Limits, Waveform, encode
from forensics.shards import Item, ItemMeta, write_shard
from forensics.verdict.detect import detect

LEVELS = {"a.wav": -30.0, "b.wav": -20.0, "c.wav": -26.0}


@pytest.fixture
def protocol(tmp_path):
    """Three clips of 1.5 s at known levels, one of them forged."""
    for seed, (name, level) in enumerate(LEVELS.items()):
        soundfile.write(tmp_path / name, tone(level, 1.5, seed=seed), 16_000, subtype="FLOAT")
    (tmp_path / "list.csv").write_text("path,label\na.wav,spoof\nb.wav,real\nc.wav,real\n")
    return tmp_path / "list.csv"


def test_scores_are_those_of_verdicts(protocol):
    detector = Loudness()
    scores = score_clips(contenders([detector]), read_protocol(protocol))
    verdicts = detect([protocol.parent / name for name in LEVELS], Loudness())
    raw = scores.raw["loudness", "clean"]
    assert raw.tolist() == [verdict.detectors[0].raw for verdict in verdicts]
    # 20 log10 of the RMS over -26 dBFS, worked by hand from the levels
    assert raw == pytest.approx([-4.0, 6.0, 0.0], abs=0.2)
    assert scores.unjudged == ()


def test_clips_that_cannot_be_judged_are_listed_and_stop_nothing(protocol):
    folder = protocol.parent
    soundfile.write(folder / "short.wav", tone(-26, 0.05), 16_000)
    soundfile.write(folder / "still.wav", np.zeros(16_000), 16_000)
    (folder / "text.wav").write_bytes(b"not audio at all")
    (folder / "dir.wav").mkdir()
    with protocol.open("a") as file:
        file.write("gone.wav,spoof\nshort.wav,real\nstill.wav,real\ntext.wav,spoof\ndir.wav,real\n")
    scores = score_clips(contenders([Loudness()]), read_protocol(protocol), ["noise20"])
    assert np.isfinite(scores.raw["loudness", "clean"]).tolist() == [True] * 3 + [False] * 5
    found = {(one.key, one.condition): one.reason for one in scores.unjudged}
    assert found["gone.wav", "clean"] == found["gone.wav", "noise20"] == "not_found"
    assert found["short.wav", "clean"] == "too_short"
    assert found["still.wav", "clean"] == "silent"
    assert found["text.wav", "noise20"] == "not_media"
    assert found["dir.wav", "clean"] == "not_readable"
    assert len(found) == 10


def test_an_interrupted_run_goes_on_and_only_with_what_it_lacks(protocol, tmp_path):
    log = tmp_path / "out" / "scores.jsonl"
    clips = read_protocol(protocol)
    first = score_clips(contenders([Loudness()]), clips, ["noise20"], log=log)
    lines = log.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    # killed while the fifth line was written
    log.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    again = Loudness()
    second = score_clips(contenders([again]), clips, ["noise20"], log=log)
    for name, values in first.raw.items():
        assert second.raw[name].tolist() == values.tolist()
    assert again.scored == 2 * 2  # two clips of two windows each
    assert sorted(log.read_bytes().splitlines(keepends=True)) == sorted(lines)
    row = json.loads(lines[0])
    assert row["sha256"] in {
        hashlib.sha256((protocol.parent / name).read_bytes()).hexdigest() for name in LEVELS
    }


def test_a_log_belongs_to_weights_and_to_the_parameters_of_a_channel(protocol, tmp_path):
    log = tmp_path / "scores.jsonl"
    clips = read_protocol(protocol)
    score_clips(contenders([Loudness()]), clips, log=log)
    retrained = Loudness(weights="1" * 64, slope=2.0)
    scores = score_clips(contenders([retrained]), clips, log=log)
    assert scores.raw["loudness", "clean"] == pytest.approx([-8.0, 12.0, 0.0], abs=0.4)
    assert fingerprint("opus") == '{"use":"opus","params":{"kbps":[16,16]}}'


def test_failures_are_tried_again(protocol, tmp_path):
    log = tmp_path / "scores.jsonl"
    lost = protocol.parent / "c.wav"
    content = lost.read_bytes()
    lost.unlink()
    clips = read_protocol(protocol)
    assert len(score_clips(contenders([Loudness()]), clips, log=log).unjudged) == 1
    lost.write_bytes(content)
    again = Loudness()
    assert score_clips(contenders([again]), clips, log=log).unjudged == ()
    assert again.scored == 2


def test_a_damaged_log_is_refused(protocol, tmp_path):
    log = tmp_path / "scores.jsonl"
    log.write_text('{"no": "score"}\n')
    with pytest.raises(CorpusError, match="line 1"):
        score_clips(contenders([Loudness()]), read_protocol(protocol), log=log)


def test_two_detectors_hear_the_same_channel(protocol):
    one, other = Loudness("one"), Loudness("other", slope=-1.0)
    scores = score_clips(contenders([one, other]), read_protocol(protocol), ["noise20", "reverb"])
    assert set(scores.raw) == {
        (name, condition)
        for name in ("one", "other")
        for condition in ("clean", "noise20", "reverb")
    }
    for condition in ("clean", "noise20", "reverb"):
        assert scores.raw["one", condition].tolist() == (-scores.raw["other", condition]).tolist()
    # noise 20 dB below adds 10 log10(1 + 10^-2) = 0.043 dB
    risen = scores.raw["one", "noise20"] - scores.raw["one", "clean"]
    assert risen == pytest.approx([0.043] * 3, abs=0.02)


@pytest.mark.parametrize("condition", SWEEP)
def test_every_channel_of_the_table_works_and_repeats_itself(tmp_path, condition):
    wave = Waveform(tone(-26, 1.0), 16_000)
    media = encode(wave, "wav")
    one, again, other = (degraded(media, key, condition, Limits()) for key in ("a", "a", "b"))
    assert np.array_equal(one.samples, again.samples)
    assert len(one.samples) == len(wave.samples)
    assert not np.array_equal(one.samples, wave.samples)
    drawn = condition in ("noise20", "noise10", "reverb")
    assert np.array_equal(one.samples, other.samples) != drawn


def test_conditions_are_checked_before_the_work():
    assert checked_conditions(["opus", "clean", "opus"]) == ("clean", "opus")
    with pytest.raises(UsageError, match="no condition 'radio'") as error:
        checked_conditions(["radio"])
    assert "noise20" in str(error.value)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return tiny_detector.save(tmp_path_factory.mktemp("weights") / "tiny")


def test_processes_give_what_one_gives(protocol, weights):
    clips = read_protocol(protocol)
    alone = score_clips(contenders([weights]), clips, ["telephone"])
    shared = score_clips(contenders([str(weights)]), clips, ["telephone"], workers=2)
    assert alone.raw.keys() == shared.raw.keys() == {("tiny", "clean"), ("tiny", "telephone")}
    for name, values in alone.raw.items():
        assert shared.raw[name] == pytest.approx(values, abs=1e-5)


def test_what_can_be_named_as_a_detector(weights, protocol):
    named = contenders(["speech-default", weights])
    assert [one.label for one in named] == ["speech-default", "tiny"]
    assert named[1].name == "aasist-l" and len(named[1].bundle.weights_sha256) == 64
    assert contenders(["aasist-l"], weights)[0].label == "aasist-l"
    with pytest.raises(UsageError, match="two detectors are called 'tiny'"):
        contenders([weights, str(weights)])
    with pytest.raises(UsageError, match="several detectors"):
        contenders(["speech-default", "aasist-l"], weights)
    with pytest.raises(MissingRequirement, match="no weights"):
        contenders(["aasist"])
    with pytest.raises(UsageError, match="one process"):
        score_clips(contenders([Loudness()]), read_protocol(protocol), workers=2)


def item(key: str, level: float, split: str, label: str = "spoof", **fields) -> Item:
    media = encode(Waveform(tone(level, seed=len(key)), 16_000), "wav")
    meta = {
        "label": label,
        "modality": "speech",
        "system": "bonafide" if label == "bonafide" else "world",
        "system_version": "1",
        "kind": "bonafide" if label == "bonafide" else "vocoder",
        "source_id": key,
        "group": "speaker-1",
        "domain": "read",
        "split": split,
        "seed": 1,
        "licence": "CC0-1.0",
        "parent": "0" * 64,
        "sha256": hashlib.sha256(media).hexdigest(),
    }
    return Item(key, "wav", media, ItemMeta(**(meta | fields)))


def test_shards_are_read_by_split_and_only_where_needed(tmp_path):
    folder = tmp_path / "corpus" / "shards"
    train = [item("k-0", -20, "train")]
    test = [item("k-1", -26, "test", "bonafide"), item("k-2", -30, "test", group="speaker-2")]
    write_shard(folder, "x-0", train, split="train", plan="p")
    write_shard(folder, "x-1", test, split="test", plan="p")
    (folder / "x-2.tar").write_bytes(b"unfinished")
    clips = from_shards(tmp_path / "corpus")
    assert [clip.key for clip in clips.clips] == ["k-0", "k-1", "k-2"]
    assert clips.notes == ("1 shards without a sidecar were left out",)
    chosen = clips.of_split("test")
    real, forged = chosen.clips
    assert (real.system, forged.system, forged.kind) == ("bonafide", "world", "vocoder")
    assert (forged.group, forged.source, real.sha256) == ("speaker-2", "read", test[0].meta.sha256)
    assert [(place, media == test[1].media) for place, media in chosen.read([1])] == [(1, True)]
    scores = score_clips(contenders([Loudness()]), chosen)
    assert scores.raw["loudness", "clean"] == pytest.approx([0.0, -4.0], abs=0.1)
    by_speaker = from_shards(tmp_path / "corpus", {"source": "group"})
    assert by_speaker.clips[2].source == "speaker-2"
    with pytest.raises(UsageError, match="split 'dev'"):
        clips.of_split("dev")
    with pytest.raises(UsageError, match="no field 'colour'"):
        from_shards(tmp_path / "corpus", {"source": "colour"})
    with pytest.raises(UsageError, match="no finished shards"):
        from_shards(tmp_path)
