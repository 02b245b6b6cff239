"""Reads bona fide utterances out of WebDataset shards: ours, or any other tool's.

The plan notes where each recording lies inside its tar, so that a worker reads just that span.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.corpus.source import Source, Utterance, utterance_id
from forensics.errors import CorpusError, MediaError
from forensics.media.audio import EXTENSIONS, Limits, probe
from forensics.shards.tar import TarStream

_MAX_TEXT_BYTES = 1 << 20


@dataclass
class _Sample:
    """The members of one key: the recording's span, and what text members say of it."""

    key: str
    span: tuple[int, int] | None = None
    audio: bytes = b""
    fields: dict[str, Any] = field(default_factory=dict)


def from_shards(root: Path) -> Source:
    """Every bona fide recording of a `.tar` or of the tars below a folder.

    JSON members may give label, group (or speaker), domain, text, language, licence and split;
    `.txt` members the transcript. Samples whose label is not bona fide are left out.

    Raises:
        CorpusError: a tar that is damaged or hostile; shard and member are named.
    """
    tars = [root] if root.is_file() else sorted(root.rglob("*.tar"))
    base = root.parent if root.is_file() else root
    utterances, spoofs = [], 0
    for path in tars:
        for sample in _samples(path):
            if sample.fields.get("label", "bonafide") != "bonafide":
                spoofs += 1
            elif sample.span is not None:
                utterances.append(_utterance(base, path, sample))
    notes = [f"{spoofs} samples are not bona fide and were left out"] if spoofs else []
    return Source(root=base, utterances=utterances, notes=notes)


def _samples(path: Path) -> Iterator[_Sample]:
    """Consecutive members with one key; the key ends at the first dot of the base name."""
    current: _Sample | None = None
    with path.open("rb") as stream:
        tar = TarStream(stream, str(path), extended=True)
        for name, size in tar:
            _refuse_escape(path, name)
            folder, _, base = name.rpartition("/")
            stem, _, extension = base.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if current is None or current.key != key:
                if current is not None:
                    yield current
                current = _Sample(key)
            _take(current, tar, f".{extension.lower()}", size)
    if current is not None:
        yield current


def _take(sample: _Sample, tar: TarStream, extension: str, size: int) -> None:
    if extension in EXTENSIONS:
        sample.span = (tar.offset, size)
        sample.audio = tar.read()
    elif extension in (".json", ".txt"):
        if size > _MAX_TEXT_BYTES:
            tar.fail(f"{size} bytes of text", sample.key)
        try:
            text = tar.read().decode()
            fields = json.loads(text) if extension == ".json" else {"text": text.strip()}
        except ValueError as error:
            tar.fail(f"{extension} that cannot be read ({error})", sample.key)
        if isinstance(fields, dict):
            sample.fields |= fields


def _refuse_escape(path: Path, name: str) -> None:
    if name.startswith("/") or ".." in name.split("/"):
        raise CorpusError(f"{path}: member {name!r} leaves its folder", "do not use this shard")


def _utterance(base: Path, path: Path, sample: _Sample) -> Utterance:
    assert sample.span is not None
    fields = {name: str(value) for name, value in sample.fields.items() if value}
    duration, broken = 0.0, None
    try:
        duration = probe(sample.audio, Limits(max_seconds=24 * 3600)).duration_s
    except MediaError as error:
        broken = f"source: {error.reason}"
    split = fields.get("split")
    return Utterance(
        id=fields.get("source_id") or utterance_id(f"{path.name}/{sample.key}"),
        path=str(path.relative_to(base)),
        span=sample.span,
        size_bytes=sample.span[1],
        duration_s=round(duration, 6),
        group=fields.get("group") or fields.get("speaker") or sample.key,
        domain=fields.get("domain") or path.stem,
        text=fields.get("text"),
        language=fields.get("language"),
        licence=fields.get("licence") or fields.get("license"),
        split=split if split in ("train", "dev", "test") else None,  # pyright: ignore
        broken=broken,
    )
