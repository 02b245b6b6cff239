"""Reads shards that nobody vouches for: our own, and plain WebDataset tars of others."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from pydantic import ValidationError

from forensics.errors import CorpusError
from forensics.shards import storage
from forensics.shards.format import (
    FORMAT_VERSION,
    KEY,
    MAX_JSON_BYTES,
    MAX_KEY_LENGTH,
    MEDIA_EXTENSIONS,
    Item,
    ItemMeta,
    Sidecar,
    parse_json,
)
from forensics.shards.tar import DAMAGED, TarStream

FOREIGN_EXTENSIONS = frozenset(
    (*MEDIA_EXTENSIONS, "json", "mask.png", "txt", "cls", "mp3", "ogg", "opus")
)

_MAX_SIDECAR_BYTES = 256 << 20
_MEMBER = re.compile(rf"({KEY.pattern})\.({'|'.join(MEDIA_EXTENSIONS)}|json|mask\.png)")
_TEXT_EXTENSIONS = frozenset(("txt", "cls", "json"))


def read_shard(path: storage.Url, sidecar: Sidecar | None = None) -> Iterator[Item]:
    """The items of one of our shards, in the order of the tar; memory holds one at a time.

    Everything about the tar's structure and the metadata is checked, and with a sidecar the number
    of items; the SHA-256 of the media is `verify`'s business.

    Args:
        path: the tar, a local path or fsspec URL.

    Raises:
        CorpusError: naming shard and member: a name that is not `<key>.<known extension>`, a
            member that is not a regular file or too large, repeated, unsorted, interleaved or
            partial items, metadata that is not valid, a compressed tar, a tar cut anywhere, a
            number of items that is not the sidecar's.
        MachineError: the file may not be read.
    """
    with storage.open_read(path) as stream:
        yield from read_items(stream, str(path), sidecar.count if sidecar else None)


def read_sidecar(folder: storage.Url, name: str) -> Sidecar:
    """The sidecar of shard `name`.

    Raises:
        CorpusError: there is none, or it is not valid.
    """
    url = storage.sidecar_url(folder, name)
    try:
        sidecar = Sidecar.model_validate(parse_json(storage.read(url, _MAX_SIDECAR_BYTES)))
    except ValidationError as error:
        raise CorpusError(f"{url}: not a sidecar ({_summary(error)})", DAMAGED) from error
    except ValueError as error:
        raise CorpusError(f"{url}: not JSON ({error})", DAMAGED) from error
    if sidecar.format != FORMAT_VERSION:
        raise CorpusError(
            f"{url}: format {sidecar.format}, this version reads {FORMAT_VERSION}",
            "use the version of forensics that wrote it",
        )
    if sidecar.shard != name:
        raise CorpusError(f"{url}: belongs to shard {sidecar.shard!r}", DAMAGED)
    if sidecar.count != len(sidecar.items):
        raise CorpusError(
            f"{url}: counts {sidecar.count} items and describes {len(sidecar.items)}", DAMAGED
        )
    if list(sidecar.items) != sorted(sidecar.items):
        raise CorpusError(f"{url}: its items are not in the order of the tar", DAMAGED)
    return sidecar


def read_items(
    stream: BinaryIO,
    shard: str,
    count: int | None = None,
    ordinals: Sequence[int] | None = None,
) -> Iterator[Item]:
    """What `read_shard` does, on an open stream.

    Args:
        shard: what messages call it.
        count: how many items it must hold.
        ordinals: ascending numbers of the items wanted, counted from 0; the media of others is
            skipped, and the walk ends after the last one, unless that is the shard's last.
    """
    wanted: Container[int] | None = ordinals
    if ordinals is not None and not isinstance(ordinals, range):
        wanted = frozenset(ordinals)
    last = ordinals[-1] if ordinals else None
    tar = TarStream(stream, shard)
    members = iter(tar)
    member = next(members, None)
    found, key = 0, ""
    while member is not None:
        name, size = member
        previous = key
        key, extension = _split(tar, name)
        if extension not in MEDIA_EXTENSIONS:
            tar.fail("does not follow its media; the order is media, json, mask", name)
        if key <= previous:
            tar.fail("its key is repeated or not in order", name)
        want = wanted is None or found in wanted
        media = tar.read() if want else b""
        name, size = next(members, ("", 0))
        if name != f"{key}.json":
            tar.fail(f"item {key!r} has no metadata; {name!r} comes instead")
        meta = _meta(tar, name, size) if want else None
        member, mask = next(members, None), None
        if member is not None and member[0] == f"{key}.mask.png":
            mask = tar.read() if want else None
            member = next(members, None)
        if meta is not None:
            yield Item(key, extension, media, meta, mask)
        found += 1
        if last == found - 1 and found != count:
            return
    if count is not None and found != count:
        tar.fail(f"holds {found} items, its sidecar promises {count}")


class ForeignMember(NamedTuple):
    """The bytes of one member, and where they begin in the tar."""

    data: bytes
    offset: int


def read_foreign_shard(path: storage.Url) -> Iterator[tuple[str, dict[str, ForeignMember]]]:
    """(key, {extension: member}) of any plain WebDataset tar, under the safety rules of our own.

    The key is the name up to the first dot of its last part, as everywhere in WebDataset, so it may
    hold folders, capitals and other signs. Extensions are lower-cased and one of
    `FOREIGN_EXTENSIONS`; json, txt and cls must be UTF-8, json must parse.

    Raises:
        CorpusError: naming shard and member; see `read_shard`. Absolute names, `..` and hidden
            files are refused too. A name such as `v1.5_a.wav` is refused because WebDataset cuts
            its key at the first dot.
        MachineError: the file may not be read.
    """
    with storage.open_read(path) as stream:
        tar = TarStream(stream, str(path), extended=True)
        seen: set[str] = set()
        key, fields = "", dict[str, ForeignMember]()
        for name, size in tar:
            member_key, extension = _split_foreign(tar, name)
            if member_key != key:
                if fields:
                    yield key, fields
                if member_key in seen:
                    tar.fail("its key occurred before; the members of an item lie together", name)
                seen.add(member_key)
                key, fields = member_key, {}
            if extension in fields:
                tar.fail("occurs twice", name)
            data = _text(tar, name, size) if extension in _TEXT_EXTENSIONS else tar.read()
            if extension == "json":
                _json(tar, name, data)
            fields[extension] = ForeignMember(data, tar.offset)
        if fields:
            yield key, fields


def _split(tar: TarStream, name: str) -> tuple[str, str]:
    match = _MEMBER.fullmatch(name)
    if not match or len(match[1]) > MAX_KEY_LENGTH:
        tar.fail("not <key>.<extension> with a plain key and a known extension", name)
    return match[1], match[2]


def _split_foreign(tar: TarStream, name: str) -> tuple[str, str]:
    name = name.removeprefix("./")
    folder, _, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    unsafe = any(part in ("", ".", "..") for part in folder.split("/")) if folder else False
    if unsafe or name.startswith("/") or not stem or not name.isprintable() or "\\" in name:
        tar.fail("an unsafe name: absolute, hidden, '..' or with control characters", name)
    if extension.lower() not in FOREIGN_EXTENSIONS:
        known = ", ".join(sorted(FOREIGN_EXTENSIONS))
        tar.fail(f"extension {extension!r} (all after the first dot) is not one of {known}", name)
    return name[: len(name) - len(extension) - 1], extension.lower()


def _meta(tar: TarStream, name: str, size: int) -> ItemMeta:
    value = _json(tar, name, _text(tar, name, size))
    try:
        return ItemMeta.model_validate(value)
    except ValidationError as error:
        tar.fail(f"not an item's metadata ({_summary(error)})", name)


def _json(tar: TarStream, name: str, data: bytes) -> Any:
    try:
        return parse_json(data)
    except ValueError as error:
        tar.fail(f"not JSON ({error})", name)


def _text(tar: TarStream, name: str, size: int) -> bytes:
    if size > MAX_JSON_BYTES:
        tar.fail(f"{size} bytes of text, the limit is {MAX_JSON_BYTES}", name)
    data = tar.read()
    try:
        data.decode()
    except UnicodeDecodeError:
        tar.fail("not UTF-8", name)
    return data


def _summary(error: ValidationError) -> str:
    """The first few complaints of pydantic in one line."""
    parts = [
        f"{'.'.join(map(str, detail['loc'])) or 'value'}: {detail['msg']}"
        for detail in error.errors(include_url=False, include_input=False)[:3]
    ]
    return "; ".join(parts)
