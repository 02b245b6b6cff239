from __future__ import annotations

import io
import struct
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from forensics import shards
from forensics.errors import CorpusError, MediaError, UsageError
from forensics.media.audio import Limits, Waveform, encode
from forensics.shards import write_shard
from forensics.shards.dataset import decode
from forensics.shards.format import canonical_json

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

COUNTS = (7, 1, 12, 0, 9)  # of the train shards; 29 items
TOTAL = sum(COUNTS)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Five train shards of unequal sizes and one dev shard, as a finished build leaves them."""
    from hashlib import sha256

    from forensics.shards import Item, ItemMeta

    root = tmp_path_factory.mktemp("corpus")

    def item(key, number, split):
        media = f"{key} media".encode() * 20
        meta = ItemMeta(
            label="bonafide" if number % 3 == 0 else "spoof",
            modality="speech",
            system=("bonafide", "griffinlim", "world")[number % 3],
            system_version="1",
            kind="vocoder",
            source_id=key,
            group="g",
            domain="d",
            split=split,
            seed=number,
            licence="CC0-1.0",
            parent="p",
            sha256=sha256(media).hexdigest(),
        )
        return Item(key, "flac", media, meta)

    entries = []
    for number, (split, count) in enumerate([("train", c) for c in COUNTS] + [("dev", 4)]):
        name = f"{split}-{number:06d}"
        items = [item(f"{split}-{number}-{i:03d}", i, split) for i in range(count)]
        write_shard(root / "shards", name, items, split=split, plan="plan-1")
        entries.append({"name": name, "split": split})
    (root / "plan.json").write_bytes(canonical_json({"shards": entries, "hash": "plan-1"}))
    return root


def keys(dataset, workers: int = 0, batch_size: int = 3, **options) -> list[str]:
    loader = DataLoader(
        dataset, batch_size=batch_size, num_workers=workers, collate_fn=list, **options
    )
    return [item.key for batch in loader for item in batch]


def test_without_shuffling_the_order_is_that_of_the_shards(corpus):
    dataset = shards.open(corpus, "train", shuffle=False)
    found = [item.key for item in dataset]
    assert found == sorted(found) and len(found) == len(dataset) == TOTAL
    assert len(shards.open(corpus)) == TOTAL + 4
    assert {item.meta.split for item in shards.open(corpus, "dev")} == {"dev"}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("workers", [0, 1, 2, 4, 7])
def test_no_sample_is_lost_or_doubled_over_workers(corpus, workers, shuffle):
    dataset = shards.open(corpus, "train", shuffle=shuffle, shuffle_buffer=8)
    found = keys(dataset, workers)
    assert len(found) == TOTAL and len(set(found)) == TOTAL
    assert set(found) == {item.key for item in shards.open(corpus, "train", shuffle=False)}


@pytest.mark.parametrize("world", [1, 2, 3, 4, 7, 29])
def test_drop_gives_equal_and_disjoint_shares(corpus, world):
    shares = []
    for rank in range(world):
        dataset = shards.open(corpus, "train", rank=rank, world_size=world)
        found = [item.key for item in dataset]
        assert len(found) == len(dataset) == TOTAL // world
        shares.append(found)
    everything = [key for share in shares for key in share]
    assert len(everything) == len(set(everything)) == TOTAL // world * world


@pytest.mark.parametrize("world", [1, 2, 3, 4, 7, 40])
def test_wrap_gives_equal_shares_that_cover_everything(corpus, world):
    counts: Counter[str] = Counter()
    for rank in range(world):
        dataset = shards.open(corpus, "train", rank=rank, world_size=world, remainder="wrap")
        found = [item.key for item in dataset]
        assert len(found) == len(dataset) == -(-TOTAL // world)
        counts.update(found)
    assert len(counts) == TOTAL and counts.total() - TOTAL < world
    assert max(counts.values()) <= 2


def test_ranks_and_workers_together(corpus):
    found = []
    for rank in range(2):
        dataset = shards.open(corpus, "train", rank=rank, world_size=2, shuffle_buffer=5)
        found += keys(dataset, workers=2)
    assert len(found) == len(set(found)) == TOTAL // 2 * 2


def test_what_drop_leaves_out_changes_with_the_epoch(corpus):
    left_out = set()
    for epoch in range(6):
        given = set()
        for rank in range(4):
            dataset = shards.open(corpus, "train", rank=rank, world_size=4)
            dataset.set_epoch(epoch)
            given |= {item.key for item in dataset}
        left_out.add(frozenset({i.key for i in shards.open(corpus, "train")} - given))
    assert len(left_out) > 1


def test_more_ranks_than_samples_need_wrap(corpus):
    with pytest.raises(UsageError, match="29 samples cannot be shared by 30 ranks"):
        shards.open(corpus, "train", rank=0, world_size=30)


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_differ_and_each_is_repeatable(corpus, workers):
    dataset = shards.open(corpus, "train", seed=5, shuffle_buffer=8)
    orders = []
    for epoch in (0, 1, 2, 1):
        dataset.set_epoch(epoch)
        orders.append(keys(dataset, workers))
    assert orders[1] == orders[3] != sorted(orders[1])
    assert len({tuple(order) for order in orders}) == 3
    assert keys(dataset, workers) == orders[3]  # until told otherwise
    again = shards.open(corpus, "train", seed=5, shuffle_buffer=8)
    assert keys(again, workers) == orders[0]
    other = shards.open(corpus, "train", seed=6, shuffle_buffer=8)
    assert keys(other, workers) != orders[0]


def test_workers_that_outlive_an_epoch_see_the_next_one(corpus):
    dataset = shards.open(corpus, "train", shuffle_buffer=8)
    loader = DataLoader(
        dataset, batch_size=3, num_workers=2, collate_fn=list, persistent_workers=True
    )
    orders = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        orders.append([item.key for batch in loader for item in batch])
    assert orders[0] == orders[2] != orders[1]


@pytest.mark.parametrize("workers", [0, 2, 4])
@pytest.mark.parametrize("done", [0, 1, 3, 5, 8, 9])
def test_an_epoch_goes_on_where_it_stopped(corpus, workers, done):
    dataset = shards.open(corpus, "train", shuffle_buffer=8)
    dataset.set_epoch(3)
    loader = DataLoader(dataset, batch_size=3, num_workers=workers, collate_fn=list)
    batches = [[item.key for item in batch] for batch in loader]
    dataset.set_epoch(3, batches_done=done, batch_size=3)
    rest = keys(dataset, workers)
    assert sorted(rest) == sorted(key for batch in batches[done:] for key in batch)
    if workers == 0:
        assert rest == [key for batch in batches[done:] for key in batch]


def test_where_filters_by_metadata(corpus):
    spoofs = list(shards.open(corpus, "train", where={"label": "spoof"}))
    assert len(spoofs) == 18 and {item.meta.label for item in spoofs} == {"spoof"}
    both = {"system": ["world", "griffinlim"], "seed": {1, 4}}
    dataset = shards.open(corpus, "train", where=both)
    assert {item.meta.seed for item in dataset} == {1, 4}
    assert sorted(keys(dataset, workers=2)) == sorted(item.key for item in dataset)
    assert len(keys(dataset)) == len(dataset)
    with pytest.raises(UsageError, match="no field 'speaker'"):
        shards.open(corpus, where={"speaker": "x"})
    with pytest.raises(UsageError, match="no sample"):
        shards.open(corpus, where={"label": "real"})


def test_the_ranks_of_the_environment_are_taken(corpus, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    dataset = shards.open(corpus, "train")
    assert (dataset.rank, dataset.world_size, len(dataset)) == (1, 3, TOTAL // 3)
    assert len(shards.open(corpus, "train", rank=0, world_size=1)) == TOTAL
    with pytest.raises(UsageError, match="only one of rank"):
        shards.open(corpus, rank=0)
    with pytest.raises(UsageError, match="rank 2 of 2"):
        shards.open(corpus, rank=2, world_size=2)


def test_the_ranks_of_torch_distributed_are_taken(corpus, tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        assert len(shards.open(corpus, "train")) == TOTAL
    finally:
        torch.distributed.destroy_process_group()


def test_an_unfinished_corpus_is_refused_unless_told_otherwise(tmp_path, make_item, caplog):
    for name in ("x-0", "x-1"):
        write_shard(tmp_path / "shards", name, [make_item()], split="train", plan="p")
    tar = tmp_path / "shards" / "x-1.tar"
    tar.write_bytes(tar.read_bytes()[:-512])
    with pytest.raises(CorpusError, match="shard x-1: 9728 bytes, its sidecar promises 10240"):
        shards.open(tmp_path)
    assert len(shards.open(tmp_path, strict=False)) == 1
    assert "left out: shard x-1" in caplog.text
    with pytest.raises(CorpusError, match="no corpus is here"):
        shards.open(tmp_path / "nothing")


def test_damage_met_while_reading_is_raised(tmp_path, make_item):
    for name in ("x-0", "x-1"):
        write_shard(tmp_path / "shards", name, [make_item()], split="train", plan="p")
    tar = tmp_path / "shards" / "x-1.tar"
    tar.write_bytes(tar.read_bytes().replace(b"a-0.json", b"a-0.pkl\0"))
    with pytest.raises(CorpusError, match=r"x-1\.tar"):
        keys(shards.open(tmp_path))


def test_hostile_media_is_never_decoded_by_reading(tmp_path, make_item):
    """No field is unpickled or decoded: bytes stay bytes."""
    payload = b"cos\nsystem\n(S'touch owned'\ntR."
    write_shard(tmp_path / "shards", "x", [make_item(media=payload)], split="train", plan="p")
    assert [item.media for item in shards.open(tmp_path)] == [payload]
    assert not (tmp_path / "owned").exists()


def test_decode_gives_samples_rate_and_label(make_item, speech_like):
    samples = speech_like(0.5)
    media = encode(Waveform(samples, 16_000), "flac")
    decoded, rate, label = decode(make_item(media=media, label="bonafide"))
    assert (decoded.dtype, decoded.shape, rate, label) == (np.float32, samples.shape, 16_000, 1)
    assert np.abs(decoded - samples).max() < 1e-4
    assert decode(make_item(media=media, label="spoof"))[2] == 0


def flac_of_silence(seconds: float, rate: int) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, 1, "PCM_16", format="FLAC") as file:
        block = np.zeros(1 << 20, np.int16)
        for _ in range(round(seconds * rate) // len(block)):
            file.write(block)
    return buffer.getvalue()


def test_silence_of_hours_in_few_bytes_is_refused(make_item):
    media = flac_of_silence(2.5 * 3600, 4000)
    assert 2.5 * 3600 * 4000 * 4 / len(media) > 1000  # a bomb: over 1000 : 1 once decoded
    with pytest.raises(MediaError, match="item 'a-0'") as caught:
        decode(make_item(media=media))
    assert caught.value.reason == "too_long"


def flac_claiming(frames: int) -> bytes:
    """A FLAC of one second whose header claims another number of samples."""
    media = bytearray(encode(Waveform(np.zeros(16_000, np.float32), 16_000), "flac"))
    assert media[:4] == b"fLaC"
    at = 4 + 4 + 10  # magic, block header, sizes; then rate, channels, bits, total samples
    (packed,) = struct.unpack_from(">Q", media, at)
    struct.pack_into(">Q", media, at, packed >> 36 << 36 | frames)
    return bytes(media)


@pytest.mark.parametrize("hours", [1, 10, 1000])
def test_headers_that_claim_hours_are_refused(make_item, hours):
    with pytest.raises(MediaError) as caught:
        decode(make_item(media=flac_claiming(hours * 3600 * 16_000)))
    assert caught.value.reason == "too_long"


def test_headers_that_claim_minutes_are_refused_as_truncated(make_item):
    with pytest.raises(MediaError) as caught:
        decode(make_item(media=flac_claiming(60 * 16_000)))
    assert caught.value.reason == "truncated"


def test_decode_limits_can_be_set_and_other_media_is_refused(make_item):
    media = encode(Waveform(np.zeros(16_000, np.float32), 16_000), "wav")
    with pytest.raises(MediaError) as caught:
        decode(make_item(media=media), Limits(max_seconds=0.5))
    assert caught.value.reason == "too_long"
    with pytest.raises(MediaError, match="is image"):
        decode(make_item(media=media, modality="image"))
    with pytest.raises(MediaError, match="item 'a-0'"):
        decode(make_item(media=b"no audio"))
