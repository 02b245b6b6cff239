"""Items and hand-made tars for the shard tests."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from forensics.shards import Item, ItemMeta, write_shard


@pytest.fixture
def make_item():
    """`make_item(key, media=…, extension=…, mask=…, **meta)` → a valid item."""

    def make(
        key: str = "a-0",
        media: bytes = b"media",
        extension: str = "flac",
        mask: bytes | None = None,
        **fields,
    ) -> Item:
        values = {
            "label": "spoof",
            "modality": "speech",
            "system": "griffinlim",
            "system_version": "1",
            "kind": "vocoder",
            "source_id": "s",
            "group": "speaker-1",
            "domain": "read",
            "split": "train",
            "seed": 7,
            "params": {"iterations": 32, "mix": 0.5, "note": None},
            "conditions": ({"name": "loudness", "lufs": -23.0},),
            "licence": "CC0-1.0",
            "parent": "0" * 64,
            "sha256": hashlib.sha256(media).hexdigest(),
            "text": "grüße",
        }
        return Item(key, extension, media, ItemMeta(**(values | fields)), mask)

    return make


@pytest.fixture
def shard(tmp_path, make_item):
    """(folder, name, items, sidecar) of a shard with five items, one with a mask."""
    items = [make_item(f"k-{n}", media=bytes([65 + n]) * (100 + 400 * n)) for n in range(4)]
    items.append(make_item("k-9", media=b"pixels", extension="png", mask=b"mask" * 9))
    return tmp_path, "x-000000", items, write_shard(tmp_path, "x-000000", items, **PLAN)


PLAN = {"split": "train", "plan": "plan-1"}


@pytest.fixture
def hand_made(tmp_path):
    """`hand_made([(name, data) or TarInfo or (TarInfo, data) or raw bytes, …])` → path of a tar."""

    def make(members, *, ending: bool = True, compress=None) -> Path:
        content = b""
        for member in members:
            if isinstance(member, bytes):
                content += member
                continue
            info, data = member if isinstance(member, tuple) else (member, b"")
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
                info.size = len(data)
            content += info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)
        content += bytes(1024) if ending else b""
        path = tmp_path / "hand-made.tar"
        path.write_bytes(compress(content) if compress else content)
        return path

    return make


@pytest.fixture
def plain_tar(tmp_path):
    """`plain_tar({name: data}, format)` → path of a tar as Python's tarfile writes it."""

    def make(members: dict[str, bytes], format: int = tarfile.PAX_FORMAT) -> Path:
        path = tmp_path / "plain.tar"
        with tarfile.open(path, "w", format=format) as sink:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(data), 1.5  # a fraction asks for a pax header
                sink.addfile(info, io.BytesIO(data))
        return path

    return make
