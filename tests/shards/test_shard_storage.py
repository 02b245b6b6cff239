from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest

from forensics import shards
from forensics.errors import CorpusError, MachineError, MissingRequirement, UsageError
from forensics.shards import read_shard, read_sidecar, storage, write_shard
from forensics.shards.verify import verify

PLAN = {"split": "train", "plan": "plan-1"}


@pytest.fixture(params=["local", "file", "memory"])
def folder(request, tmp_path):
    """A folder that does not exist yet, local or remote."""
    return {
        "local": str(tmp_path / "new" / "folder"),
        "file": f"file://{tmp_path}/new/folder",
        "memory": f"memory://{uuid.uuid4()}/folder",
    }[request.param]


def test_publish_read_size_names_remove(folder, tmp_path):
    url = storage.join(folder, "a.bin")
    assert storage.size(url) is None and storage.names(folder) == []
    storage.publish(url, b"first")
    storage.publish(url, b"second")
    (tmp_path / "local.bin").write_bytes(b"copied" * 500_000)
    storage.publish(storage.join(folder, "b.bin"), tmp_path / "local.bin")
    assert storage.names(folder) == ["a.bin", "b.bin"]
    assert storage.size(url) == 6 and storage.read(url, 6) == b"second"
    assert storage.read(storage.join(folder, "b.bin"), 1 << 30) == b"copied" * 500_000
    with pytest.raises(CorpusError, match="larger than 5 bytes"):
        storage.read(url, 5)
    storage.remove(url)
    storage.remove(url)
    assert storage.size(url) is None
    with pytest.raises(CorpusError, match="no such file"):
        storage.open_read(url)


def test_a_shard_is_written_read_verified_and_opened_anywhere(folder, make_item):
    items = [make_item(f"k-{n}", media=os.urandom(900_000)) for n in range(3)]
    sidecar = write_shard(storage.join(folder, "shards"), "x", items, **PLAN)
    assert list(read_shard(storage.join(folder, "shards", "x.tar"), sidecar)) == items
    assert read_sidecar(storage.join(folder, "shards"), "x") == sidecar
    assert verify(folder) == []
    assert list(shards.open(folder, shuffle=False)) == items


def test_nothing_appears_when_the_writing_fails(folder):
    with pytest.raises(RuntimeError), storage.writing(storage.join(folder, "a.bin")) as output:
        output.write(b"half")
        raise RuntimeError("engine died")
    assert storage.names(folder) == []


def test_a_folder_that_may_not_be_written_is_a_machine_error(tmp_path):
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        with pytest.raises(MachineError, match="Permission denied") as caught:
            storage.publish(tmp_path / "a.bin", b"")
    finally:
        os.seteuid(user)
    assert "permission" in str(caught.value.fix)


def test_a_read_only_file_system_is_a_machine_error(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(tmp_path)]
    done = subprocess.run(mount, capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode().strip()}")
    try:
        with pytest.raises(MachineError, match="Read-only file system") as caught:
            storage.publish(tmp_path / "a.bin", b"")
        assert caught.value.exit_code == 6
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_errors_of_the_source_are_not_called_errors_of_the_target(tmp_path):
    with pytest.raises(FileNotFoundError), storage.writing(tmp_path / "a.bin"):
        (tmp_path / "no-such-recording.wav").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_unknown_protocols_and_missing_clients_name_the_fix():
    with pytest.raises(UsageError, match="nosuch"):
        storage.size("nosuch://bucket/x")
    try:
        import s3fs  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        with pytest.raises(MissingRequirement) as caught:
            storage.size("s3://bucket/x")
        assert caught.value.fix == "pip install 'fsspec[s3]'"


def test_the_package_imports_without_torch_or_fsspec():
    code = "import sys, forensics.shards; print({'torch', 'webdataset', 'fsspec'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
