"""The public API as a user's own script calls it: build, read, query, audit, judge."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from helpers.frames import write_frames

import forensics
from forensics.demo.run import run_demo
from forensics.shards.dataset import decode


@pytest.fixture(scope="module")
def speech(tmp_path_factory, speech_like):
    """Four recordings of four speakers, with transcripts beside two of them."""
    root = tmp_path_factory.mktemp("api") / "speech"
    for number in range(4):
        place = root / f"speaker{number}"
        place.mkdir(parents=True)
        soundfile.write(place / "clip.wav", speech_like(2.5, 16_000, seed=number), 16_000)
        if number % 2:
            (place / "clip.txt").write_text("Good evening, this is a short recording.")
    return root


@pytest.fixture(scope="module")
def corpus(speech):
    """The shipped audeter pipeline with whatever engines run on this machine."""
    out = speech.parent / "corpus"
    result = forensics.build_dataset("audeter", speech, out, workers=2)
    assert result.items == 4 * (1 + len(result.plan.systems)) - result.failed
    assert {"espeak", "griffinlim", "lpc"} <= {system.name for system in result.plan.systems}
    return out


def test_shards_feed_a_training_script(corpus):
    dataset = forensics.shards.open(corpus, seed=3)
    clips = [decode(item) for item in dataset]
    assert len(clips) == len(dataset)
    assert {label for _, _, label in clips} == {0, 1}
    assert all(rate == 16_000 and samples.dtype == np.float32 for samples, rate, _ in clips)


def test_the_manifest_answers_queries(corpus):
    table = pq.read_table(corpus / "manifest.parquet").to_pylist()
    info = json.loads((corpus / "info.json").read_text())
    assert len(table) == sum(split["items"] for split in info["splits"].values())
    assert {row["label"] for row in table} == {"bonafide", "spoof"}
    spoken = {row["text"] for row in table if row["source_id"].startswith("clip")}
    assert "Good evening, this is a short recording." in spoken
    assert all(json.loads(row["params"]) is not None for row in table)


def test_a_small_corpus_is_never_passed(corpus):
    assert forensics.audit(corpus).status == "inconclusive"


def test_files_bytes_and_samples_are_judged_alike(speech):
    path = speech / "speaker0" / "clip.wav"
    samples, rate = soundfile.read(path, dtype="float32")
    detector = forensics.load_detector()
    verdicts = forensics.detect([path, path.read_bytes(), (samples, rate)], detector)
    assert len({round(verdict.llr, 4) for verdict in verdicts}) == 1
    assert all(verdict.label in ("manipulated", "uncertain", "bonafide") for verdict in verdicts)


@pytest.fixture(scope="module")
def demo(speech, tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("demo") / "demo", speech)


def test_the_demo_with_recordings_leaves_a_page(demo):
    page = (demo.folder / "index.html").read_text()
    assert "4 of 4 recordings" in page and page.count("data:audio/wav") == len(demo.family)
    assert (demo.folder / "audit.html").is_file()
    assert (demo.folder / "verdicts.html").is_file()


def test_the_demo_without_recordings_says_what_it_lacks(demo, tmp_path):
    people = demo.people.build  # there already, as after an earlier demo
    shutil.copytree(people.out, tmp_path / "demo" / "people-corpus")
    frames = write_frames(tmp_path / "frames", cameras=3, each=3)
    result = run_demo(tmp_path / "demo", None, frames=frames)
    assert (result.people.build.built, result.people.build.reused) == (0, people.built)
    assert result.images.source_note == str(frames) and result.images.build.items > 9
    assert {item.meta.label for item, _ in result.clips} == {"spoof"}
    assert result.audit.status == "inconclusive"
    assert "nothing in it is bona fide" in (tmp_path / "demo" / "index.html").read_text()
