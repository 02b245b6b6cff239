from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import webdataset

from forensics.errors import CorpusError
from forensics.shards import read_foreign_shard

LONG = "folder-" + "n" * 120 + "/clip.wav"


def refusal(path) -> str:
    with pytest.raises(CorpusError) as caught:
        list(read_foreign_shard(path))
    assert str(path) in caught.value.what
    return caught.value.what


def contents(path) -> list[tuple[str, dict[str, bytes]]]:
    """What is read; every member is also where it is said to be in the tar."""
    raw = Path(path).read_bytes()
    found = []
    for key, members in read_foreign_shard(path):
        for data, offset in members.values():
            assert raw[offset : offset + len(data)] == data
        found.append((key, {extension: member.data for extension, member in members.items()}))
    return found


def test_what_webdataset_writes_is_read(tmp_path):
    pattern = str(tmp_path / "x-%06d.tar")
    with webdataset.ShardWriter(pattern, verbose=0) as sink:
        sink.write({"__key__": "Set/Clip-1", "opus": b"1", "json": {"a": 1}, "txt": "hé"})
        sink.write({"__key__": "Set/Clip-2", "mp3": b"2", "cls": 3})
    assert contents(tmp_path / "x-000000.tar") == [
        ("Set/Clip-1", {"json": b'{"a": 1}', "opus": b"1", "txt": "hé".encode()}),
        ("Set/Clip-2", {"cls": b"3", "mp3": b"2"}),
    ]


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_tar_dialect_with_long_and_foreign_names_is_read(plain_tar, format):
    members = {LONG: b"long", "./é clip.OGG": b"o", "./é clip.json": b"{}"}
    assert contents(plain_tar(members, format)) == [
        (LONG.removesuffix(".wav"), {"wav": b"long"}),
        ("é clip", {"ogg": b"o", "json": b"{}"}),
    ]


def test_a_name_that_begins_like_a_compressed_file_is_read(plain_tar):
    path = plain_tar({"BZ-1.wav": b"1"}, tarfile.USTAR_FORMAT)
    assert contents(path) == [("BZ-1", {"wav": b"1"})]


def test_folders_are_passed_over(hand_made):
    folder = tarfile.TarInfo("set")
    folder.type = tarfile.DIRTYPE
    path = hand_made([folder, ("set/a.wav", b"a")])
    assert contents(path) == [("set/a", {"wav": b"a"})]


@pytest.mark.parametrize(
    "name",
    [
        *("../a.wav", "/a.wav", "a/../../b.wav", "a//b.wav", "a/./b.wav", "a\x1b[2J.wav"),
        *(".hidden.wav", "set/.hidden.wav", "a\\b.wav"),
    ],
)
def test_unsafe_names_are_refused_also_in_extended_headers(hand_made, plain_tar, name):
    assert "an unsafe name" in refusal(hand_made([("0.wav", b"0"), (name, b"x")]))
    pax = plain_tar({"d" * 120 + "/" + name.lstrip("/"): b"x"} if name[0] != "/" else {name: b""})
    assert "an unsafe name" in refusal(pax)


@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.pyd", "a.pth", "a.npy", "a.sh", "a"])
def test_extensions_not_on_the_list_are_refused(hand_made, name):
    what = refusal(hand_made([("0.wav", b"0"), (name, b"cos\nsystem\n")]))
    assert repr(name) in what and "is not one of cls, flac" in what


def test_keys_that_webdataset_would_fuse_are_refused_not_fused(hand_made):
    what = refusal(hand_made([("v1.5_a.wav", b"a"), ("v1.5_b.wav", b"b")]))
    assert "'5_a.wav' (all after the first dot)" in what


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, b"S", b"K"])
def test_special_members_are_refused(hand_made, kind):
    info = tarfile.TarInfo("a.wav")
    info.type, info.linkname = kind, "/etc/passwd"
    assert "only regular files" in refusal(hand_made([("0.wav", b"0"), info]))


def test_interleaved_and_repeated_members_are_refused(hand_made):
    a, b = ("a.wav", b"a"), ("b.wav", b"b")
    assert "occurred before" in refusal(hand_made([a, b, ("a.json", b"{}")]))
    assert "occurs twice" in refusal(hand_made([a, a]))
    assert "occurs twice" in refusal(hand_made([a, ("a.WAV", b"")]))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b'{"x": NaN}', "NaN is not JSON"),
        ("a.json", b"\xff", "not UTF-8"),
        ("a.txt", b"\xff", "not UTF-8"),
        ("a.cls", b"x" * ((1 << 20) + 1), "of text, the limit is"),
    ],
)
def test_text_that_cannot_be_trusted_is_refused(hand_made, name, data, message):
    assert message in refusal(hand_made([(name, data)]))


def record(text: bytes) -> bytes:
    length = len(text) + 2 + 2
    return b"%d %s\n" % (length, text)


def pax(records: bytes, kind: bytes = b"x") -> tuple:
    info = tarfile.TarInfo("pax")
    info.type, info.size = kind, len(records)
    return info, records


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (pax(b"99999999999 path=xx\n"), "pax header that cannot be read"),
        (pax(b"0 path=xx\n"), "pax header that cannot be read"),
        (pax(b"-9 path=xx\n"), "pax header that cannot be read"),
        (pax(b"path=xx\n"), "pax header that cannot be read"),
        (pax(b"10 path=xx"), "pax header that cannot be read"),
        (pax(record(b"pathxx")), "pax header that cannot be read"),
        (pax(record(b"size=1e9")), "pax header that cannot be read"),
        (pax(record(b"GNU.sparse.map=0")), "a sparse file"),
        (pax(record(b"size=2000000000")), "the limit is"),
        (pax(record(b"size=900")), "cut inside its data"),
        (pax(record(b"path=\xff\xff")), "its name is not UTF-8"),
        (pax(record(b"path=xx"), kind=b"g"), "a global header that renames"),
        (pax(bytes(70_000)), "70000 bytes, the limit is 65536"),
    ],
)
def test_hostile_extended_headers_are_refused(hand_made, member, message):
    assert message in refusal(hand_made([member, ("a.wav", b"a")], ending=False))


def test_an_extended_header_at_the_end_is_refused(hand_made):
    assert "ends after an extended header" in refusal(
        hand_made([("a.wav", b""), pax(record(b"path=xx"))])
    )


def test_the_foreign_tar_cut_at_any_block_never_ends_quietly(plain_tar):
    path = plain_tar({"a.wav": b"a" * 700, "a.json": b"{}", LONG: b"b" * 700})
    whole = path.read_bytes()
    for length in range(0, len(whole.rstrip(b"\0")) + 512, 512):
        path.write_bytes(whole[:length])
        refusal(path)
