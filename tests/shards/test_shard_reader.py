from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.errors import CorpusError
from forensics.shards import check_shard, read_shard, read_sidecar, write_shard
from forensics.shards.format import MAX_JSON_BYTES, canonical_json, parse_json
from forensics.shards.reader import read_items
from forensics.shards.tar import MAX_MEMBER_BYTES, TarStream, header


def special(kind: bytes, name: str = "a.flac", target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def refusal(path, sidecar=None) -> str:
    with pytest.raises(CorpusError) as caught:
        list(read_shard(path, sidecar))
    assert str(path) in caught.value.what and caught.value.fix
    return caught.value.what


@pytest.fixture
def good(make_item):
    """Members of a sound item of a key."""

    def members(key: str = "a"):
        return [(f"{key}.flac", b"media"), (f"{key}.json", canonical_json(make_item().meta))]

    return members


def test_headers_are_the_ones_that_tarfile_reads_and_other_tars_of_our_form_are_read(
    good, hand_made, plain_tar
):
    info = tarfile.TarInfo.frombuf(header(b"a-0.flac", 12345), "ascii", "strict")
    assert (info.name, info.size, info.mode, info.mtime) == ("a-0.flac", 12345, 0o644, 0)
    assert [item.key for item in read_shard(hand_made(good("a") + good("b")))] == ["a", "b"]
    assert next(read_shard(plain_tar(dict(good()), tarfile.USTAR_FORMAT))).media == b"media"


@pytest.mark.parametrize(
    "name",
    [
        *("a.pkl", "a.pyd", "a.pickle", "a.pth", "a.npy", "a.txt", "a.FLAC", "A.flac"),
        *("../a.flac", "/a.flac", "sub/a.flac", "./a.flac", ".a.flac", "a", "a.0001.flac"),
        *("v1.5_a.flac", "a.flac\n", "a b.flac", f"{'k' * 91}.wav", "a.mask.png.flac"),
    ],
)
def test_names_that_are_not_plain_key_and_known_extension_are_refused(hand_made, good, name):
    what = refusal(hand_made([*good("0"), (name, b"x")]))
    assert repr(name) in what and "not <key>.<extension>" in what


@pytest.mark.parametrize(
    ("kind", "called"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a character device"),
        (tarfile.BLKTYPE, "a block device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.DIRTYPE, "a folder"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (tarfile.XHDTYPE, "of unknown type"),
        (tarfile.GNUTYPE_LONGNAME, "of unknown type"),
        (b"Z", "of unknown type"),
    ],
)
def test_members_that_are_not_regular_files_are_refused(hand_made, good, kind, called):
    what = refusal(hand_made([*good("0"), special(kind)]))
    assert "'a.flac" in what and called in what and "only regular files" in what


@pytest.mark.parametrize(
    ("compress", "name"),
    [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")],
)
def test_compressed_tars_are_refused_unopened(hand_made, good, compress, name):
    assert f"{name} data" in refusal(hand_made(good(), compress=compress))


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"RIFF" + bytes(5000), b"\xff" * 2048])
def test_what_is_no_tar_is_refused(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    refusal(tmp_path / "x.tar")


def test_a_missing_shard_is_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "x.tar")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"seed": NaN}', "NaN is not JSON"),
        (b'{"seed": -Infinity}', "-Infinity is not JSON"),
        (b'{"params": {"gain": 1e999}}', "1e999 is not a finite number"),
        (b'{"seed": 1, "seed": 2}', "a name occurs twice"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"text": "\xff"}', "not UTF-8"),
        ('{"text": "x"}'.encode("utf-16"), "not UTF-8"),
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "not an item's metadata"),
        (b'{"label": "real"}', "label: Input should be 'bonafide' or 'spoof'"),
        (b" " * (MAX_JSON_BYTES + 1), "of text, the limit is"),
    ],
)
def test_metadata_that_is_not_valid_is_refused(hand_made, good, data, message):
    what = refusal(hand_made([*good("0"), ("a.flac", b"x"), ("a.json", data)]))
    assert "'a.json'" in what and message in what


def test_unknown_metadata_fields_are_refused(hand_made, make_item):
    fields = parse_json(canonical_json(make_item().meta)) | {"lable": "spoof"}
    path = hand_made([("a.flac", b"media"), ("a.json", canonical_json(fields))])
    assert "lable: Extra inputs are not permitted" in refusal(path)


def test_partial_interleaved_repeated_and_unsorted_items_are_refused(hand_made, good):
    a, b = good("a"), good("b")
    cases = {
        "no metadata": [a[0]],
        "'b.flac' comes instead": [a[0], *b],
        "does not follow its media": [a[1], *b],
        "item 'a' has no metadata": [a[0], b[0], a[1], b[1]],
        "repeated or not in order": [*a, *a],
        "is repeated or not": [*a, *b, *a],
        "not in order": [*b, *a],
        "no metadata; 'a.wav'": [a[0], ("a.wav", b""), a[1]],
        "'b.mask.png'": [*a, ("b.mask.png", b"")],
        "order is media, json, mask": [("a.mask.png", b""), *a],
    }
    for message, members in cases.items():
        assert message in refusal(hand_made(members)), message
    twice = [*a, ("a.mask.png", b"1"), ("a.mask.png", b"2")]
    assert "does not follow its media" in refusal(hand_made(twice))


def test_a_member_that_claims_more_than_there_is_or_than_is_allowed_costs_nothing(hand_made, good):
    assert "cut inside its data" in refusal(hand_made([header(b"a.flac", 1 << 29)]))
    assert f"limit is {MAX_MEMBER_BYTES}" in refusal(hand_made([header(b"a.flac", 1 << 31)]))
    huge = bytearray(tarfile.TarInfo("a.flac").tobuf())
    huge[124:136] = b"\x80" + bytes(10) + b"\x09"  # base-256, as GNU writes from 8 GiB
    huge[148:156] = b" " * 8
    huge[148:156] = b"%06o\0 " % sum(huge)
    assert "its size cannot be read" in refusal(hand_made([bytes(huge)]))


def test_bytes_after_the_end_and_a_lone_zero_block_are_refused(hand_made, good):
    assert "bytes after its end" in refusal(hand_made([*good(), bytes(1024), *good("b")]))
    assert "one zero block" in refusal(hand_made([*good("a"), bytes(512), *good("b")]))
    assert "cut at byte" in refusal(hand_made([*good(), bytes(512)], ending=False))


def test_a_count_that_is_not_the_sidecars_is_refused(shard, hand_made, good):
    _, _, _, sidecar = shard
    assert "holds 1 items, its sidecar promises 5" in refusal(hand_made(good()), sidecar)


def test_a_tar_cut_at_any_block_never_ends_quietly(shard):
    folder, name, items, _ = shard
    whole = (folder / f"{name}.tar").read_bytes()
    end = len(whole.rstrip(b"\0")) + 1024  # the last member's padding and one more zero block
    cut = folder / "cut.tar"
    for length in range(0, end, 512):
        cut.write_bytes(whole[:length])
        refusal(cut)  # even without a sidecar
        given_before = 0
        with pytest.raises(CorpusError):
            for given_before, item in enumerate(read_shard(cut), 1):
                assert item == items[given_before - 1]  # never a half or merged item
        assert given_before < len(items)


@pytest.mark.parametrize("wanted", [[0], [1, 3], [4], range(1, 4), range(0), range(5)])
def test_chosen_items_are_read_and_the_others_skipped(shard, wanted):
    folder, name, items, _ = shard
    with (folder / f"{name}.tar").open("rb") as stream:
        assert list(read_items(stream, name, 5, wanted)) == [items[n] for n in wanted]


def test_reading_the_last_item_checks_the_end(shard):
    folder, name, items, _ = shard
    content = (folder / f"{name}.tar").read_bytes()
    cut = io.BytesIO(content[: len(content.rstrip(b"\0"))])
    assert list(read_items(cut, name, 5, [2])) == [items[2]]
    with pytest.raises(CorpusError, match="cut"):
        list(read_items(cut, name, 5, [4]))


def test_sidecars_that_are_not_valid_are_refused(shard):
    folder, name, _, _ = shard
    path = folder / f"{name}.json"
    good = parse_json(path.read_bytes())
    backwards = dict(reversed(good["items"].items()))
    cases = {
        "counts 6 items and describes 5": good | {"count": 6},
        "belongs to shard 'y'": good | {"shard": "y"},
        "format 2, this version reads 1": good | {"format": 2},
        "sha256: Field required": {k: v for k, v in good.items() if k != "sha256"},
        "extra: Extra inputs": good | {"extra": 1},
    }
    for message, value in cases.items():
        path.write_bytes(canonical_json(value))
        with pytest.raises(CorpusError, match=message):
            read_sidecar(folder, name)
    path.write_text(json.dumps(good | {"items": backwards}))
    with pytest.raises(CorpusError, match="not in the order of the tar"):
        read_sidecar(folder, name)
    path.write_bytes(b"{")
    with pytest.raises(CorpusError, match="not JSON"):
        read_sidecar(folder, name)
    path.unlink()
    with pytest.raises(CorpusError, match="no such file"):
        read_sidecar(folder, name)


FIXTURES = [HealthCheck.function_scoped_fixture]


@settings(max_examples=60, deadline=None, suppress_health_check=FIXTURES)
@given(st.data())
def test_every_truncation_and_bit_flip_is_detected(shard, data):
    folder, name, _, _ = shard
    path = folder / f"{name}.tar"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        for place in data.draw(st.sets(st.integers(0, len(whole) * 8 - 1), min_size=1, max_size=3)):
            damaged[place // 8] ^= 1 << place % 8
    path.write_bytes(damaged)
    try:
        assert check_shard(folder, name) is not None
        with contextlib.suppress(CorpusError):  # the reader gives items or refuses, nothing else
            list(read_shard(path))
    finally:
        path.write_bytes(whole)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2048), st.booleans())
def test_arbitrary_bytes_never_crash_the_walk(content, extended):
    size = len(content) // 512 * 512
    for candidate in (content, header(b"a.flac", 5) + content, header(b"a.flac", size) + content):
        with pytest.raises(CorpusError):
            stream = TarStream(io.BytesIO(candidate), "x", extended=extended)
            for _ in stream:
                stream.read()
            if candidate[-1024:] == bytes(1024):  # a sound tar by chance
                stream.fail("sound")


def test_skipping_does_not_read_what_is_skipped(tmp_path, make_item):
    items = [make_item(f"k-{n}", media=os.urandom(1 << 20)) for n in range(3)]
    write_shard(tmp_path, "x", items, split="train", plan="p")

    class Counting(io.FileIO):
        taken = 0

        def read(self, size=-1):
            data = super().read(size)
            self.taken += len(data)
            return data

    with Counting(str(tmp_path / "x.tar")) as stream:
        assert [item.key for item in read_items(stream, "x", 3, [1])] == ["k-1"]  # pyright: ignore
        assert stream.taken < 1.1 * (1 << 20)
