"""Reads bona fide utterances out of WebDataset shards: ours, or any other tool's.

The plan notes where each recording lies inside its tar, so that a worker reads just that span.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forensics.corpus.source import Source, Utterance, utterance_id
from forensics.errors import MediaError
from forensics.media.audio import EXTENSIONS, Limits, probe
from forensics.shards.format import parse_json
from forensics.shards.reader import ForeignMember, read_foreign_shard


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
        for key, members in read_foreign_shard(path):
            audio = next((m for ext, m in members.items() if f".{ext}" in EXTENSIONS), None)
            fields = _fields(members)
            if fields.get("label", "bonafide") != "bonafide":
                spoofs += 1
            elif audio is not None:
                utterances.append(_utterance(base, path, key, audio, fields))
    notes = [f"{spoofs} samples are not bona fide and were left out"] if spoofs else []
    return Source(root=base, utterances=utterances, notes=notes)


def _fields(members: dict[str, ForeignMember]) -> dict[str, str]:
    fields: dict[str, Any] = {}
    if "txt" in members:
        fields["text"] = members["txt"].data.decode().strip()
    if "json" in members:
        stated = parse_json(members["json"].data)
        fields |= stated if isinstance(stated, dict) else {}
    return {name: str(value) for name, value in fields.items() if value}


def _utterance(
    base: Path, path: Path, key: str, audio: ForeignMember, fields: dict[str, str]
) -> Utterance:
    duration, broken = 0.0, None
    try:
        duration = probe(audio.data, Limits(max_seconds=24 * 3600)).duration_s
    except MediaError as error:
        broken = f"source: {error.reason}"
    split = fields.get("split")
    return Utterance(
        id=fields.get("source_id") or utterance_id(f"{path.name}/{key}"),
        path=str(path.relative_to(base)),
        span=(audio.offset, len(audio.data)),
        size_bytes=len(audio.data),
        duration_s=round(duration, 6),
        group=fields.get("group") or fields.get("speaker") or key,
        domain=fields.get("domain") or path.stem,
        text=fields.get("text"),
        language=fields.get("language"),
        licence=fields.get("licence") or fields.get("license"),
        split=split if split in ("train", "dev", "test") else None,  # pyright: ignore
        broken=broken,
    )
