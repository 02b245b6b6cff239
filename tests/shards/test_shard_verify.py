from __future__ import annotations

import pytest

from forensics.errors import CorpusError
from forensics.shards import check_shard, write_shard
from forensics.shards.format import canonical_json, parse_json
from forensics.shards.verify import Damage, verify

PLAN = {"split": "train", "plan": "plan-1"}


def alter(path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert content.count(old) >= 1 and len(old) == len(new)
    path.write_bytes(content.replace(old, new, 1))


def found(folder, name, **options) -> Damage:
    damage = check_shard(folder, name, **options)
    assert damage is not None and damage.shard == name and name in str(damage)
    return damage


def test_a_sound_shard_has_no_damage(shard):
    folder, name, _, _ = shard
    assert check_shard(folder, name) is None
    assert check_shard(folder, name, plan="plan-1", deep=False) is None


def test_missing_parts_are_told_apart(shard):
    folder, name, _, _ = shard
    assert found(folder, "y").kind == "missing_tar"
    content = (folder / f"{name}.json").read_bytes()
    (folder / f"{name}.json").unlink()
    assert found(folder, name).kind == "missing_sidecar"
    (folder / f"{name}.json").write_bytes(content)
    (folder / f"{name}.tar").unlink()
    assert found(folder, name).kind == "missing_tar"
    (folder / f"{name}.json").write_bytes(content[:-1])
    assert found(folder, name).kind == "invalid_sidecar"


def test_another_size_is_seen_without_hashing(shard):
    folder, name, _, sidecar = shard
    path = folder / f"{name}.tar"
    content = path.read_bytes()
    path.write_bytes(content[:-512])
    damage = found(folder, name, deep=False)
    assert damage.kind == "truncated" and str(sidecar.bytes) in damage.detail
    path.write_bytes(content + bytes(512))
    assert found(folder, name, deep=False).kind == "too_long"


def test_another_plan_is_damage(shard):
    folder, name, _, _ = shard
    assert found(folder, name, plan="plan-2").kind == "other_plan"


@pytest.mark.parametrize(
    ("old", "new", "members"),
    [
        (b"BBBB", b"BBbB", ("k-1.flac",)),
        (b'"seed":7', b'"seed":8', ("k-0.json",)),
        (b'"seed":7', b'"seed":}', ("k-0.json",)),  # not even JSON: the walk goes on
        (b"maskmask", b"maskmusk", ("k-9.mask.png",)),
        (b"pixels", b"pixelz", ("k-9.png",)),
    ],
)
def test_altered_members_are_named(shard, old, new, members):
    folder, name, _, _ = shard
    path = folder / f"{name}.tar"
    alter(path, old, new)
    damage = found(folder, name)
    assert (damage.kind, damage.members) == ("altered", members)
    assert members[0] in str(damage)
    assert check_shard(folder, name, deep=False) is None  # the size alone does not show it


def test_altered_headers_and_padding_are_altered_shards(shard):
    folder, name, _, _ = shard
    path = folder / f"{name}.tar"
    whole = path.read_bytes()
    alter(path, b"k-2.flac", b"k-2.flaq")
    damage = found(folder, name)
    assert damage.kind == "altered" and "not readable to the end" in damage.detail
    assert "'k-1.json'" in damage.detail  # the last sound member
    path.write_bytes(whole[:-1] + b"\1")
    assert "bytes after its end" in found(folder, name).detail
    padding = whole.index(b"A" * 100) + 101
    path.write_bytes(whole[:padding] + b"\1" + whole[padding + 1 :])
    assert "lies between the members" in found(folder, name).detail


def test_a_member_swapped_for_an_unknown_one_is_named(shard, make_item):
    folder, name, items, _ = shard
    sidecar = (folder / f"{name}.json").read_bytes()
    items[0] = make_item("k-00", media=items[0].media)
    write_shard(folder, name, items, **PLAN)
    (folder / f"{name}.json").write_bytes(sidecar)
    assert set(found(folder, name).members) == {"k-00.flac", "k-00.json"}


@pytest.fixture
def corpus(tmp_path, make_item):
    """A corpus of four shards with a plan."""
    entries = []
    for n, split in enumerate(("train", "train", "dev", "test")):
        name = f"{split}-{n:06d}"
        items = [make_item(f"k-{n}-{i}", media=bytes([n, i]) * 99, split=split) for i in range(3)]
        write_shard(tmp_path / "shards", name, items, split=split, plan="plan-1")  # pyright: ignore
        entries.append({"name": name, "split": split, "utterances": []})
    (tmp_path / "plan.json").write_bytes(canonical_json({"shards": entries, "hash": "plan-1"}))
    return tmp_path


def test_verify_finds_nothing_in_a_sound_corpus(corpus, capsys):
    assert verify(corpus) == []
    assert "verifying: 4/4 shards" in capsys.readouterr().err


def test_verify_names_all_damage_and_only_that(corpus, make_item):
    folder = corpus / "shards"
    (folder / "train-000000.tar").unlink()
    alter(folder / "train-000001.tar", bytes([1, 2]) * 9, bytes([1, 3]) * 9)
    (folder / "dev-000002.json").unlink()
    write_shard(folder, "extra", [make_item()], **PLAN)
    (folder / "test-000003.tar.123.part").write_bytes(b"left by a killed worker")
    kinds = {damage.shard: (damage.kind, damage.members) for damage in verify(corpus)}
    assert kinds == {
        "train-000000": ("missing_tar", ()),
        "train-000001": ("altered", ("k-1-2.flac",)),
        "dev-000002": ("missing_sidecar", ()),
        "extra": ("not_in_plan", ()),
    }


def test_verify_compares_splits_and_plans(corpus, make_item):
    folder = corpus / "shards"
    items = [make_item(split="train")]
    write_shard(folder, "dev-000002", items, split="train", plan="plan-1")
    write_shard(folder, "train-000000", items, split="train", plan="plan-2")
    kinds = {damage.shard: damage.kind for damage in verify(corpus)}
    assert kinds == {"dev-000002": "other_split", "train-000000": "other_plan"}
    assert {d.kind for d in verify(corpus, plan="plan-3")} == {"other_plan"}


def test_verify_works_without_a_plan_and_finds_the_odd_one(corpus, make_item):
    (corpus / "plan.json").unlink()
    assert verify(corpus) == []
    write_shard(corpus / "shards", "odd", [make_item()], split="train", plan="plan-2")
    assert [(d.shard, d.kind) for d in verify(corpus)] == [("odd", "other_plan")]


def test_verify_trusts_the_record_of_a_finished_build(corpus):
    splits = {"train": ["train-000000", "train-000001"], "dev": ["dev-000002"]}
    info = {
        "plan": "plan-1",
        "splits": {s: {"shards": dict.fromkeys(splits[s], 3)} for s in splits},
    }
    (corpus / "info.json").write_bytes(canonical_json(info))
    assert [(d.shard, d.kind) for d in verify(corpus)] == [("test-000003", "not_in_plan")]


def test_no_corpus_and_a_broken_listing_are_errors(tmp_path, corpus):
    with pytest.raises(CorpusError, match="no corpus is here"):
        verify(tmp_path / "nothing")
    plan = parse_json((corpus / "plan.json").read_bytes())
    for broken in (b"{", b"[]", canonical_json(plan | {"shards": [1]}), b'{"hash":"x"}'):
        (corpus / "plan.json").write_bytes(broken)
        with pytest.raises(CorpusError, match="lists no shards"):
            verify(corpus)
