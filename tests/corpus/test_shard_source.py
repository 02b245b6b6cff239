"""Shards of others as a source: what is read of them, and what is refused."""

from __future__ import annotations

import pytest
import webdataset

from forensics.corpus.speech.source import load_source
from forensics.errors import CorpusError, UsageError
from forensics.media.audio import Waveform, encode


@pytest.fixture
def shard(tmp_path, speech_like):
    """`shard(name, samples)` writes a tar with webdataset; every sample gets its own sound."""

    def write(name, samples):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with webdataset.TarWriter(str(path)) as sink:
            for number, sample in enumerate(samples):
                wave = Waveform(speech_like(1.5, 16_000, seed=number), 16_000)
                sink.write({"__key__": f"k{number}", "wav": encode(wave, "wav"), **sample})
        return tmp_path

    return write


def test_fields_are_read_and_spans_point_at_the_recordings(shard):
    root = shard("a.tar", [{"json": {"speaker": 0, "split": "dev"}, "txt": "some words"}])
    (found,) = load_source(root).items
    assert (found.group, found.split, found.text) == ("0", "dev", "some words")
    assert found.duration_s == 1.5
    assert found.span is not None
    offset, size = found.span
    assert (root / found.path).read_bytes()[offset : offset + 4] == b"RIFF" and size > 48_000


def test_spoofs_are_left_out_and_said(shard):
    root = shard("a.tar", [{"json": {"label": "spoof"}}, {"json": {"label": "real"}}])
    source = load_source(root)
    assert len(source.items) == 1
    assert any("1 samples are spoofs" in note for note in source.notes)


@pytest.mark.parametrize(
    ("sample", "complaint"),
    [
        ({"json": {"label": 0}}, "label 0 is not known"),
        ({"json": {"label": False}}, "label False is not known"),
        ({"cls": 1}, "class number"),
        ({"json": {"split": "validation"}}, "split 'validation'"),
    ],
)
def test_what_could_be_misread_is_refused(shard, sample, complaint):
    with pytest.raises(UsageError, match=complaint):
        load_source(shard("a.tar", [sample]))


def test_equal_names_in_two_folders_stay_apart(shard):
    shard("p/a.tar", [{"json": {"speaker": "x"}}])
    root = shard("q/a.tar", [{"json": {"speaker": "y"}}])
    assert len({u.id for u in load_source(root).items}) == 2


def test_shards_beside_recordings_are_ambiguous(shard):
    root = shard("a.tar", [{}])
    (root / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(UsageError, match=r"holds shards .* and recordings"):
        load_source(root)


def test_a_damaged_shard_is_named(shard):
    root = shard("a.tar", [{}, {}])
    tar = root / "a.tar"
    tar.write_bytes(tar.read_bytes()[:60_000])
    with pytest.raises(CorpusError, match=r"a\.tar"):
        load_source(root)
