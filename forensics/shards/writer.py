"""Writes one shard: the tar first, then the sidecar that proves it complete."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from forensics.errors import CorpusError
from forensics.shards import storage, tar
from forensics.shards.format import (
    KEY,
    MAX_JSON_BYTES,
    MAX_KEY_LENGTH,
    MEDIA_EXTENSIONS,
    Failure,
    Item,
    ItemMeta,
    Sidecar,
    Split,
    canonical_json,
)

_CHUNK_BYTES = 4 << 20
_WAITING_CALLS = 8
_FIX = "mend what makes the items"


def write_shard(
    folder: storage.Url,
    name: str,
    items: Iterable[Item],
    *,
    split: Split,
    plan: str,
    failures: Sequence[Failure] = (),
) -> Sidecar:
    """Write `<folder>/<name>.tar` and then `<folder>/<name>.json`; the same items, the same bytes.

    An older shard of that name is replaced; its sidecar goes first, so that at no moment a sidecar
    vouches for another tar.

    Args:
        folder: local path or fsspec URL; a local one is made when it is not there.
        items: a sequence in any order, or an iterator in ascending order of keys, of which only
            some 20 MiB are held at a time.
        plan: hash of the plan that the shard belongs to.
        failures: planned items that could not be made; read after the last item, so a list that
            grows while `items` is consumed will do.

    Raises:
        CorpusError: a bad, repeated or unsorted key, a media type or split that does not belong,
            metadata that is not JSON (NaN, …) or too large. Nothing is written then, nor after any
            other exception. That `meta.sha256` is the media's is the caller's word.
        MachineError: the disk is full, no permission, …
    """
    _check_key(name)
    if isinstance(items, Sequence):
        items = sorted(items, key=lambda item: item.key)
    tar_url, sidecar_url = storage.tar_url(folder, name), storage.sidecar_url(folder, name)
    metas: dict[str, ItemMeta] = {}
    texts: list[bytes] = []
    masks: dict[str, str] = {}
    with storage.writing(tar_url) as output, ThreadPoolExecutor(1) as hasher:
        sink = _TarSink(output, hasher)
        last = ""
        for item in items:
            _check_item(item, last, split)
            text = _meta_json(item)
            sink.add(f"{item.key}.{item.extension}", item.media)
            sink.add(f"{item.key}.json", text)
            if item.mask is not None:
                sink.add(f"{item.key}.mask.png", item.mask)
                masks[item.key] = hashlib.sha256(item.mask).hexdigest()
            metas[item.key] = item.meta
            texts.append(b'"%s":%s' % (item.key.encode(), text))
            last = item.key
        sink.finish()
        storage.remove(sidecar_url)
    sidecar = Sidecar(
        shard=name,
        split=split,
        plan=plan,
        count=len(metas),
        bytes=sink.written,
        sha256=sink.sha256.hexdigest(),
        items=metas,
        masks=masks,
        failures=tuple(failures),
    )
    storage.publish(sidecar_url, _sidecar_json(sidecar, texts))
    return sidecar


def _sidecar_json(sidecar: Sidecar, texts: list[bytes]) -> bytes:
    """`canonical_json(sidecar)`, from the metadata that is JSON already.

    The marker stands nowhere else: inside strings quotes are escaped, and no other field of that
    name is an object.
    """
    frame = canonical_json(sidecar.model_copy(update={"items": {}}))
    return frame.replace(b'"items":{}', b'"items":{%s}' % b",".join(texts), 1)


class _TarSink:
    """Gathers members, about 4 MiB at a time, and writes them.

    A thread hashes them meanwhile, which releases the interpreter lock, and the disk begins at
    once. A few chunks may wait; memory stays flat.
    """

    def __init__(self, output: storage.Output, hasher: ThreadPoolExecutor):
        self._output, self._hasher = output, hasher
        self._parts: list[bytes] = []
        self._pending = 0
        self._waiting: deque[Future[None]] = deque()
        self.written = 0
        self.sha256 = hashlib.sha256()

    def add(self, name: str, data: bytes) -> None:
        size = len(data)
        if size > tar.MAX_MEMBER_BYTES:
            limit = tar.MAX_MEMBER_BYTES
            raise CorpusError(f"member {name!r}: {size} bytes, the limit is {limit}", _FIX)
        self._parts += (tar.header(name.encode(), size), data, tar.padding(size))
        self._pending += tar.BLOCK + size + -size % tar.BLOCK
        if self._pending >= _CHUNK_BYTES or len(self._parts) > storage.MAX_PARTS - 4:
            self._flush()

    def finish(self) -> None:
        ending = tar.end_of_archive(self.written + self._pending)
        self._parts.append(ending)
        self._pending += len(ending)
        self._flush()
        self._wait(0)

    def _flush(self) -> None:
        parts = self._parts
        self._waiting.append(self._hasher.submit(self._hash, parts))
        self._output.write_all(parts)
        self.written += self._pending
        self._parts, self._pending = [], 0
        self._output.start_sync()
        self._wait(_WAITING_CALLS)

    def _wait(self, left: int) -> None:
        while len(self._waiting) > left:
            self._waiting.popleft().result()

    def _hash(self, parts: list[bytes]) -> None:
        for part in parts:
            self.sha256.update(part)


def _check_key(key: str) -> None:
    if not KEY.fullmatch(key) or len(key) > MAX_KEY_LENGTH:
        raise CorpusError(
            f"key {key!r} is not one to {MAX_KEY_LENGTH} of a-z, 0-9, '_' and '-'", _FIX
        )


def _check_item(item: Item, last: str, split: Split) -> None:
    _check_key(item.key)
    if item.key == last:
        raise CorpusError(f"two items have the key {item.key!r}", _FIX)
    if item.key < last:
        raise CorpusError(f"item {item.key!r} comes after {last!r}", "pass the items sorted by key")
    if item.extension not in MEDIA_EXTENSIONS:
        known = ", ".join(MEDIA_EXTENSIONS)
        raise CorpusError(f"item {item.key!r}: {item.extension!r} is not one of {known}", _FIX)
    if item.meta.split != split:
        raise CorpusError(
            f"item {item.key!r} belongs to {item.meta.split!r}, the shard to {split!r}", _FIX
        )


def _meta_json(item: Item) -> bytes:
    try:
        text = canonical_json(item.meta)
    except (ValueError, TypeError) as error:
        raise CorpusError(f"item {item.key!r}: its metadata is not JSON ({error})", _FIX) from error
    if len(text) > MAX_JSON_BYTES:
        raise CorpusError(
            f"item {item.key!r}: {len(text)} bytes of metadata, the limit is {MAX_JSON_BYTES}", _FIX
        )
    return text
