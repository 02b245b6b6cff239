from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.errors import CorpusError, MachineError
from forensics.shards import Failure, ItemMeta, read_shard, read_sidecar, write_shard
from forensics.shards.format import MAX_JSON_BYTES, canonical_json

PLAN = {"split": "train", "plan": "plan-1"}


def test_the_tar_is_plain_ustar_with_sorted_members_and_no_trace_of_time_or_user(shard):
    folder, name, items, _ = shard
    with tarfile.open(folder / f"{name}.tar") as tar:
        members = tar.getmembers()
        contents = {m.name: tar.extractfile(m).read() for m in members}  # pyright: ignore
    expected = [f"{i.key}.{e}" for i in items for e in (i.extension, "json")] + ["k-9.mask.png"]
    assert [m.name for m in members] == expected
    for member in members:
        assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
        assert (member.uname, member.gname, member.type) == ("", "", tarfile.REGTYPE)
    for item in items:
        assert contents[f"{item.key}.{item.extension}"] == item.media
        assert contents[f"{item.key}.json"] == canonical_json(item.meta)
    assert contents["k-9.mask.png"] == items[-1].mask


def test_gnu_tar_reads_it_without_a_word(shard):
    folder, name, _, _ = shard
    done = subprocess.run(
        ["tar", "-xf", f"{name}.tar", "-O"], cwd=folder, capture_output=True, check=True
    )
    assert done.stderr == b""


def test_the_sidecar_describes_the_tar(shard):
    folder, name, items, sidecar = shard
    content = (folder / f"{name}.tar").read_bytes()
    assert sidecar.bytes == len(content) and len(content) % 10240 == 0
    assert sidecar.sha256 == hashlib.sha256(content).hexdigest()
    assert sidecar.count == 5 and list(sidecar.items) == [item.key for item in items]
    assert sidecar.masks == {"k-9": hashlib.sha256(items[-1].mask).hexdigest()}
    assert read_sidecar(folder, name) == sidecar


def test_same_items_same_bytes_in_any_order_and_as_an_iterator(tmp_path, make_item):
    items = [make_item(f"k-{n}", media=bytes(n)) for n in range(9)]
    for folder, order in (("a", items), ("b", items[::-1]), ("c", iter(items))):
        write_shard(tmp_path / folder, "x", order, **PLAN)
        for file in ("x.tar", "x.json"):
            assert (tmp_path / folder / file).read_bytes() == (tmp_path / "a" / file).read_bytes()


def test_failures_may_be_collected_while_the_items_are_consumed(tmp_path, make_item):
    failures: list[Failure] = []

    def items():
        yield make_item("a")
        failures.append(Failure(key="b", source_id="s", system="tts", reason="no_audio"))
        yield make_item("c")

    sidecar = write_shard(tmp_path, "x", items(), failures=failures, **PLAN)
    assert [failure.key for failure in sidecar.failures] == ["b"]
    assert read_sidecar(tmp_path, "x") == sidecar


def test_a_shard_whose_items_all_failed_is_complete_and_empty(tmp_path):
    sidecar = write_shard(tmp_path, "x", [], **PLAN)
    assert sidecar.count == 0 and list(read_shard(tmp_path / "x.tar", sidecar)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "v1.5"}, "is not one to 90 of"),
        ({"key": "UPPER"}, "is not one to 90 of"),
        ({"key": ""}, "is not one to 90 of"),
        ({"key": "../up"}, "is not one to 90 of"),
        ({"key": "line\n"}, "is not one to 90 of"),
        ({"key": "k" * 91}, "is not one to 90 of"),
        ({"extension": "pkl"}, "'pkl' is not one of"),
        ({"split": "test"}, "belongs to 'test', the shard to 'train'"),
        ({"params": {"gain": float("nan")}}, "is not JSON"),
        ({"params": {"gain": [float("inf")]}}, "is not JSON"),
        ({"text": "\ud800"}, "is not JSON"),
        ({"text": "x" * MAX_JSON_BYTES}, "bytes of metadata, the limit is"),
    ],
)
def test_what_must_not_enter_a_shard_is_refused_and_leaves_nothing(
    tmp_path, make_item, change, message
):
    with pytest.raises(CorpusError, match=message):
        write_shard(tmp_path, "x", [make_item("a"), make_item(**({"key": "b"} | change))], **PLAN)
    assert list(tmp_path.iterdir()) == []


def test_repeated_keys_and_an_unsorted_iterator_are_refused(tmp_path, make_item):
    with pytest.raises(CorpusError, match="two items have the key 'a'"):
        write_shard(tmp_path, "x", [make_item("a"), make_item("b"), make_item("a")], **PLAN)
    with pytest.raises(CorpusError, match="'a' comes after 'b'"):
        write_shard(tmp_path, "x", iter([make_item("b"), make_item("a")]), **PLAN)
    with pytest.raises(CorpusError, match="is not one to 90"):
        write_shard(tmp_path, "../x", [], **PLAN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_while_items_are_made_finalises_nothing(tmp_path, make_item, error):
    def items():
        yield from (make_item(f"k-{n:02d}", media=bytes(500_000)) for n in range(20))
        raise error("engine died")

    with pytest.raises(error):
        write_shard(tmp_path, "x", items(), **PLAN)
    assert list(tmp_path.iterdir()) == []


def test_a_rebuild_that_fails_keeps_the_old_shard_and_one_that_works_replaces_it(shard, make_item):
    folder, name, _, sidecar = shard
    with pytest.raises(CorpusError):
        write_shard(folder, name, [make_item("a"), make_item("a")], **PLAN)
    assert read_sidecar(folder, name) == sidecar
    newer = write_shard(folder, name, [make_item("a")], **PLAN)
    assert read_sidecar(folder, name) == newer != sidecar


def test_memory_stays_flat_over_a_long_iterator(tmp_path, make_item):
    def items():
        for n in range(400):
            yield make_item(f"k-{n:04d}", media=bytes([n % 256]) * 200_000)

    tracemalloc.start()
    write_shard(tmp_path, "x", items(), **PLAN)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6  # of 80 MB written


def test_killed_while_writing_leaves_no_final_file(tmp_path):
    code = """
        import hashlib, sys
        from forensics.shards import Item, ItemMeta, write_shard
        media = bytes(1 << 20)
        meta = ItemMeta(label="spoof", modality="speech", system="s", system_version="1",
            kind="tts", source_id="s", group="g", domain="d", split="train", seed=1,
            licence="x", parent="p", sha256=hashlib.sha256(media).hexdigest())
        def items():
            for n in range(10**6):
                if n == 5:
                    print("writing", flush=True)
                yield Item(f"k-{n:09d}", "wav", media, meta)
                if n > 50:
                    sys.stdin.read()
        write_shard(sys.argv[1], "x", items(), split="train", plan="p")
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"writing\n"
    time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir()]
    assert left == [f"x.tar.{process.pid}.part"]


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a 1 MiB file system of its own."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_a_machine_error_with_a_fix_and_leaves_no_part(full_disk, make_item):
    items = [make_item(f"k-{n}", media=os.urandom(300_000)) for n in range(5)]
    with pytest.raises(MachineError, match="No space left on device") as caught:
        write_shard(full_disk, "x", items, **PLAN)
    assert caught.value.exit_code == 6 and "free some space" in str(caught.value.fix)
    assert list(full_disk.iterdir()) == []


def test_a_file_size_limit_is_a_machine_error_and_leaves_no_part(tmp_path, make_item):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        items = [make_item(f"k-{n}", media=os.urandom(300_000)) for n in range(5)]
        with pytest.raises(MachineError, match="File too large"):
            write_shard(tmp_path, "x", items, **PLAN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_a_machine_error(tmp_path, make_item):
    (tmp_path / "shards").write_text("")
    with pytest.raises(MachineError, match="cannot write"):
        write_shard(tmp_path / "shards", "x", [make_item()], **PLAN)


KEYS = st.from_regex(r"[a-z0-9_-]{1,90}", fullmatch=True)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
).filter(lambda value: not any(0xD800 <= ord(c) < 0xE000 for c in str(value)))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        KEYS,
        st.tuples(
            st.binary(max_size=2000),
            st.sampled_from(["wav", "flac", "jpg", "png"]),
            st.none() | st.binary(max_size=600),
            st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3),
        ),
        max_size=6,
    )
)
def test_what_is_written_is_what_is_read(make_item, drawn):
    items = [
        make_item(key, media, extension, mask, params=params)
        for key, (media, extension, mask, params) in drawn.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        sidecar = write_shard(folder, "x", items, **PLAN)
        back = list(read_shard(Path(folder, "x.tar"), sidecar))
        assert read_sidecar(folder, "x") == sidecar
    assert back == sorted(items, key=lambda item: item.key)


def test_no_output_holds_the_time(tmp_path, make_item):
    write_shard(tmp_path, "x", [make_item()], **PLAN)
    fields = json.loads((tmp_path / "x.json").read_text())
    assert set(fields) == {
        *("format", "shard", "split", "plan", "count", "bytes", "sha256"),
        *("items", "masks", "failures"),
    }
    assert ItemMeta.model_validate(fields["items"]["a-0"]) == make_item().meta
