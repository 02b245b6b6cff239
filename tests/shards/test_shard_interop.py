"""Other people's readers read our shards."""

from __future__ import annotations

import json
import tarfile

import pytest
from webdataset import shardlists, tariterators
from webdataset.pipeline import DataPipeline

from forensics.shards import write_shard


def test_webdataset_reads_every_item(shard):
    folder, name, items, _ = shard
    pipeline = DataPipeline(
        shardlists.SimpleShardList([str(folder / f"{name}.tar")]),
        tariterators.tarfile_to_samples(),
    )
    samples = list(pipeline)
    assert [sample["__key__"] for sample in samples] == [item.key for item in items]
    for sample, item in zip(samples, items, strict=True):
        assert sample[item.extension] == item.media
        assert sample.get("mask.png") == item.mask
        assert json.loads(sample["json"])["label"] == item.meta.label


@pytest.fixture
def hugging_face(tmp_path, monkeypatch):
    """HF `datasets`, offline, with its cache in the test's folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return pytest.importorskip("datasets", reason="needs the dev extra")


def stream(datasets, path, **options):
    return datasets.load_dataset(
        "webdataset", data_files=str(path), split="train", streaming=True, **options
    )


def test_hugging_face_datasets_streams_images_and_infers_the_metadata(
    tmp_path, hugging_face, make_item
):
    params = ({"block": 8}, {"offset": [3, 4]})
    items = [
        make_item(
            f"k-{n}", bytes([n]) * 999, "png", b"mask", modality="image", params=params[n % 2]
        )
        for n in range(7)
    ]
    write_shard(tmp_path, "x", items, split="train", plan="p")
    loaded = stream(hugging_face, tmp_path / "x.tar")
    raw = hugging_face.Image(decode=False)
    samples = list(loaded.cast_column("png", raw).cast_column("mask.png", raw))
    assert [sample["__key__"] for sample in samples] == [item.key for item in items]
    assert [sample["png"]["bytes"] for sample in samples] == [item.media for item in items]
    assert samples[0]["mask.png"]["bytes"] == b"mask"
    assert samples[6]["json"]["source_id"] == "s" and samples[6]["json"]["params"]["block"] == 8


def test_hugging_face_datasets_streams_speech_as_bytes(tmp_path, hugging_face, make_item):
    items = [make_item(f"k-{n}", media=bytes([n]) * 999) for n in range(7)]
    write_shard(tmp_path, "x", items, split="train", plan="p")
    text, binary = hugging_face.Value("string"), hugging_face.Value("binary")  # no decoder needed
    features = hugging_face.Features({"__key__": text, "flac": binary, "json": {"label": text}})
    samples = list(stream(hugging_face, tmp_path / "x.tar", features=features))
    assert [(s["__key__"], s["flac"]) for s in samples] == [(i.key, i.media) for i in items]
    assert {s["json"]["label"] for s in samples} == {"spoof"}


def test_tarfile_in_stream_mode_reads_it_to_the_end(shard):
    folder, name, items, _ = shard
    with tarfile.open(folder / f"{name}.tar", "r|") as tar:
        assert sum(1 for _ in tar) == 2 * len(items) + 1
